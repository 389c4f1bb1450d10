"""Tests read nothing outside the repository, and are skipped only for something that can be installed."""

import ast
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from novoic_assets_tests import corpora
from novoic_assets_tests.needs import needs

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent
MODULES = sorted(TESTS.rglob("*.py"))
# An expression of these parts only derives a path from another; it neither reads nor writes.
PARTS = (ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.BinOp, ast.Div, ast.Call, ast.Load)
CALLS = {"Path", "resolve", "absolute", "joinpath", "with_name"}
SKIPS = {"skip", "skipif", "importorskip", "xfail"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def constants(module: ModuleType) -> dict[str, Any]:
    """Find the names from which a path can be derived without calling functions: paths, and modules that have some."""

    def makes_paths(value: object) -> bool:
        ours = isinstance(value, ModuleType) and value.__name__.startswith(TESTS.name)
        return ours or value is Path or (isinstance(value, Path) and value.is_relative_to(REPOSITORY))

    names = {name: value for name, value in vars(module).items() if makes_paths(value)}
    return names | {"__file__": module.__file__}


def paths(source: str, names: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the paths that the expressions of a source evaluate to, including intermediate ones."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.expr):
            continue
        parts = list(ast.walk(node))
        used = {part.id for part in parts if isinstance(part, ast.Name)}
        called = {ast.unparse(part.func).rpartition(".")[2] for part in parts if isinstance(part, ast.Call)}
        if used and used <= names.keys() and called <= CALLS and all(isinstance(part, PARTS) for part in parts):
            value = eval(compile(ast.Expression(node), "path", "eval"), dict(names))
            is_fixed = used == {"Path"} and isinstance(value, Path) and value.is_absolute()  # the same on every machine
            if isinstance(value, Path) and not is_fixed:
                yield value


def leads_out(path: Path) -> bool:
    """Whether a path is a parent folder of the repository, or goes up."""
    return path in REPOSITORY.parents or ".." in path.parts


def skips(source: str) -> list[str]:
    """Find the ways to skip a test that a source uses."""
    attributes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    return [
        ast.unparse(node)
        for node in attributes
        if node.attr in SKIPS and ast.unparse(node.value) in ("pytest", "pytest.mark")
    ]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_uses_a_path_outside_the_repository(path: Path) -> None:
    names = constants(importlib.import_module(name_of(path)))
    assert [found for found in paths(path.read_text(), names) if leads_out(found)] == []


@pytest.mark.parametrize(
    "expression",
    [
        'Path(__file__).parents[2] / "shared"',
        "open(Path(__file__).resolve().parent.parent.parent / name)",
        'REPOSITORY.parent / "shared"',
        'Path("../shared").exists()',
        'corpora.FIXTURES.parents[2].joinpath("shared")',
    ],
)
def test_a_path_outside_the_repository_is_found(expression: str) -> None:
    names = {"Path": Path, "__file__": __file__, "REPOSITORY": REPOSITORY, "corpora": corpora}
    assert any(leads_out(path) for path in paths(expression, names))


def test_tests_are_skipped_only_by_the_functions_that_say_what_is_missing() -> None:
    assert {name_of(path) for path in MODULES if skips(path.read_text())} == {f"{TESTS.name}.needs"}


@pytest.mark.parametrize("source", ["@pytest.mark.skipif(True, reason='')\ndef test(): pass", "pytest.skip('no')"])
def test_another_way_to_skip_is_found(source: str) -> None:
    assert len(skips(source)) == 1


def test_a_skipped_test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    skipped = needs("java", "espeak-ng").mark
    assert skipped.args == (True,)
    assert skipped.kwargs["reason"] == "needs java, espeak-ng (Debian: openjdk-17-jre-headless espeak-ng)"
