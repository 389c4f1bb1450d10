"""`arrays.npz`: every array of a dataset, for NumPy."""

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from novoic_assets.training.files.entry import DatasetFiles
from novoic_assets.training.published import Published

ARRAYS_FILE: Final = "arrays.npz"


def write_arrays(published: Published) -> Mapping[str, bytes]:
    """Write the arrays as one file."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **dict(published.arrays))
    return {ARRAYS_FILE: file.getvalue()}


def read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file, by name."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


ARRAYS: Final = DatasetFiles("arrays", write_arrays)
