"""Memory for values of every frame of a recording, kept until its last block."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# Rows by which the memory grows: eleven minutes of frames.
_GROWTH: Final = 65_536


class Track:
    """An array that grows at its end, in place: concatenating a list of blocks would take the memory twice."""

    def __init__(self, width: int = 1) -> None:
        """Start without rows.

        Args:
            width: Number of values in each row.
        """
        self._rows = np.zeros((_GROWTH, width), np.float32)
        self._n_rows = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append rows: shape (n, width), or (n,) where the width is 1."""
        end = self._n_rows + len(rows)
        if end > len(self._rows):
            # This invalidates arrays from `rows`; callers read them only after the last row.
            self._rows.resize((end + _GROWTH, self._rows.shape[1]), refcheck=False)
        self._rows[self._n_rows : end] = rows.reshape(len(rows), -1)
        self._n_rows = end

    @property
    def rows(self) -> NDArray[np.float32]:
        """All rows: float32, shape (n, width), a view. Read it only after the last row is added."""
        return self._rows[: self._n_rows]
