"""Every kind of file that is written with a version of a dataset.

The first ones make a version: without them there is none. An installed package adds kinds of its own by an entry
point; those are written beside, also into versions that were published before.
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
"""What makes a version, in the order in which it is written: the manifest comes last, with the others' hashes."""


def added_files() -> tuple[DatasetFiles, ...]:
    """The kinds of file that installed packages add, in the order of their entry points' names.

    Raises:
        NovoicError: A kind cannot be imported, is no `DatasetFiles`, or has a name that is taken or not plain.
    """
    found: tuple[DatasetFiles, ...] = added(ENTRY_POINTS, DatasetFiles)
    names = [entry.name for entry in (*VERSION_FILES, *found)]
    if len(set(names)) < len(names):
        raise NovoicError(f"two kinds of file have the same name, one of them by an entry point of {ENTRY_POINTS}")
    if not all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names):
        raise NovoicError(
            f"an entry point of {ENTRY_POINTS} names a kind of file with other characters than a-z, 0-9 and _"
        )
    return found
