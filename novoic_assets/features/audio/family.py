"""What an audio family is."""

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
        """Take in the next block; blocks come in order, each with at least one frame."""

    def values(self, speaker: Speaker) -> Computed:
        """The values of a speaker who has at least one frame of 25 ms, after the last block."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A whole recording, for families that want batches.

    Attributes:
        samples: float32, shape (samples,), mono at 16 kHz: 230 MB an hour.
        turns: Who speaks when.
    """

    samples: NDArray[np.float32]
    turns: Turns


@dataclass(frozen=True, kw_only=True)
class AudioFamily(Family):
    """A family of audio features; it has either `accumulator` or `batches`.

    Attributes:
        accumulator: Starts the computation over a recording. What it wants of the analyses that families share,
            it must ask for when it is made, since they see the same blocks.
        batches: Computes several whole recordings at once, from their samples. A worker holds the samples of a
            batch in memory.
        if_inaudible: Whether the values have a meaning where the signal has no energy where speech has it.

    Raises:
        ValueError: It has neither, or both.
    """

    accumulator: Callable[[Analysis], Accumulator] | None = None
    batches: Batches[Sound] | None = None
    if_inaudible: bool = False

    def __post_init__(self) -> None:
        if (self.accumulator is None) == (self.batches is None):
            raise ValueError(f"the family {self.name} takes either accumulator or batches")
