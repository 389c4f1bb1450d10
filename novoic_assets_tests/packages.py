"""Packages outside the project, installed for a while: a module, and metadata that name entry points."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from novoic_assets import registry


@contextmanager
def installed(folder: Path, module: str, source: str, entry_points: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Have a package while the context lasts, as pip would install it into a folder that Python searches.

    Args:
        folder: A folder that is not there yet, to install into.
        module: The module's name.
        source: The module's source.
        entry_points: By group, the names of entry points and what each is, as `module:object`.
    """
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in points.items())])
        for group, points in entry_points.items()
    ]
    (metadata / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        registry.added.cache_clear()
        try:
            yield
        finally:
            sys.modules.pop(module, None)
            registry.added.cache_clear()
