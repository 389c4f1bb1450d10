"""Install a package for a test as pip does: a module and a dist-info with entry points on the path."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from novoic_assets import registry
from novoic_assets.sessions.formats import registered


@contextmanager
def installed(folder: Path, module: str, source: str, entry_points: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Install a package while the context lasts.

    Args:
        folder: The folder for the package; it must not exist yet.
        module: The name of the package and of its only module.
        source: The source of the module.
        entry_points: By group, the objects of the entry points, by the entry points' names.
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
    """Clear caches, so that this process looks up installed packages again as a new process does."""
    registry.added.cache_clear()
    registered.formats.cache_clear()
    registered.extensions.cache_clear()
