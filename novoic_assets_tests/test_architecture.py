"""Imports between the rooms of the package point down only; the tests read them from the source.

Imports inside functions and under TYPE_CHECKING count too.
"""

import ast
import functools
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

import novoic_assets

PACKAGE = Path(novoic_assets.__file__).parent

# The package itself re-exports `load_dataset`, so it stands above the rooms that this uses.
FACE = "novoic_assets"

FLOORS = (
    ("cli",),
    ("definitions",),
    ("sensors", "checks"),
    ("assets",),
    ("resources",),
    (FACE,),
    ("stages", "training"),
    ("features",),
    ("sessions", "synthetic"),
    ("storage", "engines"),
    ("errors", "reasons", "findings", "fingerprints", "progress", "registry", "markdown", "settings"),
)
"""The rooms from the top down. A room may import itself and rooms on lower floors, but no other room of its floor."""

FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
GROUND = FLOORS[-1]


def modules_of(package: Path) -> dict[str, Path]:
    """Find the modules of a package's folder, by name."""
    return {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(package.rglob("*.py"))
    }


MODULES = modules_of(PACKAGE)


@functools.cache
def imports(module: str, path: Path) -> frozenset[str]:
    """Find the absolute names that a module imports, at any depth of its source."""
    return frozenset(_imports(module, path))


def _imports(module: str, path: Path) -> Iterator[str]:
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            yield from (
                each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base != FACE:  # what is imported from the package itself is told by its name
                yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def room_of(name: str) -> str | None:
    """Find the room of a module; the package itself is a room; None for modules outside of the package."""
    parts = name.split(".")
    if parts[0] != FACE:
        return None
    return parts[1] if len(parts) > 1 else FACE


def arrows(modules: dict[str, Path]) -> set[tuple[str, str]]:
    """Find the pairs of rooms of which the first imports the second."""
    found = set()
    for module, path in modules.items():
        for name in imports(module, path):
            source, target = room_of(module), room_of(name)
            if target and target not in FLOOR_OF and f"{FACE}.{target}" not in modules:
                target = FACE  # not a room but a name that the package re-exports
            if source and target and source != target:
                found.add((source, target))
    return found


ARROWS = arrows(MODULES)


def runs_up(source: str, target: str) -> bool:
    """Whether an import between two rooms does not point down."""
    if source in GROUND and target in GROUND:
        # The ground floor has an order too: a room may import the rooms that are listed before it.
        return GROUND.index(source) <= GROUND.index(target)
    return FLOOR_OF[source] >= FLOOR_OF[target]


def test_every_room_is_known() -> None:
    assert {room_of(module) for module in MODULES} - {None} == set(FLOOR_OF)


@pytest.mark.parametrize(("one", "other"), list(combinations(FLOOR_OF, 2)))
def test_arrows_between_two_rooms_point_down(one: str, other: str) -> None:
    assert [pair for pair in ((one, other), (other, one)) if pair in ARROWS and runs_up(*pair)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "from novoic_assets.assets import raw",
        "import novoic_assets.assets.raw",
        "from novoic_assets import assets",
        "from ..assets.raw import GROUP",
        "def late():\n    from novoic_assets.assets.raw import GROUP",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from novoic_assets.assets.raw import GROUP",
        "import importlib\nimportlib.import_module('novoic_assets.assets.raw')",
        "__import__('novoic_assets.assets.raw')",
    ],
)
def test_an_import_that_points_up_is_found_wherever_it_stands(tmp_path: Path, statement: str) -> None:
    assert ("storage", "assets") in planted(tmp_path, "storage/planted.py", statement)
    assert runs_up("storage", "assets")


@pytest.mark.parametrize(
    "statement",
    [
        "import novoic_assets",
        "def late():\n    from novoic_assets import load_dataset",
        "from .. import load_dataset",
    ],
)
def test_the_package_itself_stands_above_what_it_re_exports(tmp_path: Path, statement: str) -> None:
    assert ("sessions", FACE) in planted(tmp_path, "sessions/planted.py", statement)
    assert runs_up("sessions", FACE)
    assert (FACE, "definitions") in planted(tmp_path, "__init__.py", "from novoic_assets.definitions import defs")
    assert runs_up(FACE, "definitions")


def planted(folder: Path, file: str, source: str) -> set[tuple[str, str]]:
    """The arrows of a package that holds one module."""
    path = folder / FACE / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return arrows(modules_of(folder / FACE))


def test_an_unknown_room_is_found(tmp_path: Path) -> None:
    (tmp_path / FACE / "attic").mkdir(parents=True)
    (tmp_path / FACE / "attic" / "box.py").write_text("")
    assert {room_of(module) for module in modules_of(tmp_path / FACE)} - set(FLOOR_OF) == {"attic"}


def cycles(modules: dict[str, Path]) -> list[str]:
    """Find modules that import themselves through other modules."""
    known = set(modules)
    below = {module: {name for name in imports(module, path) if name in known} for module, path in modules.items()}

    def reaches(start: str) -> bool:
        seen: set[str] = set()
        waiting = list(below[start])
        while waiting:
            module = waiting.pop()
            if module == start:
                return True
            if module not in seen:
                seen.add(module)
                waiting += below[module]
        return False

    return [module for module in modules if reaches(module)]


def test_no_modules_import_each_other_in_a_circle() -> None:
    # The __init__ of a package may put its modules together, as that of `cli` does.
    assert cycles({module: path for module, path in MODULES.items() if path.name != "__init__.py"}) == []


def test_only_the_upper_floors_import_dagster() -> None:
    users = {
        room_of(module)
        for module, path in MODULES.items()
        if any(name.startswith("dagster") for name in imports(module, path))
    }
    assert {room for room in users if room and FLOOR_OF[room] > FLOOR_OF["resources"]} == set()


def test_only_the_engine_and_the_resource_of_spark_import_it() -> None:
    users = {
        module for module, path in MODULES.items() if any(name.startswith("pyspark") for name in imports(module, path))
    }
    assert {room_of(module) for module in users} <= {"engines", "resources"}


def reads_environment(source: str) -> bool:  # noqa: C901 - a case for each way to read
    """Whether a module reads environment variables; setting them for child processes does not count."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}

    def only_sets(environ: ast.AST) -> bool:
        use = parents[environ]
        if isinstance(use, ast.Subscript):
            return isinstance(use.ctx, ast.Store | ast.Del)
        if isinstance(use, ast.Attribute) and use.attr in ("setdefault", "update"):
            call = parents[use]
            return isinstance(call, ast.Call) and isinstance(parents[call], ast.Expr)
        return False

    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            if {alias.name for alias in node.names} & {"environ", "environb", "getenv", "getenvb"}:
                return True
        elif isinstance(node, ast.Attribute) and node.attr in ("expandvars", "EnvVar"):
            return True
        elif isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "getenvb"):
            if not only_sets(node):
                return True
        elif isinstance(node, ast.keyword) and node.arg == "envvar":  # typer would read it
            return True
    return False


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['A']",
        "import os\nos.environ.get('A')",
        "import os\nos.getenv('A')",
        "import os\ndict(os.environ)",
        "import os\nfound = os.environ.setdefault('A', 'b')",
        "from os import environ",
        "import typer\ntyper.Option(envvar='A')",
        "import os\nos.path.expandvars('$A')",
        "import dagster as dg\ndg.EnvVar('A')",
    ],
)
def test_reading_the_environment_is_found_however_it_is_written(source: str) -> None:
    assert reads_environment(source)


@pytest.mark.parametrize("source", ["import os\nos.environ['A'] = 'b'", "import os\nos.environ.setdefault('A', 'b')"])
def test_setting_a_variable_is_not_reading(source: str) -> None:
    assert not reads_environment(source)


def test_only_the_settings_read_the_environment() -> None:
    """Another reader would have its own default and its own message."""
    assert {module for module, path in MODULES.items() if reads_environment(path.read_text())} == {
        "novoic_assets.settings"
    }


def test_only_the_settings_and_the_upper_floors_import_pydantic() -> None:
    users = {
        room_of(module)
        for module, path in MODULES.items()
        if any(name.split(".")[0].startswith("pydantic") for name in imports(module, path))
    }
    assert {room for room in users if room and FLOOR_OF[room] > FLOOR_OF["resources"]} == {"settings"}
