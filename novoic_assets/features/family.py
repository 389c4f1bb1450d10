"""What a feature family says of one session: a status and a vector for each speaker."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Speaker = Literal["patient", "investigator", "all"]
PATIENT: Final = "patient"
INVESTIGATOR: Final = "investigator"
ALL: Final = "all"
SPEAKERS: Final[tuple[Speaker, ...]] = (PATIENT, INVESTIGATOR, ALL)


class Status(StrEnum):
    """Why a speaker's values are what they are."""

    OK = "ok"
    """Every value is finite."""
    NO_SPEECH = "no_speech"
    """The speaker has no words (text), or no segment of their own (audio): the values are NaN."""
    TOO_SHORT = "too_short"
    """There is speech, but not one whole frame of it: the values are NaN."""
    INAUDIBLE = "inaudible"
    """The values are computed, but the signal behind them has no energy where speech has it."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureValues:
    """One family's values for one speaker of one session.

    Attributes:
        status: Why the values are what they are.
        vector: float32, shape (length of the family,); NaN where undefined.
    """

    status: Status
    vector: NDArray[np.float32]
