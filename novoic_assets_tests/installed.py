"""Installs a package for a test, as pip would: a module and a dist-info with entry points on the path."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from novoic_assets import registry
from novoic_assets.sessions.formats import registered


@contextmanager
def installed(folder: Path, module: str, source: str, entry_points: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """A package that is installed while the context lasts.

    Args:
        folder: Where it goes; nothing else may be in there.
        module: The name of its one module, and of the package.
        source: The module's source.
        entry_points: By group, the objects that its entry points name, by the entry points' names.
    """
    folder.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source)
    information = folder / f"{module}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {what}" for name, what in points.items())]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
    sys.path.append(str(folder))
    _forget()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(module, None)
        _forget()


def _forget() -> None:
    """Let the process look again at what is installed, as a new one would."""
    registry.added.cache_clear()
    registered.formats.cache_clear()
    registered.extensions.cache_clear()
