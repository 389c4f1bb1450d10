"""Who speaks in a frame.

A frame belongs to a speaker if it lies completely inside one segment whose words are all that speaker's, and touches
no segment with anyone else's words. Every frame belongs to `all`.

A turn is a run of a speaker's segments without anyone else's between them, together with the time between them: a
speaker who continues owns their pauses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

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
        end_s: float64, shape (n,), in seconds; a segment is the half-open interval from `start_s` to `end_s`, and may
            end after the recording.
        speaker: Length n: the speaker of all words of the segment, or `other` if there are several speakers or one
            who is neither the patient nor the investigator.

    Example:
        >>> turns = Turns(np.array([0.0, 1.0]), np.array([1.0, 2.0]), ["patient", "investigator"])
        >>> turns.own(np.array([0, 15_900, 16_000]), length=400)  # inside one, across both, inside the other
        array([[ True, False, False],
               [False, False,  True],
               [ True,  True,  True]])
    """

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    speaker: Sequence[SegmentSpeaker]

    def has(self, speaker: Speaker) -> bool:
        """Return whether the speaker has a segment of their own; `all` always does."""
        return speaker == ALL or speaker in self.speaker

    @cached_property
    def _own_and_others(self) -> dict[Speaker, tuple["_Intervals", "_Intervals"]]:
        """For patient and investigator, their own segments and all other segments."""
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
        """Return who owns intervals of the recording.

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

    @cached_property
    def _turns_and_others(self) -> dict[Speaker, tuple["_Intervals", "_Intervals"]]:
        """For patient and investigator, their turns and all segments that are not their own."""
        start, end = _samples(self.start_s), _samples(self.end_s)
        speaker = np.array(self.speaker, dtype=str)
        result: dict[Speaker, tuple[_Intervals, _Intervals]] = {}
        for each, (_, others) in self._own_and_others.items():
            is_own = (speaker == each) & (start < end)
            order = np.argsort(start[is_own], kind="stable")
            own_start, own_end = start[is_own][order], np.maximum.accumulate(end[is_own][order])
            between = own_start[1:] - own_end[:-1]
            is_first = np.ones(len(own_start), np.bool_)
            is_first[1:] = (between > 0) & others.touch(own_end[:-1], between)
            last = np.roll(is_first, -1)
            result[each] = _Intervals(own_start[is_first], own_end[last]), others
        return result

    def in_turn(self, starts: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        """Return in whose turn intervals of the recording lie.

        Args:
            starts: int64, shape (n,): first sample of each interval, at 16 kHz.
            length: Samples in each, at least 1.

        Returns:
            bool, shape (3, n), rows in the order of `SPEAKERS`: whether the interval lies completely inside a turn
            and touches no segment of anyone else; always true for `all`.
        """
        masks = np.ones((len(SPEAKERS), len(starts)), dtype=np.bool_)
        for speaker, (turns, others) in self._turns_and_others.items():
            masks[SPEAKERS.index(speaker)] = turns.contain(starts, length) & ~others.touch(starts, length)
        return masks


def runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the runs of true values.

    Args:
        mask: bool, shape (n,).

    Returns:
        The start and the end (exclusive) of each run: int64, shape (runs,) each.

    Example:
        >>> runs(np.array([True, True, False, True]))
        (array([0, 3]), array([2, 4]))
    """
    bounds = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return bounds[::2], bounds[1::2]


def speaker_seconds(turns: Turns, n_samples: int) -> dict[Speaker, float]:
    """Measure each speaker's own time: inside their segments and outside everyone else's.

    Args:
        turns: Who speaks when.
        n_samples: Length of the recording at 16 kHz.

    Returns:
        Seconds within the recording; for `all`, its length.
    """
    bounds = np.concatenate([[0, n_samples], _samples(turns.start_s), _samples(turns.end_s)])
    bounds = np.unique(np.clip(bounds, 0, n_samples)).astype(np.int64)
    # Nothing changes between two neighbouring bounds, so the first sample stands for all.
    masks = turns.own(bounds[:-1], length=1)
    seconds = masks @ np.diff(bounds) / SAMPLE_RATE
    return {speaker: float(value) for speaker, value in zip(SPEAKERS, seconds, strict=True)}


def shared_seconds(turns: Turns, n_samples: int) -> tuple[float, float]:
    """Measure the speaking time that is no single speaker's own.

    Args:
        turns: Who speaks when.
        n_samples: Length of the recording at 16 kHz.

    Returns:
        Two durations in seconds, within the recording: the time in segments of `other`, and the time in which
        segments of two or more of patient, investigator and `other` overlap.
    """
    start, end = _samples(turns.start_s), _samples(turns.end_s)
    bounds = np.unique(np.clip(np.concatenate([[0, n_samples], start, end]), 0, n_samples)).astype(np.int64)
    speaker = np.array(turns.speaker, dtype=str)
    kinds = [_Intervals(start[speaker == each], end[speaker == each]) for each in get_args(SegmentSpeaker)]
    speaking = np.array([kind.touch(bounds[:-1], 1) for kind in kinds])
    seconds = np.diff(bounds) / SAMPLE_RATE
    mixed = speaking[get_args(SegmentSpeaker).index("other")]
    return float(seconds[mixed].sum()), float(seconds[speaking.sum(axis=0) > 1].sum())


class _Intervals:
    """Half-open intervals of samples, prepared for queries about many frames.

    They are sorted by start, with the running maximum of their ends. Among all intervals that start early enough, the
    one that ends last decides, so that each query is one binary search.
    """

    def __init__(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> None:
        order = np.argsort(start[start < end], kind="stable")
        self._start = start[start < end][order]
        # The leading value stands for "none starts early enough": it ends before every frame.
        self._last_end = np.maximum.accumulate(np.concatenate([[-1], end[start < end][order]]))

    def contain(self, starts: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        """Return, for each frame, whether one interval contains it completely."""
        begun = np.searchsorted(self._start, starts, side="right")
        result: NDArray[np.bool_] = self._last_end[begun] >= starts + length
        return result

    def touch(self, starts: NDArray[np.int64], length: int | NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return, for each frame, whether any interval shares a sample with it; frames may differ in length."""
        begun = np.searchsorted(self._start, starts + length, side="left")
        result: NDArray[np.bool_] = self._last_end[begun] > starts
        return result


def _samples(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round times to the nearest sample at 16 kHz."""
    # No recording reaches 2**53 samples, and float64 holds every whole number up to there.
    return np.rint(np.minimum(seconds * SAMPLE_RATE, 2.0**53)).astype(np.int64)
