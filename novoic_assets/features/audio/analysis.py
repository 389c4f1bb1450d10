"""Analyses of a recording that several audio families share, computed once.

A family's accumulator requests an analysis when it is made (`analysis.pitch`). From then on the analysis receives
every block before the families do. Its result is complete after the last block.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.audio.bandwidth import Bandwidth
from novoic_assets.features.audio.blocks import Block
from novoic_assets.features.audio.frame_levels import FrameLevels
from novoic_assets.features.audio.frames import Turns
from novoic_assets.features.audio.mel import MelBands
from novoic_assets.features.audio.pitch_track import PitchTracker
from novoic_assets.features.family import SPEAKERS
from novoic_assets.sessions.recording import Recording


class SharedAnalysis(Protocol):
    """An analysis that receives every block."""

    def add(self, block: Block) -> None:
        """Add the next block; blocks come in order, each with at least one frame."""


_Shared = TypeVar("_Shared", bound=SharedAnalysis)


class Analysis:
    """The analyses of one recording.

    Attributes:
        turns: Who speaks when.
        recording: The recording; its facts about its samples are complete after the last block.
    """

    def __init__(self, turns: Turns, recording: Recording) -> None:
        self.turns = turns
        self.recording = recording
        self._shared: list[SharedAnalysis] = []
        self._masks: list[NDArray[np.bool_]] = []
        self._n_gap_samples = 0

    @cached_property
    def bandwidth(self) -> Bandwidth:
        """The effective bandwidth of the recording."""
        return self._share(lambda: Bandwidth(self.recording))

    @cached_property
    def frame_levels(self) -> FrameLevels:
        """The level of each frame."""
        return self._share(FrameLevels)

    @cached_property
    def pitch(self) -> PitchTracker:
        """The pitch of each frame."""
        return self._share(PitchTracker)

    @cached_property
    def mel_bands(self) -> MelBands:
        """The 40 mel bands of a block's frames."""
        return MelBands()

    def add(self, block: Block) -> None:
        """Add the next block."""
        self._masks.append(block.masks)
        self._n_gap_samples += block.n_gap_samples
        for shared in self._shared if block.n_frames else ():
            shared.add(block)

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """Whose each frame of 25 ms is: bool, shape (3, frames of the recording); complete after the last block."""
        return np.concatenate(self._masks, axis=1) if self._masks else np.zeros((len(SPEAKERS), 0), np.bool_)

    @property
    def n_gap_samples(self) -> int:
        """Samples of the recording that lie in gaps, at 16 kHz."""
        return self._n_gap_samples

    def _share(self, make: Callable[[], _Shared]) -> _Shared:
        shared = make()
        self._shared.append(shared)
        return shared
