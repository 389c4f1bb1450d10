"""The digest of what a dataset was made from.

Stores hold these digests, so the text that is hashed never changes. It is spelled out here, names of classes and
attributes included: code may rename its own, and the text stays.
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
    """Digest of the raw files, metadata and settings that a dataset was made from.

    Args:
        cohort: The cohort.
        families: The families of each modality.
        covariates: Names of the covariates.
        members: For each row of the dataset, the patient and the SHA-256 of the session's file of each modality.

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
    """A cohort as digests hash it."""
    return (
        f"Cohort(name={cohort.name!r}, description={cohort.description!r}, case={_criterion_text(cohort.case)},"
        f" control={_criterion_text(cohort.control)}, age_from={cohort.age_from!r}, age_below={cohort.age_below!r})"
    )


def _criterion_text(criterion: Criterion) -> str:
    return f"Criterion(ad_status={criterion.ad_status!r}, mmse_above={criterion.mmse_above!r})"


def patient_text(patient: Patient) -> str:
    """A patient as digests hash it."""
    return (
        f"Patient(patient={patient.patient!r}, age={patient.age!r}, gender={patient.gender!r}, mmse={patient.mmse!r},"
        f" ad_status={patient.ad_status!r}, split={patient.split!r})"
    )


def names_text(names: Sequence[str]) -> str:
    """A list of names as digests hash it."""
    return f"[{', '.join(map(repr, names))}]"
