"""What a feature family is, and what it says of one session: a status and a vector for each speaker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION: Final = "2"
"""Raised whenever a value is removed, renamed or moved, since who reads datasets by its name or place must know."""

Speaker = Literal["patient", "investigator", "all"]
PATIENT: Final = "patient"
INVESTIGATOR: Final = "investigator"
ALL: Final = "all"
SPEAKERS: Final[tuple[Speaker, ...]] = (PATIENT, INVESTIGATOR, ALL)


class Status(StrEnum):
    """Why a speaker's values are what they are."""

    OK = "ok"
    """Every value is finite."""
    PARTIAL = "partial"
    """Some values are NaN, or all of them; each of those has a reason of its own."""
    NO_SPEECH = "no_speech"
    """The speaker has no words (text), or no segment of their own (audio): the values are NaN."""
    TOO_SHORT = "too_short"
    """There is speech, but not one whole frame of it: the values are NaN."""
    INAUDIBLE = "inaudible"
    """The signal has no energy where speech has it: values are NaN, but for those that a level still has."""


class Undefined(StrEnum):
    """Why a value is NaN. A published array has a reason's place in this list, counted from 1; 0 is a number."""

    NO_SPEECH = "no_speech"
    """The speaker says nothing."""
    TOO_SHORT = "too_short"
    """There is less speech than the value's least support."""
    INAUDIBLE = "inaudible"
    """The signal has no energy where speech has it."""
    NARROWBAND = "narrowband"
    """The recording has nothing at the frequencies that the value looks at."""
    FLAT_LEVEL = "flat_level"
    """Speech and pauses differ too little in level to be told apart."""
    CONTIGUOUS_TIMES = "contiguous_times"
    """Each segment of the transcript begins where the one before ends: it does not tell of pauses."""
    ZERO_DENOMINATOR = "zero_denominator"
    """The formula divides by a count that is zero."""
    OTHER_SPEAKER = "other_speaker"
    """The family does not describe this speaker."""
    NOT_COMPUTED = "not_computed"
    """The family has not been computed of this session yet."""
    NOT_APPLICABLE = "not_applicable"
    """The recording's encoding has no such thing."""
    UNMARKED = "unmarked"
    """The transcript's guidelines have no marks for what the value counts, or it uses none."""


REASONS: Final[tuple[Undefined, ...]] = tuple(Undefined)


class Flag(StrEnum):
    """What to mind when a value is used."""

    GROWS_WITH_LENGTH = "grows_with_length"
    """It depends on how long the speaker speaks, not only on how."""
    DEPENDS_ON_GAIN = "depends_on_gain"
    """It depends on how loud the recording is, which the recorder's settings decide."""


Computed = Sequence["float | Undefined"]
"""A family's values of one speaker, in the order of its values: a finite number, or why there is none."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a family, as the catalogue tells of it.

    Attributes:
        name: Unique among all families, a Python identifier.
        unit: Its unit; "1" where it has none.
        formula: How it is computed, in one line, with its constants.
        source: Where the formula comes from.
        typical: The range in which most speech of adults lies, low and high; None where there is none to tell.
        undefined: What makes it NaN, beside `no_speech`, `other_speaker` and `not_computed`, which make any value NaN.
        least: The least support that it has a meaning with, such as "50 words"; empty where one word or frame is
            enough.
        flags: What to mind.
        highest_hz: The highest frequency that it looks at; NaN (`narrowband`) where a recording has nothing up
            there. None for a value that needs none.
    """

    name: str
    unit: str
    formula: str
    source: str
    typical: tuple[float, float] | None = None
    undefined: tuple[Undefined, ...] = ()
    least: str = ""
    flags: frozenset[Flag] = frozenset()
    highest_hz: float | None = None

    @property
    def reasons(self) -> tuple[Undefined, ...]:
        """What makes it NaN of a speaker who can be heard."""
        return self.undefined if self.highest_hz is None else (*self.undefined, Undefined.NARROWBAND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What computing a family takes, in rough seconds of one core.

    By it sessions are cut into slices of about equal work, and work is spread over processes once it is worth
    starting them. The defaults are those of a family that says nothing: as much as a third of the project's own.

    Attributes:
        session: For each session, however short it is.
        second: For each second of the recording; counts for families of audio.
        word: For each word of the transcript; counts for families of text.
    """

    session: float = 1e-3
    second: float = 5e-4
    word: float = 3e-5


_Input_contra = TypeVar("_Input_contra", contravariant=True)

BatchFunction = Callable[[Sequence[_Input_contra]], Sequence[Mapping[Speaker, Computed]]]
"""Sessions in; for each of them, the values of each speaker who speaks in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches(Generic[_Input_contra]):
    """How a family computes several sessions at once, as a model on a device does.

    What a session's values are must not depend on which sessions share its batch, save for rounding.

    Attributes:
        sessions: Most sessions of a batch, at least 1.
        start: Called once in each process that computes, with the device that NOVOIC_DEVICE names (`cpu`,
            `cuda:0`, …). It loads what the family needs, and returns what computes a batch.
    """

    sessions: int
    start: Callable[[str], BatchFunction[_Input_contra]]


@dataclass(frozen=True, kw_only=True)
class Family:
    """A group of values that are computed together.

    Attributes:
        name: Unique among all families.
        version: Raised whenever the values would change.
        description: What it is, in a sentence.
        members: Its values, in order; their number is the family's length.
        speakers: Whom it describes.
        settings: What else the values depend on, such as a model, in one line; part of the fingerprint.
        is_covariate: Whether it tells of the circumstances and not of the speech: then it is published beside
            the matrices and never inside them.
        cost: What computing it takes.
        batches: Computes several sessions at once, for a family that wants that.
    """

    name: str
    version: str
    description: str
    members: tuple[Value, ...]
    speakers: tuple[Speaker, ...] = SPEAKERS
    settings: str = ""
    is_covariate: bool = False
    cost: Cost = Cost()
    batches: Batches[Any] | None = None

    @property
    def value_names(self) -> tuple[str, ...]:
        """The names of its values, in order."""
        return tuple(value.name for value in self.members)

    @property
    def units(self) -> tuple[str, ...]:
        """The unit of each value, in the same order."""
        return tuple(value.unit for value in self.members)


def features(families: Sequence[Family]) -> tuple[Family, ...]:
    """The families whose values are columns of the matrices."""
    return tuple(family for family in families if not family.is_covariate)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureValues:
    """One family's values for one speaker of one session.

    Attributes:
        status: Why the values are what they are.
        vector: float32, shape (length of the family,); NaN where undefined.
        reasons: Where the status is `partial`, why each value is NaN, None for a number; else empty.
    """

    status: Status
    vector: NDArray[np.float32]
    reasons: tuple[Undefined | None, ...] = ()


def nothing(family: Family, status: Status) -> FeatureValues:
    """The values of a speaker of whom there is nothing to compute: all NaN."""
    return FeatureValues(status, np.full(len(family.members), np.nan, np.float32))


def feature_values(family: Family, computed: Computed) -> FeatureValues:
    """Make a vector and a status of what a family computed.

    Args:
        family: The family.
        computed: Its values, or why there are none.

    Returns:
        `ok` with finite numbers alone, else `partial`.

    Raises:
        ValueError: A family broke its promise: another number of values than it has, a number that is not
            finite, or a reason that the value does not declare.
    """
    if len(computed) != len(family.members):
        raise ValueError(f"{family.name} gave {len(computed)} values and has {len(family.members)}")
    reasons = tuple(item if isinstance(item, Undefined) else None for item in computed)
    vector = np.array(
        [np.nan if reason is not None else item for item, reason in zip(computed, reasons, strict=True)], np.float32
    )
    defined = np.array([reason is None for reason in reasons])
    if not np.isfinite(vector[defined]).all():
        raise ValueError(f"{family.name} called values numbers that are not finite")
    for value, reason in zip(family.members, reasons, strict=True):
        if reason is not None and reason not in value.reasons:
            raise ValueError(f"{value.name} does not declare that it may be undefined as {reason}")
    return FeatureValues(Status.OK, vector) if defined.all() else FeatureValues(Status.PARTIAL, vector, reasons)
