"""Render a chart with helm-values.yaml by Helm's own engine, and validate every manifest.

`make helm-template CHART=…` takes a chart's folder or archive, `CHART=dagster REPO=…` a repository of charts.
"""

import argparse
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import yaml
from helm_python.chart import Chart
from helm_python.registry import pull

from novoic_assets_tests.deploy import chart as ours
from novoic_assets_tests.deploy import manifests

_INSTANCE = f"{ours.RELEASE}-dagster-instance"


class RenderingError(Exception):
    """The chart cannot be fetched or rendered, or its manifests are not valid; one line for each fault."""


def render(source: Path, values: ours.Values) -> list[manifests.Manifest]:
    """Render the manifests of a chart.

    Args:
        source: The chart's folder or archive.
        values: The values.

    Raises:
        RenderingError: The chart does not exist, or Helm refuses the values.
    """
    try:
        with Chart.load(source) as chart:
            files = chart.render(values, name=ours.RELEASE, namespace=ours.NAMESPACE)
    except helm_python.HelmError as error:
        raise RenderingError(str(error)) from error
    texts = [text for name, text in files.items() if name.endswith((".yaml", ".yml"))]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def faults(rendered: list[manifests.Manifest]) -> list[str]:
    """List what Kubernetes would refuse, and where the instance differs from the one that the tests use."""
    found = []
    for manifest in rendered:
        name = f"{manifest.get('kind')} {manifest.get('metadata', {}).get('name')}"
        try:
            manifests.validate(manifest)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{name}: {'.'.join(map(str, error.path))}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            found.append(f"{name}: {error.message}")
        if name == f"ConfigMap {_INSTANCE}":
            expected = ours.instance_config(ours.load_values())
            found += _missing(expected, yaml.safe_load(manifest["data"]["dagster.yaml"]), "dagster.yaml")
    return found


def _missing(expected: Any, rendered: Any, path: str) -> list[str]:
    """List missing and different parts of a rendered value; the chart may add its defaults."""
    if isinstance(expected, dict) and isinstance(rendered, dict):
        return [
            fault
            for name, value in expected.items()
            for fault in _missing(
                value, rendered.get(name), f"{path}: {name}" if path.count(":") == 0 else f"{path}.{name}"
            )
        ]
    return [] if expected == rendered else [f"{path}: expected {expected!r}, rendered {rendered!r}"]


def main() -> None:
    """Render, check and report."""
    parser = argparse.ArgumentParser(description="Render a chart with helm-values.yaml and check all its manifests.")
    parser.add_argument("chart", help="a chart's folder or archive, or its name in a repository, or oci://…")
    parser.add_argument("--repo", default="", help="the address of a repository of charts")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = _fetch(options.chart, options.repo, Path(folder))
            rendered = render(source, ours.load_values())
        problems = faults(rendered) if rendered else ["the chart renders nothing"]
    except RenderingError as error:
        problems = str(error).splitlines()
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    if problems:
        sys.exit(1)
    sys.stdout.write(f"{len(rendered)} manifests, valid for Kubernetes {', '.join(manifests.VERSIONS)}\n")


def _fetch(chart: str, repository: str, folder: Path) -> Path:
    if not repository and not chart.startswith("oci://"):
        return Path(chart)
    try:
        pull(chart, repo_url=repository or None, version=version("dagster"), destination=folder)
    except helm_python.HelmError as error:
        raise RenderingError(str(error)) from error
    (archive,) = folder.glob("*.tgz")
    return archive


if __name__ == "__main__":
    main()
