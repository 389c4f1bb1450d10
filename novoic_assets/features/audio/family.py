"""What an audio family is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.blocks import Block
from novoic_assets.features.family import Computed, Family, Speaker


class Accumulator(Protocol):
    """One family's computation over one recording."""

    def add(self, block: Block) -> None:
        """Take in the next block; blocks come in order, each with at least one frame."""

    def values(self, speaker: Speaker) -> Computed:
        """The values of a speaker who has at least one frame of 25 ms, after the last block."""


@dataclass(frozen=True, kw_only=True)
class AudioFamily(Family):
    """A family of audio features.

    Attributes:
        accumulator: Starts the computation over a recording. What it wants of the analyses that families share,
            it must ask for when it is made, since they see the same blocks.
        if_inaudible: Whether the values have a meaning where the signal has no energy where speech has it.
    """

    accumulator: Callable[[Analysis], Accumulator]
    if_inaudible: bool = False
