"""The checks of a dataset, which read the arrays as they were written."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.family import PATIENT, SPEAKERS, features
from novoic_assets.features.modalities import MODALITIES, Modality
from novoic_assets.findings import Finding
from novoic_assets.training.dataset import Dataset, class_counts

ERROR_CHECKS: Final = ("flow_reconciled", "patient_in_one_split", "lengths", "finite")
DATA_WARNINGS: Final = ("not_empty", "both_classes", *(modality.check.name for modality in MODALITIES))
FILES_WARNING: Final = "files_written"
WARNING_CHECKS: Final = (*DATA_WARNINGS, FILES_WARNING)


def dataset_findings(dataset: Dataset, arrays: Mapping[str, NDArray[Any]]) -> Sequence[Finding]:
    """Check a dataset.

    Args:
        dataset: The dataset that should have been written.
        arrays: The arrays that were written, by name.

    Returns:
        A finding for each of `ERROR_CHECKS` and `DATA_WARNINGS`.
    """
    flow, counts = dataset.flow, class_counts(arrays["y"], arrays["split"])
    empty = [f"{split} {label}" for split, row in counts.items() for label, count in row.items() if not count]
    return [
        Finding(
            "flow_reconciled",
            passed=flow.balanced and len(arrays["y"]) == flow.included,
            is_error=True,
            description=(
                f"{flow.sessions} in, {flow.included} included, {sum(flow.excluded.values())} excluded,"
                f" {sum(flow.quarantined.values())} quarantined"
            ),
        ),
        _patients_in_two_splits(arrays),
        _wrong_lengths(dataset, arrays),
        _not_finite(arrays),
        Finding(
            "not_empty",
            passed=flow.included > 0,
            is_error=False,
            description=f"{flow.included} sessions belong to the cohort"
            + ("" if flow.included else "; nothing is published"),
        ),
        Finding(
            "both_classes",
            passed=not empty,
            is_error=False,
            description="both classes are in both splits" if not empty else f"no {', no '.join(empty)}",
        ),
        *(_patients_without(arrays, modality) for modality in MODALITIES),
    ]


def _patients_in_two_splits(arrays: Mapping[str, NDArray[Any]]) -> Finding:
    pairs = set(zip(arrays["patient"].tolist(), arrays["split"].tolist(), strict=True))
    count = len(pairs) - len({patient for patient, _ in pairs})
    return Finding(
        "patient_in_one_split", count == 0, is_error=True, description=f"{count} patients are in both splits"
    )


def _wrong_lengths(dataset: Dataset, arrays: Mapping[str, NDArray[Any]]) -> Finding:
    wrong = []
    for modality in MODALITIES:
        width = sum(len(family.members) for family in features(dataset.families[modality.name]))
        for speaker in SPEAKERS:
            matrix, reason, status = (arrays[f"{kind}_{modality.name}_{speaker}"] for kind in ("X", "reason", "status"))
            expected = (len(arrays["y"]), width)
            if {matrix.shape, reason.shape} != {expected} or matrix.dtype != np.float32 or status.shape != expected[:1]:
                wrong.append(f"{modality.name} {speaker}")
    return Finding(
        "lengths",
        passed=not wrong,
        is_error=True,
        description=f"unexpected shape: {', '.join(wrong)}" if wrong else "all matrices have the declared shape",
    )


def _not_finite(arrays: Mapping[str, NDArray[Any]]) -> Finding:
    count = 0
    for modality in MODALITIES:
        for speaker in SPEAKERS:
            is_number = np.isfinite(arrays[f"X_{modality.name}_{speaker}"])
            has_reason = arrays[f"reason_{modality.name}_{speaker}"] > 0
            if is_number.shape == has_reason.shape:  # else `lengths` fails
                count += int(np.sum((is_number == has_reason).any(axis=1)))
    return Finding(
        "finite",
        count == 0,
        is_error=True,
        description=f"{count} rows have a value with neither a number nor a reason, or with both",
    )


def _patients_without(arrays: Mapping[str, NDArray[Any]], modality: Modality) -> Finding:
    check = modality.check
    count = int(np.sum(arrays[f"status_{modality.name}_{PATIENT}"] == str(check.status)))
    return Finding(check.name, count == 0, is_error=False, description=f"{count} {check.says}", counts={"count": count})
