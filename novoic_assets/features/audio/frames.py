"""Whose speech a frame is.

A frame belongs to a speaker when it lies wholly inside one segment whose words are all that speaker's and
touches no segment with anyone else's. To `all` belongs every frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.family import ALL, SPEAKERS, Speaker
from novoic_assets.sessions.recording import SAMPLE_RATE

SegmentSpeaker = Literal["patient", "investigator", "other"]


@dataclass(frozen=True, eq=False)
class Turns:
    """The segments of a transcript that have words, in any order; they may overlap.

    Attributes:
        start_s: float64, shape (n,), seconds from the start of the recording.
        end_s: float64, shape (n,); the segment is the half-open interval from `start_s` to `end_s`, and may
            end after the recording does.
        speaker: Length n: the one who speaks all words of the segment, or `other` where they are several
            or neither the patient nor the investigator.
    """

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    speaker: Sequence[SegmentSpeaker]

    def has(self, speaker: Speaker) -> bool:
        """Whether the speaker has a segment of their own; `all` always does."""
        return speaker == ALL or speaker in self.speaker

    @cached_property
    def _own_and_others(self) -> dict[Speaker, tuple["_Intervals", "_Intervals"]]:
        """For each of patient and investigator, the segments that are theirs and those that are not."""
        start, end = _samples(self.start_s), _samples(self.end_s)
        speaker = np.array(self.speaker, dtype=str)
        return {
            each: (
                _Intervals(start[speaker == each], end[speaker == each]),
                _Intervals(start[speaker != each], end[speaker != each]),
            )
            for each in SPEAKERS
            if each != ALL
        }

    def own(self, starts: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        """Tell for intervals of the recording to whom they belong.

        Args:
            starts: int64, shape (n,): first sample of each interval, at 16 kHz.
            length: Samples in each, at least 1.

        Returns:
            bool, shape (3, n), rows in the order of `SPEAKERS`.
        """
        masks = np.ones((len(SPEAKERS), len(starts)), dtype=np.bool_)
        for speaker, (own, others) in self._own_and_others.items():
            masks[SPEAKERS.index(speaker)] = own.contain(starts, length) & ~others.touch(starts, length)
        return masks


def speaker_masks(turns: Turns, first_frame: int, n_frames: int, frame_length: int, hop: int) -> NDArray[np.bool_]:
    """Tell for consecutive frames to whom they belong.

    Args:
        turns: Who speaks when.
        first_frame: Index of the first of the frames; frame `k` starts at sample `k * hop`.
        n_frames: Number of frames.
        frame_length: Samples in a frame, at 16 kHz.
        hop: Samples from the start of a frame to the start of the next.

    Returns:
        bool, shape (3, n_frames), rows in the order of `SPEAKERS`.
    """
    return turns.own(np.arange(first_frame, first_frame + n_frames, dtype=np.int64) * hop, frame_length)


def speaker_seconds(turns: Turns, n_samples: int) -> dict[Speaker, float]:
    """Measure each speaker's own time: in a segment of theirs and in nobody else's.

    Args:
        turns: Who speaks when.
        n_samples: Length of the recording at 16 kHz.

    Returns:
        Seconds within the recording; for `all`, its length.
    """
    bounds = np.concatenate([[0, n_samples], _samples(turns.start_s), _samples(turns.end_s)])
    bounds = np.unique(np.clip(bounds, 0, n_samples)).astype(np.int64)
    # Between two neighbouring bounds nothing changes, so the first sample stands for them all.
    masks = turns.own(bounds[:-1], length=1)
    seconds = masks @ np.diff(bounds) / SAMPLE_RATE
    return {speaker: float(value) for speaker, value in zip(SPEAKERS, seconds, strict=True)}


class _Intervals:
    """Half-open intervals of samples, prepared for questions about many frames.

    Sorted by start and with the running maximum of their ends: among all intervals that start early
    enough, the one that ends last decides, so that each question is one binary search.
    """

    def __init__(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> None:
        order = np.argsort(start[start < end], kind="stable")
        self._start = start[start < end][order]
        # Led by a value for "none starts early enough" that ends before everything.
        self._last_end = np.maximum.accumulate(np.concatenate([[-1], end[start < end][order]]))

    def contain(self, starts: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        """Whether one interval holds all of each frame."""
        begun = np.searchsorted(self._start, starts, side="right")
        result: NDArray[np.bool_] = self._last_end[begun] >= starts + length
        return result

    def touch(self, starts: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        """Whether any interval shares a sample with each frame."""
        begun = np.searchsorted(self._start, starts + length, side="left")
        result: NDArray[np.bool_] = self._last_end[begun] > starts
        return result


def _samples(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round times to the nearest sample at 16 kHz."""
    # No recording reaches 2**53 samples, and every time up to there is a whole number in float64.
    return np.rint(np.minimum(seconds * SAMPLE_RATE, 2.0**53)).astype(np.int64)
