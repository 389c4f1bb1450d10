"""The family `timing`: when the patient and the investigator speak.

A segment is a speaker's own if all its words are theirs. Words within a segment of several speakers have no times of
their own, so neither these words nor the segment's time are counted. Segments are ordered by their start; those
without words are ignored.

Times are whole microseconds, so that a shift of all times changes no value, to the last bit.
"""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from novoic_assets.features.family import INVESTIGATOR, PATIENT, Computed, Cost, Speaker, Undefined, Value
from novoic_assets.features.text.conversation import LEAST_WORDS, Conversation
from novoic_assets.features.text.session import TextFamily
from novoic_assets.features.text.utterances import TokenKind
from novoic_assets.sessions.transcript import Role

NAME: Final = "timing"
VERSION: Final = "1"

_PER_SECOND: Final = 1_000_000
# In microseconds. Closer boundaries touch: transcripts are exact to milliseconds at best.
_TOUCHING: Final = 1_000

_MEMBERS: Final = (
    Value(
        name="speech_rate",
        unit="words/min",
        formula="60 words (retraced ones counted; no fillers, no unintelligible ones) / seconds, of the patient's own"
        " segments",
        source="Fraser et al. 2016",
        typical=(80, 220),
        undefined=(Undefined.TOO_SHORT, Undefined.ZERO_DENOMINATOR),
        least=f"{LEAST_WORDS} words",
    ),
    Value(
        name="response_latency",
        unit="s",
        formula="median of start - end of the investigator's segment before, over the patient's segments that come next"
        " after one of the investigator's; negative where the patient begins before; not counted where the patient"
        " spoke on beyond it (a remark in passing)",
        source="conversation analysis; Sacks et al. 1974",
        typical=(-0.5, 2.5),
        undefined=(Undefined.TOO_SHORT, Undefined.CONTIGUOUS_TIMES),
        least="1 answer",
    ),
    Value(
        name="within_turn_gap",
        unit="s",
        formula="mean of the time between the patient's consecutive segments with nobody between, 0 where they overlap",
        source="Yuan et al. 2021",
        typical=(0.1, 2),
        undefined=(Undefined.TOO_SHORT, Undefined.CONTIGUOUS_TIMES),
        least="2 consecutive segments",
    ),
    Value(
        name="patient_share",
        unit="ratio",
        formula="seconds of the patient's own segments / seconds of the patient's and the investigator's",
        source="share of talk, as in OpenWillis",
        typical=(0.4, 0.95),
        undefined=(Undefined.ZERO_DENOMINATOR,),
    ),
    Value(
        name="overlap_share",
        unit="ratio",
        formula="seconds in which segments of the patient and of the investigator overlap / seconds of the patient's",
        source="conversation analysis; Sacks et al. 1974",
        typical=(0, 0.2),
        undefined=(Undefined.ZERO_DENOMINATOR, Undefined.CONTIGUOUS_TIMES),
    ),
)


def timing(_model: str) -> TextFamily:
    """Make the family; it needs no model."""
    return TextFamily(
        name=NAME,
        version=VERSION,
        cost=Cost(session=1e-3, word=2e-06),
        description="When the patient speaks and when the investigator does, by the transcript's times.",
        members=_MEMBERS,
        speakers=(PATIENT,),
        compute=_compute,
    )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A segment with words.

    Attributes:
        start: In microseconds.
        end: In microseconds.
        speaker: The speaker of all its words; "other" if they are several or unlisted.
        index: Its index in the transcript.
    """

    start: int
    end: int
    speaker: Role
    index: int


def _compute(conversation: Conversation, speaker: Speaker) -> Computed:
    stretches = _stretches(conversation)
    patients = [stretch for stretch in stretches if stretch.speaker == PATIENT]
    investigators = [stretch for stretch in stretches if stretch.speaker == INVESTIGATOR]
    own = {stretch.index for stretch in patients}
    words = sum(token.kind is TokenKind.WORD and token.segment in own for token in conversation.tokens(speaker))
    seconds = sum(stretch.end - stretch.start for stretch in patients) / _PER_SECOND
    both = seconds + sum(stretch.end - stretch.start for stretch in investigators) / _PER_SECOND

    speech_rate: float | Undefined = Undefined.TOO_SHORT
    if words >= LEAST_WORDS:
        speech_rate = 60 * words / seconds if seconds else Undefined.ZERO_DENOMINATOR
    share = seconds / both if both else Undefined.ZERO_DENOMINATOR
    if _are_contiguous(stretches):
        return [speech_rate, Undefined.CONTIGUOUS_TIMES, Undefined.CONTIGUOUS_TIMES, share, Undefined.CONTIGUOUS_TIMES]

    latencies, gaps = _latencies(stretches), _gaps(stretches)
    covered = _covered(patients)
    return [
        speech_rate,
        statistics.median(latencies) / _PER_SECOND if latencies else Undefined.TOO_SHORT,
        sum(gaps) / len(gaps) / _PER_SECOND if gaps else Undefined.TOO_SHORT,
        share,
        _overlap(covered, _covered(investigators)) / sum(end - start for start, end in covered)
        if seconds
        else Undefined.ZERO_DENOMINATOR,
    ]


def _stretches(conversation: Conversation) -> list[_Stretch]:
    """The segments with words, in the order of their starts."""
    found = [
        _Stretch(round(segment.start * _PER_SECOND), round(segment.end * _PER_SECOND), speaker, index)
        for index, segment in enumerate(conversation.segments)
        if (speaker := segment.sole_speaker) is not None
    ]
    return sorted(found, key=lambda stretch: (stretch.start, stretch.end))


def _are_contiguous(stretches: Sequence[_Stretch]) -> bool:
    """Whether the segments have boundaries, and all of these touch."""
    pairs = list(itertools.pairwise(stretches))
    return bool(pairs) and all(abs(after.start - before.end) < _TOUCHING for before, after in pairs)


def _latencies(stretches: Sequence[_Stretch]) -> list[int]:
    """From the end of an investigator's segment to the start of the patient's next one, in microseconds."""
    found = []
    patient_end = -1
    for before, after in itertools.pairwise(stretches):
        if before.speaker == PATIENT:
            patient_end = max(patient_end, before.end)
        elif before.speaker == INVESTIGATOR and after.speaker == PATIENT and patient_end <= before.end:
            found.append(after.start - before.end)
    return found


def _gaps(stretches: Sequence[_Stretch]) -> list[int]:
    """Gaps before a patient's consecutive segments, in microseconds, from the latest end within the turn so far."""
    found = []
    turn_end = -1
    for before, after in itertools.pairwise(stretches):
        turn_end = max(turn_end, before.end) if before.speaker == PATIENT else -1
        if before.speaker == after.speaker == PATIENT:
            found.append(max(after.start - turn_end, 0))
    return found


def _covered(stretches: Sequence[_Stretch]) -> list[tuple[int, int]]:
    """The intervals that segments cover, without overlaps, in order."""
    covered: list[tuple[int, int]] = []
    for stretch in stretches:
        if covered and stretch.start <= covered[-1][1]:
            start, end = covered.pop()
            covered.append((start, max(end, stretch.end)))
        else:
            covered.append((stretch.start, stretch.end))
    return covered


def _overlap(one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> int:
    """The time that two lists of intervals share; each list is in order and without overlaps."""
    total = here = there = 0
    while here < len(one) and there < len(other):
        total += max(0, min(one[here][1], other[there][1]) - max(one[here][0], other[there][0]))
        if one[here][1] < other[there][1]:
            here += 1
        else:
            there += 1
    return total
