"""Every check of a dataset can pass and can fail."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from novoic_assets.findings import Finding
from novoic_assets.training.dataset import Dataset, assemble
from novoic_assets.training.findings import DATA_WARNINGS, ERROR_CHECKS, dataset_findings
from novoic_assets.training.members import Flow
from novoic_assets_tests.training.builders import AD_VS_HC, PSEUDONYMS, cohort_of_eight, sources

Arrays = dict[str, np.ndarray]


def check(dataset: Dataset, arrays: Arrays | None = None) -> dict[str, Finding]:
    found = dataset_findings(dataset, dataset.arrays if arrays is None else arrays)
    assert [finding.name for finding in found if finding.is_error] == list(ERROR_CHECKS)
    assert [finding.name for finding in found if not finding.is_error] == list(DATA_WARNINGS)
    return {finding.name: finding for finding in found}


def failed(found: dict[str, Finding]) -> set[str]:
    return {name for name, finding in found.items() if not finding.passed}


def changed(name: str, change: Callable[[np.ndarray], np.ndarray | None]) -> tuple[Dataset, Arrays]:
    """A dataset, and its arrays with a change in one."""
    dataset = cohort_of_eight()
    array = dataset.arrays[name].copy()
    result = change(array)
    return dataset, {**dataset.arrays, name: array if result is None else result}


def set_first(value: object) -> Callable[[np.ndarray], None]:
    def change(array: np.ndarray) -> None:
        array[0] = value

    return change


def test_a_sound_dataset_passes_every_check() -> None:
    assert failed(check(cohort_of_eight())) == set()


@pytest.mark.parametrize(
    ("name", "change", "fails"),
    [
        ("X_text_all", set_first(np.nan), {"finite"}),
        ("reason_text_all", set_first(1), {"finite"}),
        ("reason_text_all", lambda array: array[:, :2], {"lengths"}),
        ("X_audio_investigator", set_first(np.inf), {"finite"}),
        ("X_audio_patient", lambda array: array[:, :2], {"lengths"}),
        ("X_audio_patient", lambda array: array.astype(np.float64), {"lengths"}),
        ("status_text_patient", set_first("no_speech"), {"patient_speech"}),
        ("status_audio_patient", set_first("inaudible"), {"audible"}),
        ("status_audio_all", set_first("inaudible"), set()),
        ("y", lambda array: array * 0, {"both_classes"}),
        ("split", lambda array: np.where(array == "test", "train", array), {"both_classes"}),
    ],
)
def test_only_the_check_of_a_fault_fails(name: str, change: Callable, fails: set[str]) -> None:
    assert failed(check(*changed(name, change))) == fails


def test_undefined_values_with_a_reason_are_no_error() -> None:
    dataset, arrays = changed("X_text_patient", set_first(np.nan))
    arrays["reason_text_patient"] = np.where(np.isnan(arrays["X_text_patient"]), np.uint8(1), np.uint8(0))
    arrays["status_text_patient"] = np.array(["no_speech", *dataset.arrays["status_text_patient"][1:]])
    assert failed(check(dataset, arrays)) == {"patient_speech"}


def test_a_patient_in_both_splits_is_an_error() -> None:
    dataset = cohort_of_eight()
    (rows,) = np.nonzero(dataset.arrays["patient"] == PSEUDONYMS.patient("pat-0"))
    split = dataset.arrays["split"].copy()
    split[rows[0]] = "test"
    found = check(dataset, {**dataset.arrays, "split": split})
    assert failed(found) == {"patient_in_one_split"}
    assert found["patient_in_one_split"].description == "1 patients are in both splits"


@pytest.mark.parametrize("flow", [Flow(9, 8, {}, {}), Flow(9, 9, {}, {}), Flow(8, 7, {"age": 1}, {})])
def test_a_flow_that_does_not_add_up_or_does_not_match_the_rows_is_an_error(flow: Flow) -> None:
    assert failed(check(replace(cohort_of_eight(), flow=flow))) == {"flow_reconciled"}


def test_an_empty_dataset_causes_warnings_and_no_error() -> None:
    found = check(assemble(AD_VS_HC, sources([], []), PSEUDONYMS, ()))
    assert failed(found) == {"not_empty", "both_classes"}
    assert "nothing is published" in found["not_empty"].description


def test_a_class_that_is_missing_is_named() -> None:
    found = check(*changed("y", lambda array: array * 0))
    assert found["both_classes"].description == "no train cases, no test cases"


def test_no_description_names_anybody() -> None:
    dataset, arrays = changed("X_text_all", set_first(np.nan))
    said = " ".join(finding.description for finding in check(dataset, arrays).values())
    assert "pat-" not in said
    assert not any(pseudonym in said for pseudonym in dataset.arrays["patient"])
