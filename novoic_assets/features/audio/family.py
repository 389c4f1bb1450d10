"""Audio families, and what they compute from: blocks of a recording, or the complete recording."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.blocks import Block
from novoic_assets.features.audio.frames import Turns
from novoic_assets.features.family import Batches, Computed, Family, Speaker


class Accumulator(Protocol):
    """One family's computation over one recording."""

    def add(self, block: Block) -> None:
        """Add the next block; blocks come in order, each with at least one frame."""

    def values(self, speaker: Speaker) -> Computed:
        """Return the values of a speaker with at least one frame of 25 ms, after the last block."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A complete recording, for families with `batches`.

    Attributes:
        samples: float32, shape (samples,), mono at 16 kHz: 230 MB an hour. It may be empty.
        turns: Who speaks when.
    """

    samples: NDArray[np.float32]
    turns: Turns


@dataclass(frozen=True, kw_only=True)
class AudioFamily(Family):
    """A family of audio features; it has either `accumulator` or `batches`.

    Attributes:
        accumulator: Starts the computation over a recording. It must request the shared analyses that it needs at
            once, since these receive the same blocks.
        batches: Computes several complete recordings at once, from their samples. A worker holds the samples of a
            batch in memory.
        if_inaudible: Whether the values keep a meaning for a signal without energy where speech has it.

    Raises:
        ValueError: The family has neither, or both.
    """

    accumulator: Callable[[Analysis], Accumulator] | None = None
    batches: Batches[Sound] | None = None
    if_inaudible: bool = False

    def __post_init__(self) -> None:
        if (self.accumulator is None) == (self.batches is None):
            raise ValueError(f"the family {self.name} takes either accumulator or batches")
