"""The kinds of file that are written with a version of a dataset.

The project's own kinds make a version: none exists without them. An installed package adds further kinds by an entry
point; they are written beside the version's files, and also beside those of versions published earlier.
"""

import re
from typing import Final

from novoic_assets.errors import NovoicError
from novoic_assets.registry import added
from novoic_assets.training.files.arrays import ARRAYS
from novoic_assets.training.files.entry import DatasetFiles
from novoic_assets.training.files.manifest import MANIFEST
from novoic_assets.training.files.parquet import PARQUET

ENTRY_POINTS: Final = "novoic_assets.dataset_files"
"""The group of entry points in which an installed package names its kinds of file."""

VERSION_FILES: Final[tuple[DatasetFiles, ...]] = (ARRAYS, PARQUET, MANIFEST)
"""The kinds that make a version, in the order of writing: the manifest is last, with the hashes of the others."""


def added_files() -> tuple[DatasetFiles, ...]:
    """Return the kinds of file that installed packages add, in the order of their entry points' names.

    Raises:
        NovoicError: A kind cannot be imported, is not a `DatasetFiles`, or has the name of another kind or one with
            other characters than lower-case letters, digits and underscores.
    """
    found: tuple[DatasetFiles, ...] = added(ENTRY_POINTS, DatasetFiles)
    names = [entry.name for entry in (*VERSION_FILES, *found)]
    if not all(isinstance(name, str) for name in names):
        raise NovoicError(f"an entry point of {ENTRY_POINTS} has a kind of file whose name is not text")
    if len(set(names)) < len(names):
        raise NovoicError(f"two kinds of file have the same name, one of them by an entry point of {ENTRY_POINTS}")
    if not all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names):
        raise NovoicError(
            f"an entry point of {ENTRY_POINTS} has a kind of file whose name is not a letter a-z, followed by a-z, 0-9"
            " and _"
        )
    return found
