"""The digest of a dataset's inputs.

Stores hold these digests, so the hashed text must never change. This module spells it out, with the names of classes
and attributes, so that the code can rename its own.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from novoic_assets.features.family import Family
from novoic_assets.training.cohorts import Cohort, Criterion, Patient
from novoic_assets.training.families import families_json


def inputs_digest(
    cohort: Cohort,
    families: Mapping[str, Sequence[Family]],
    covariates: Sequence[str],
    members: Iterable[tuple[Patient, Sequence[str]]],
) -> str:
    """Digest the raw files, metadata and settings that a dataset was made from.

    Args:
        cohort: The cohort.
        families: The families of each modality.
        covariates: Names of the covariates.
        members: The patient, and the SHA-256 of the session's file of each modality, for each row of the dataset.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    described = json.dumps(families_json(families), sort_keys=True)
    for part in (cohort_text(cohort), described, names_text(covariates)):
        digest.update(part.encode() + b"\n")
    for patient, files in members:
        digest.update(f"{' '.join((patient_text(patient), *map(str, files)))}\n".encode())
    return digest.hexdigest()


def cohort_text(cohort: Cohort) -> str:
    """The text of a cohort that digests hash."""
    return (
        f"Cohort(name={cohort.name!r}, description={cohort.description!r}, case={_criterion_text(cohort.case)},"
        f" control={_criterion_text(cohort.control)}, age_from={cohort.age_from!r}, age_below={cohort.age_below!r})"
    )


def _criterion_text(criterion: Criterion) -> str:
    return f"Criterion(ad_status={criterion.ad_status!r}, mmse_above={criterion.mmse_above!r})"


def patient_text(patient: Patient) -> str:
    """The text of a patient that digests hash."""
    return (
        f"Patient(patient={patient.patient!r}, age={patient.age!r}, gender={patient.gender!r}, mmse={patient.mmse!r},"
        f" ad_status={patient.ad_status!r}, split={patient.split!r})"
    )


def names_text(names: Sequence[str]) -> str:
    """The text of a list of names that digests hash.

    >>> names_text(["age", "gender"])
    "['age', 'gender']"
    """
    return f"[{', '.join(map(repr, names))}]"
