"""Every check of the stages can pass and fail, and counts the faults."""

import numpy as np
import pyarrow as pa
import pytest

from novoic_assets.features.family import Status
from novoic_assets.findings import Finding
from novoic_assets.reasons import OK, Reason
from novoic_assets.stages import findings
from novoic_assets.storage import schemas


def values(*entries: tuple[str, Status, list[float]]) -> pa.ChunkedArray:
    """A `values` column with one row for each (speaker, status, vector) of the family `mfcc`, and a refused row."""
    rows = [
        [{"family": "mfcc", "speaker": speaker, "status": str(status), "vector": vector}]
        for speaker, status, vector in entries
    ]
    return pa.chunked_array([pa.array([*rows, None], schemas.VALUES)])


def patients(*rows: tuple[str, int, int | None, str]) -> pa.Table:
    """Rows of (patient, diagnosis, MMSE, outcome)."""
    names = ("patient", "ad_status", "mmse", "reason")
    types = (pa.string(), pa.int8(), pa.int16(), pa.string())
    return pa.table(
        {name: pa.array([row[i] for row in rows], types[i]) for i, name in enumerate(names)},
    )


def transcripts(*rows: tuple[str, int | None]) -> pa.Table:
    return pa.table({"reason": [reason for reason, _ in rows], "patient_words": [words for _, words in rows]})


NO_AUDIO, DUPLICATE = str(Reason.NO_AUDIO), str(Reason.DUPLICATE_PATIENT)
OK_VALUES = values(("patient", Status.OK, [1.0, 2.0]), ("all", Status.OK, [1.0, 2.0]))

PASSING: dict[str, Finding] = {
    "all rows": findings.reconciled(["b", "a"], ["a", "b"], [OK, NO_AUDIO]),
    "no rows": findings.reconciled([], [], []),
    "unique patients": findings.patients_unique(patients(("P", 0, 29, OK), ("Q", 1, 20, OK), ("P", 0, 1, DUPLICATE))),
    "well controls": findings.controls_impaired(
        patients(("P", 0, 24, OK), ("Q", 1, 3, OK), ("R", 0, None, OK), ("S", 0, 3, DUPLICATE))
    ),
    "patient speech": findings.without_patient_speech(transcripts((OK, 1), (NO_AUDIO, None))),
    "right lengths": findings.wrong_lengths(OK_VALUES, {"mfcc": 2}),
    "finite": findings.not_finite(OK_VALUES),
    "undefined, and says so": findings.not_finite(values(("patient", Status.NO_SPEECH, [np.nan, np.nan]))),
    "audible": findings.inaudible(OK_VALUES),
    "an investigator who is not audible": findings.inaudible(values(("investigator", Status.INAUDIBLE, [0.0, 0.0]))),
    "within the recording": findings.beyond_recording(pa.chunked_array([[0.5, -3.0, None]])),
    "full scale of 1": findings.rescaled(pa.chunked_array([["unit", None]])),
}
FAILING: dict[str, tuple[Finding, str]] = {
    "an input without a row": (findings.reconciled(["a"], ["a", "b"], [OK]), "2 in, 1 ok, 0 quarantined"),
    "a row without an input": (findings.reconciled(["a", "b"], ["a"], [OK, NO_AUDIO]), "1 in, 1 ok, 1 quarantined"),
    "two rows of an input": (findings.reconciled(["a", "a"], ["a"], [OK, OK]), "1 in, 2 ok, 0 quarantined"),
    "another input's row": (findings.reconciled(["a", "c"], ["a", "b"], [OK, OK]), "2 in, 2 ok, 0 quarantined"),
    "a row without outcome": (findings.reconciled(["a"], ["a"], [None]), "1 in, 0 ok, 1 quarantined"),
    "a patient twice": (
        findings.patients_unique(patients(("P", 0, 29, OK), ("P", 1, 20, OK))),
        "1 patients have a second valid row",
    ),
    "an impaired control": (
        findings.controls_impaired(patients(("P", 0, 23, OK), ("Q", 1, 3, OK))),
        "1 controls have an MMSE below 24",
    ),
    "no patient speech": (findings.without_patient_speech(transcripts((OK, 0), (OK, 3))), "1 sessions"),
    "wrong lengths": (findings.wrong_lengths(OK_VALUES, {"mfcc": 3}), "2 vectors"),
    "not finite": (findings.not_finite(values(("all", Status.OK, [np.inf, 1.0]))), "1 vectors"),
    "inaudible": (
        findings.inaudible(values(("all", Status.INAUDIBLE, [0.0, 0.0]), ("patient", Status.INAUDIBLE, [0.0, 0.0]))),
        "1 recordings are inaudible; the patient is inaudible in 1",
    ),
    "beyond the recording": (findings.beyond_recording(pa.chunked_array([[0.51, 0.5, None]])), "1 transcripts"),
    "another full scale": (
        findings.rescaled(pa.chunked_array([["unit", "int16", "over", "over", None]])),
        "1 float recordings had the scale of int16 and were divided by 32768; 2 exceed full scale",
    ),
}
ERRORS = {"reconciled", "patients_unique", "lengths", "finite"}


@pytest.mark.parametrize("case", PASSING)
def test_a_check_passes_when_all_is_well(case: str) -> None:
    assert PASSING[case].passed is True


@pytest.mark.parametrize("case", FAILING)
def test_a_check_fails_and_counts_what_is_wrong(case: str) -> None:
    finding, said = FAILING[case]
    assert finding.passed is False
    assert said in finding.description


def test_each_check_is_an_error_or_a_warning_whether_it_passes_or_fails() -> None:
    every = [*PASSING.values(), *(finding for finding, _ in FAILING.values())]
    assert {finding.name for finding in PASSING.values()} == {finding.name for finding, _ in FAILING.values()}
    assert {finding.name for finding in every if finding.is_error} == ERRORS
    assert not ERRORS & {finding.name for finding in every if not finding.is_error}


def test_the_counts_of_a_reconciliation_add_up() -> None:
    counts = findings.reconciled(["a", "b", "c"], ["a", "b", "c"], [OK, NO_AUDIO, OK]).counts
    assert counts == {"in": 3, "ok": 2, "quarantined": 1}
