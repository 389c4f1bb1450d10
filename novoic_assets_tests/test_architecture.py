"""Which part of the package may import which, read from the source: imports inside functions count too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import novoic_assets

PACKAGE = Path(novoic_assets.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports(module: str) -> Iterator[str]:
    """What a module imports, as absolute names, at any depth of its source."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def is_in(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def importers(*packages: str) -> set[str]:
    return {module for module in MODULES if any(is_in(name, *packages) for name in imports(module))}


def modules_in(*rooms: str) -> set[str]:
    return {module for module in MODULES if is_in(module, *(f"novoic_assets.{room}" for room in rooms))}


def test_the_rooms_are_there() -> None:
    assert all(
        modules_in(room) for room in ("assets", "checks", "resources", "sessions", "features", "training", "synthetic")
    )
    assert "novoic_assets.definitions" in importers("dagster")


@pytest.mark.parametrize("room", ["sessions", "features", "training", "synthetic"])
def test_the_domain_imports_neither_dagster_nor_pyspark(room: str) -> None:
    heavy = importers("dagster", "dagster_pyspark", "dagster_k8s", "pyspark")
    assert modules_in(room) & heavy == set()


@pytest.mark.parametrize("room", ["resources", "sessions", "features", "training", "synthetic"])
def test_what_lies_below_the_assets_imports_none_of_them(room: str) -> None:
    above = importers(*(f"novoic_assets.{room}" for room in ("assets", "checks", "sensors", "definitions", "cli")))
    assert modules_in(room) & above == set()


def test_nothing_but_the_definitions_imports_assets() -> None:
    wired = modules_in("assets", "checks", "sensors") | {"novoic_assets.definitions"}
    assert importers("novoic_assets.assets") - wired == set()


def test_only_the_resources_that_dagster_configures_import_dagster() -> None:
    configured = {"novoic_assets.resources.configured", "novoic_assets.resources.spark_session"}
    assert modules_in("resources") & importers("dagster") <= configured
