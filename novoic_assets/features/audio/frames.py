"""Whose speech a frame is.

A frame belongs to a speaker when it lies wholly inside one segment whose words are all that speaker's and
touches no segment with anyone else's. To `all` belongs every frame.

A turn is a speaker's consecutive segments with nobody's between them, and what lies between: the pauses of who goes
on speaking are theirs.
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

    @cached_property
    def _turns_and_others(self) -> dict[Speaker, tuple["_Intervals", "_Intervals"]]:
        """For each of patient and investigator, their turns and the segments that are not theirs."""
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
        """Tell for intervals of the recording in whose turn they are.

        Args:
            starts: int64, shape (n,): first sample of each interval, at 16 kHz.
            length: Samples in each, at least 1.

        Returns:
            bool, shape (3, n), rows in the order of `SPEAKERS`: wholly inside a turn, and touching no segment of
            anyone else; for `all`, every one.
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
        Where each run starts and where it ends (exclusive): int64, shape (runs,) each.
    """
    bounds = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return bounds[::2], bounds[1::2]


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


def shared_seconds(turns: Turns, n_samples: int) -> tuple[float, float]:
    """Measure the time that is nobody's own though somebody speaks.

    Args:
        turns: Who speaks when.
        n_samples: Length of the recording at 16 kHz.

    Returns:
        Seconds within the recording in segments whose words are not all the patient's nor all the investigator's;
        and seconds in which segments of two or more of patient, investigator and those overlap.
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

    def touch(self, starts: NDArray[np.int64], length: int | NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether any interval shares a sample with each frame, of one length or each of its own."""
        begun = np.searchsorted(self._start, starts + length, side="left")
        result: NDArray[np.bool_] = self._last_end[begun] > starts
        return result


def _samples(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round times to the nearest sample at 16 kHz."""
    # No recording reaches 2**53 samples, and every time up to there is a whole number in float64.
    return np.rint(np.minimum(seconds * SAMPLE_RATE, 2.0**53)).astype(np.int64)
