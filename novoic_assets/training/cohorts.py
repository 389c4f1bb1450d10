"""The cohorts: who is a case, who is a control, and who is left out.

A cohort is one entry of `COHORTS`; a fourth dataset is one more entry.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


@dataclass(frozen=True, slots=True)
class Patient:
    """A valid row of the metadata.

    Attributes:
        patient: The speakerid.
        age: Completed years.
        gender: As in the metadata.
        mmse: Mini-Mental State Examination, 0 to 30, or None where it is missing.
        ad_status: 1 for a diagnosis of Alzheimer's disease, else 0.
        split: `train` or `test`.
    """

    patient: str
    age: int
    gender: str
    mmse: int | None
    ad_status: int
    split: str


class Label(StrEnum):
    """What a patient is to a cohort."""

    CONTROL = "control"
    CASE = "case"


class Exclusion(StrEnum):
    """Why a patient is no member of a cohort."""

    STATUS = "status"
    AGE = "age"
    MMSE = "mmse"
    MMSE_MISSING = "mmse_missing"


@dataclass(frozen=True, slots=True)
class Criterion:
    """Who belongs to one side of a cohort.

    Attributes:
        ad_status: The diagnosis.
        mmse_above: The score that must be exceeded, where there is one.
    """

    ad_status: int
    mmse_above: int | None = None

    def exclusion(self, patient: Patient) -> Exclusion | None:
        """Why a patient with any diagnosis does not belong, or None for one who does."""
        if patient.ad_status != self.ad_status:
            return Exclusion.STATUS
        if self.mmse_above is None:
            return None
        if patient.mmse is None:
            return Exclusion.MMSE_MISSING
        return None if patient.mmse > self.mmse_above else Exclusion.MMSE


@dataclass(frozen=True, slots=True)
class Cohort:
    """A training dataset's population.

    Attributes:
        name: The dataset's name.
        description: Who is in it, in a sentence.
        case: Who is a case (y = 1).
        control: Who is a control (y = 0).
        age_from: The youngest age, in completed years, where there is one.
        age_below: The age, in completed years, that nobody has reached, where there is one.
    """

    name: str
    description: str
    case: Criterion
    control: Criterion
    age_from: int | None = None
    age_below: int | None = None

    def classify(self, patient: Patient) -> Label | Exclusion:
        """What a patient is to the cohort."""
        if (self.age_from is not None and patient.age < self.age_from) or (
            self.age_below is not None and patient.age >= self.age_below
        ):
            return Exclusion.AGE
        as_case, as_control = self.case.exclusion(patient), self.control.exclusion(patient)
        if as_case is None:
            return Label.CASE
        if as_control is None:
            return Label.CONTROL
        # The side whose diagnosis the patient has knows best what is missing.
        return as_control if as_case is Exclusion.STATUS else as_case


_AD: Final = Criterion(ad_status=1)
_HC: Final = Criterion(ad_status=0)

COHORTS: Final[tuple[Cohort, ...]] = (
    Cohort(
        name="ad_vs_hc",
        description="Patients with Alzheimer's disease against healthy controls.",
        case=_AD,
        control=_HC,
    ),
    Cohort(
        name="ad_mci_vs_hc",
        description=(
            "Patients with Alzheimer's disease whose MMSE is above 26, as in mild cognitive impairment,"
            " against healthy controls."
        ),
        case=Criterion(ad_status=1, mmse_above=26),
        control=_HC,
    ),
    Cohort(
        name="ad_vs_hc_under_60",
        description="Patients with Alzheimer's disease against healthy controls, all younger than 60.",
        case=_AD,
        control=_HC,
        age_below=60,
    ),
)
