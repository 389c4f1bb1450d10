"""The chart's value schemas, resolved offline and made stricter: an unknown key is an error.

The schemas describe values after Helm has merged the chart's defaults in, so the chart has a default for whatever they
require and our values leave out. This is not so inside lists: a list replaces the chart's.
"""

import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import referencing
import referencing.jsonschema

Schema = Mapping[str, Any]

_KUBERNETES = "v1.30.0-local"
_CHILD = "dagster-user-deployments"
_SCHEMA = "values.schema.json"
# Keys that the chart's templates read and its schemas lack, and our own block, which only the values use.
_EXTRA = {("novoic",), (_CHILD, "rbacEnabled")}


class ValuesSchema:
    """The schemas of the chart and of its subchart.

    Args:
        chart: The chart's folder.
    """

    def __init__(self, chart: Path) -> None:
        self._parent: Schema = json.loads((chart / _SCHEMA).read_text())
        self._child: Schema = json.loads((chart / "charts" / _CHILD / _SCHEMA).read_text())
        folder_of = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / _KUBERNETES
        kubernetes = json.loads((folder_of / "_definitions.json").read_text())["$defs"]
        resource = referencing.jsonschema.DRAFT202012.create_resource({"definitions": kubernetes, "$defs": kubernetes})
        texts = (json.dumps(self._parent), json.dumps(self._child))
        remote = {uri for text in texts for uri in re.findall(r'"\$ref": "(https://[^#"]+)#', text)}
        self._registry = referencing.Registry().with_resources((uri, resource) for uri in remote).crawl()

    def errors(self, values: Mapping[str, Any]) -> list[str]:
        """List the faults of values with their places; empty if the values are valid."""
        found = []
        for schema, part in ((self._parent, values), (self._child, values.get(_CHILD, {}))):
            complete = _complete(schema, part, self._registry.resolver_with_root(_resource(schema)))
            validator = jsonschema.Draft202012Validator(dict(schema), registry=self._registry)
            found += [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(complete)]
        allowed = _EXTRA | {(_CHILD, name) for name in self._child["properties"]}
        resolver = self._registry.resolver_with_root(_resource(self._parent))
        unknown = [path for path in _unknown_keys(self._parent, values, resolver, ()) if path not in allowed]
        return found + [f"{'.'.join(path)}: no such key" for path in unknown]


def _resource(schema: Schema) -> Any:
    return referencing.jsonschema.DRAFT202012.create_resource(dict(schema))


def _views(schema: Schema, resolver: Any) -> Iterator[tuple[Schema, Any]]:
    """Yield a schema, the schemas that it refers to and its alternatives, each with the resolver of its references."""
    yield schema, resolver
    if "$ref" in schema:
        resolved = resolver.lookup(schema["$ref"])
        yield from _views(resolved.contents, resolved.resolver)
    for branch in [*schema.get("anyOf", []), *schema.get("allOf", [])]:
        yield from _views(branch, resolver)


def _unknown_keys(schema: Schema, value: Any, resolver: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    views = list(_views(schema, resolver))
    if isinstance(value, list):
        items = [(view["items"], own) for view, own in views if "items" in view]
        for index, item in enumerate(value):
            for view, own in items[:1]:
                yield from _unknown_keys(view, item, own, (*path, str(index)))
        return
    if not isinstance(value, dict):
        return
    properties = {name: (sub, own) for view, own in views for name, sub in view.get("properties", {}).items()}
    if not properties:  # a map with free keys
        return
    for name, sub_value in value.items():
        if name not in properties:
            yield (*path, name)
        else:
            sub, own = properties[name]
            yield from _unknown_keys(sub, sub_value, own, (*path, name))


def _complete(schema: Schema, value: Any, resolver: Any) -> Any:
    """Complete a value, outside lists, with the least that its schema requires, as the chart's defaults would."""
    if not isinstance(value, dict):
        return value
    views = list(_views(schema, resolver))
    properties = {name: (sub, own) for view, own in views for name, sub in view.get("properties", {}).items()}
    result = {
        name: _complete(properties[name][0], sub, properties[name][1]) if name in properties else sub
        for name, sub in value.items()
        if sub is not None  # null makes Helm drop a default
    }
    for view, own in views:
        for name in view.get("required", []):
            if name not in result and name in view.get("properties", {}):
                result[name] = _least(view["properties"][name], own)
    return result


def _least(schema: Schema, resolver: Any) -> Any:
    views = list(_views(schema, resolver))
    for view, _ in views:
        if "enum" in view:
            return view["enum"][0]
    kinds = [view["type"] for view, _ in views if "type" in view]
    kind = kinds[0] if kinds else "object"
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return _complete(schema, {}, resolver)
    return {"array": [], "string": "", "boolean": False, "integer": 0, "number": 0, "null": None}[kind]
