"""Cohorts: who is a case, who is a control and who is excluded.

Each cohort gives one dataset. To add a dataset, add an entry to `COHORTS`.
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
        mmse: Mini-Mental State Examination, 0 to 30; None if it is missing.
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
    """The class of a patient in a cohort."""

    CONTROL = "control"
    CASE = "case"


class Exclusion(StrEnum):
    """Why a cohort excludes a patient."""

    STATUS = "status"
    AGE = "age"
    MMSE = "mmse"
    MMSE_MISSING = "mmse_missing"


@dataclass(frozen=True, slots=True)
class Criterion:
    """Who belongs to one class of a cohort.

    Attributes:
        ad_status: The diagnosis.
        mmse_above: The score that a patient's MMSE must exceed; None for no limit.
    """

    ad_status: int
    mmse_above: int | None = None

    def exclusion(self, patient: Patient) -> Exclusion | None:
        """Return why a patient does not belong to the class, or None if the patient does."""
        if patient.ad_status != self.ad_status:
            return Exclusion.STATUS
        if self.mmse_above is None:
            return None
        if patient.mmse is None:
            return Exclusion.MMSE_MISSING
        return None if patient.mmse > self.mmse_above else Exclusion.MMSE


@dataclass(frozen=True, slots=True)
class Cohort:
    """The people of a dataset.

    Attributes:
        name: The dataset's name.
        description: Who belongs to the cohort, in a sentence.
        case: Who is a case (y = 1).
        control: Who is a control (y = 0).
        age_from: The lowest age, in completed years; None for no limit.
        age_below: All ages are below this one, in completed years; None for no limit.
    """

    name: str
    description: str
    case: Criterion
    control: Criterion
    age_from: int | None = None
    age_below: int | None = None

    def classify(self, patient: Patient) -> Label | Exclusion:
        """Return a patient's class, or why the cohort excludes the patient.

        >>> patient = Patient("P1", age=63, gender="female", mmse=25, ad_status=1, split="train")
        >>> [str(cohort.classify(patient)) for cohort in COHORTS]
        ['case', 'mmse', 'age']
        """
        if (self.age_from is not None and patient.age < self.age_from) or (
            self.age_below is not None and patient.age >= self.age_below
        ):
            return Exclusion.AGE
        as_case, as_control = self.case.exclusion(patient), self.control.exclusion(patient)
        if as_case is None:
            return Label.CASE
        if as_control is None:
            return Label.CONTROL
        # Give the reason of the class whose diagnosis the patient has.
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
