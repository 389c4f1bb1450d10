"""The seam: a kind of file that is written with every version of a dataset."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from novoic_assets.training.published import Published


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """A kind of file: one or more files that are made together.

    It is complete in a version once its mark, `<name>.written.json`, is there. Then it is never written again: to
    write other files, take another name.

    Attributes:
        name: Unique among all kinds: lower-case letters, digits and underscores, a letter first.
        write: Gives the files of a version by name, the same bytes for the same version. A name has no folder in it.
            What it is given is read-only.

    Example:
        >>> def counts(published):
        ...     return {"counts.txt": f"{len(published.arrays['y'])} sessions".encode()}
        >>> COUNTS = DatasetFiles("counts", counts)
    """

    name: str
    write: Callable[[Published], Mapping[str, bytes]]
