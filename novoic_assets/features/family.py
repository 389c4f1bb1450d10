"""Feature families, and what one gives for a session: a status and a vector for each speaker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION: Final = "2"
"""Raise it whenever a value is removed, renamed or moved: readers of datasets rely on names and positions."""

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
    """Some or all values are NaN; each of these has its own reason."""
    NO_SPEECH = "no_speech"
    """The speaker has no words (text), or no segment of their own (audio): the values are NaN."""
    TOO_SHORT = "too_short"
    """The speaker's speech is shorter than one frame: the values are NaN."""
    INAUDIBLE = "inaudible"
    """The signal has no energy where speech has it: the values are NaN, except in families with `if_inaudible`."""


class Undefined(StrEnum):
    """Why a value is NaN. Published arrays hold a reason's position in this list, counted from 1; 0 means a number."""

    NO_SPEECH = "no_speech"
    """The speaker says nothing."""
    TOO_SHORT = "too_short"
    """The speech is less than the value's least support."""
    INAUDIBLE = "inaudible"
    """The signal has no energy where speech has it."""
    NARROWBAND = "narrowband"
    """The recording has no content at the frequencies that the value uses."""
    FLAT_LEVEL = "flat_level"
    """Speech and pauses differ too little in level to be distinguished."""
    CONTIGUOUS_TIMES = "contiguous_times"
    """Each segment of the transcript begins where the previous one ends, so the transcript shows no pauses."""
    ZERO_DENOMINATOR = "zero_denominator"
    """The formula divides by a count that is zero."""
    OTHER_SPEAKER = "other_speaker"
    """The family does not describe this speaker."""
    NOT_COMPUTED = "not_computed"
    """The family is not computed for this session yet."""
    NOT_APPLICABLE = "not_applicable"
    """The recording's encoding does not have this property."""
    UNMARKED = "unmarked"
    """The transcript's guidelines have no marks for what the value counts, or the transcript uses none."""


REASONS: Final[tuple[Undefined, ...]] = tuple(Undefined)


class Flag(StrEnum):
    """A caveat for users of a value."""

    GROWS_WITH_LENGTH = "grows_with_length"
    """The value depends on how long the speaker speaks, not only on how."""
    DEPENDS_ON_GAIN = "depends_on_gain"
    """The value depends on how loud the recording is, which the recorder's settings decide."""


Computed = Sequence["float | Undefined"]
"""A family's values for one speaker, in the order of its members: each a finite number, or why it is undefined."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a family, as the catalogue describes it.

    Attributes:
        name: Unique among all families, a Python identifier.
        unit: Its unit; "1" where it has none.
        formula: How it is computed, in one line, with its constants.
        source: Where the formula comes from.
        typical: The range of most adult speech, low and high; None if no range is known.
        undefined: The reasons that make it NaN, apart from `no_speech`, `other_speaker` and `not_computed`, which
            apply to every value.
        least: The least support with which it has a meaning, such as "50 words"; empty if one word or frame is
            enough.
        flags: Caveats for its users.
        highest_hz: The highest frequency that it uses. The value is NaN (`narrowband`) if the recording has no
            content there. None for a value without this need.
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
        """The reasons that make it NaN for a speaker who can be heard."""
        return self.undefined if self.highest_hz is None else (*self.undefined, Undefined.NARROWBAND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What computing a family takes, in rough seconds of one core.

    Costs cut sessions into slices of about equal work, and decide whether the work is worth starting processes for.
    The defaults are for a family that states no cost: about a third of what the project's own families take together.

    Attributes:
        session: Seconds for each session, however short.
        second: Seconds for each second of the recording; used for audio families only.
        word: Seconds for each word of the transcript; used for text families only.
    """

    session: float = 1e-3
    second: float = 5e-4
    word: float = 3e-5


_Input_contra = TypeVar("_Input_contra", contravariant=True)

BatchFunction = Callable[[Sequence[_Input_contra]], Sequence[Mapping[Speaker, Computed]]]
"""Takes sessions; returns, for each of them in order, the values of each speaker who speaks in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches(Generic[_Input_contra]):
    """How a family computes several sessions at once, as a model on a device does.

    A session's values must not depend on which sessions share its batch, except for rounding.

    Attributes:
        sessions: The most sessions of a batch, at least 1.
        start: Called once in each computing process, with the device that NOVOIC_DEVICE names (`cpu`, `cuda:0`, …).
            It loads what the family needs, and returns the function that computes a batch.
    """

    sessions: int
    start: Callable[[str], BatchFunction[_Input_contra]]


@dataclass(frozen=True, kw_only=True)
class Family:
    """A group of values that are computed together.

    Attributes:
        name: Unique among all families.
        version: Raise it whenever the values change.
        description: One sentence on what the family measures.
        members: Its values, in order; their number is the family's length.
        speakers: The speakers that it describes.
        settings: What else the values depend on, such as a model, in one line; part of the fingerprint.
        is_covariate: Whether it describes the circumstances instead of the speech. Covariates are published beside
            the matrices and never inside them.
        cost: What computing it takes.
        batches: Computes several sessions at once; None for a family that computes one at a time.
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
    """Return the families whose values are columns of the matrices: all but covariates."""
    return tuple(family for family in families if not family.is_covariate)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureValues:
    """One family's values for one speaker of one session.

    Attributes:
        status: Why the values are what they are.
        vector: float32, shape (length of the family,); NaN where undefined.
        reasons: If the status is `partial`, why each value is NaN, or None for a number; otherwise empty.
    """

    status: Status
    vector: NDArray[np.float32]
    reasons: tuple[Undefined | None, ...] = ()


def nothing(family: Family, status: Status) -> FeatureValues:
    """Return the values of a speaker without anything to compute: all NaN."""
    return FeatureValues(status, np.full(len(family.members), np.nan, np.float32))


def feature_values(family: Family, computed: Computed) -> FeatureValues:
    """Turn what a family computed into a vector and a status.

    Args:
        family: The family.
        computed: A number or a reason for each of its values, in order.

    Returns:
        float32, shape (length of the family,), with status `ok` if all values are finite numbers, else `partial`.

    Raises:
        ValueError: The family broke its contract: the number of values is wrong, a number is not finite, or a
            value does not declare its reason.

    Example:
        >>> share = Value(name="share", unit="1", formula="a / b", source="", undefined=(Undefined.ZERO_DENOMINATOR,))
        >>> family = Family(name="shares", version="1", description="A share.", members=(share,))
        >>> feature_values(family, [0.5])
        FeatureValues(status=<Status.OK: 'ok'>, vector=array([0.5], dtype=float32), reasons=())
        >>> feature_values(family, [Undefined.ZERO_DENOMINATOR]).vector
        array([nan], dtype=float32)
    """
    if len(computed) != len(family.members):
        raise ValueError(f"the family {family.name} gave {len(computed)} values instead of {len(family.members)}")
    reasons = tuple(item if isinstance(item, Undefined) else None for item in computed)
    vector = np.array(
        [np.nan if reason is not None else item for item, reason in zip(computed, reasons, strict=True)], np.float32
    )
    defined = np.array([reason is None for reason in reasons])
    if not np.isfinite(vector[defined]).all():
        raise ValueError(f"the family {family.name} gave a number that is not finite; give a reason instead")
    for value, reason in zip(family.members, reasons, strict=True):
        if reason is not None and reason not in value.reasons:
            raise ValueError(f"the value {value.name} does not declare the reason {reason}; add it to `undefined`")
    return FeatureValues(Status.OK, vector) if defined.all() else FeatureValues(Status.PARTIAL, vector, reasons)
