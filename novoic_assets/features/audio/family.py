"""What an audio family is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.audio.blocks import Block


class Accumulator(Protocol):
    """One family's computation over one recording."""

    def add(self, block: Block) -> None:
        """Take in the next block; blocks come in order, each with at least one frame."""

    def values(self) -> NDArray[np.float64]:
        """Return float64, shape (3, values), rows in the order of `SPEAKERS`; NaN for who has no frame."""


@dataclass(frozen=True, slots=True)
class AudioFamily:
    """A family of audio features.

    Attributes:
        name: Its name in the catalogue.
        version: Raised whenever the values change.
        value_names: The names of its values, in order.
        units: The unit of each value.
        accumulator: Starts the computation over a recording.
        settings: What else the values depend on; empty where nothing.
    """

    name: str
    version: str
    value_names: tuple[str, ...]
    units: tuple[str, ...]
    accumulator: Callable[[], Accumulator]
    settings: str = ""
