"""The seam for kinds of file that are written with every version of a dataset."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from novoic_assets.training.published import Published


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """A kind of file: one or more files that are made together.

    A version has all files of a kind once their mark, `<name>.written.json`, exists. They are never written again: to
    write other files, choose another name.

    Attributes:
        name: Unique among all kinds: lower-case letters, digits and underscores, a letter first.
        write: Returns the files of a version by file name, the same bytes for the same version. A file name has no
            folder in it. The arrays that it receives are read-only.

    Example:
        >>> def counts(published):
        ...     return {"counts.txt": f"{len(published.arrays['y'])} sessions".encode()}
        >>> COUNTS = DatasetFiles("counts", counts)
    """

    name: str
    write: Callable[[Published], Mapping[str, bytes]]
