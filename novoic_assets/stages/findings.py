"""Compute what the checks of the stages find, without Dagster."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from novoic_assets.features import values
from novoic_assets.features.family import ALL, PATIENT, Status
from novoic_assets.findings import Finding
from novoic_assets.reasons import OK

_CONTROL_MMSE: Final = 24  # below it, cognitive impairment is likely (Folstein et al. 1975)


def reconciled(keys: Sequence[str], inputs: Sequence[str], reasons: Sequence[str]) -> Finding:
    """Check that every input has exactly one row: in = ok + quarantined.

    Args:
        keys: The keys of the stage's rows.
        inputs: The keys of its inputs, at the table versions that the stage read.
        reasons: The outcome of each row.

    Example:
        >>> reconciled(["S1", "S2"], ["S1", "S2"], ["ok", "no_words"]).description
        '2 in, 1 ok, 1 quarantined'
    """
    ok = sum(reason == OK for reason in reasons)
    counts = {"in": len(set(inputs)), "ok": ok, "quarantined": len(reasons) - ok}
    passed = sorted(keys) == sorted(set(inputs)) and None not in reasons
    return Finding(
        "reconciled",
        passed=passed,
        is_error=True,
        description=f"{counts['in']} in, {counts['ok']} ok, {counts['quarantined']} quarantined",
        counts=counts,
    )


def patients_unique(patients: pa.Table) -> Finding:
    """Check that no patient has two valid rows, which could disagree or belong to different splits."""
    valid = [row["patient"] for row in patients.to_pylist() if row["reason"] == OK]
    count = len(valid) - len(set(valid))
    return Finding(
        "patients_unique", count == 0, is_error=True, description=f"{count} patients have a second valid row"
    )


def controls_impaired(patients: pa.Table) -> Finding:
    """Check that no control has an MMSE below 24, which may be a wrong label."""
    count = sum(
        row["ad_status"] == 0 and row["mmse"] is not None and row["mmse"] < _CONTROL_MMSE
        for row in patients.to_pylist()
        if row["reason"] == OK
    )
    return _warning("controls_unimpaired", count, f"controls have an MMSE below {_CONTROL_MMSE}")


def without_patient_speech(transcripts: pa.Table) -> Finding:
    """Check that every transcript has words of the patient."""
    count = sum(row["reason"] == OK and row["patient_words"] == 0 for row in transcripts.to_pylist())
    return _warning("patient_speech", count, "sessions have no patient speech")


def wrong_lengths(column: pa.ChunkedArray, widths: Mapping[str, int]) -> Finding:
    """Check that every vector has the length that the catalogue gives."""
    count = values.wrong_lengths(column, widths)
    return Finding(
        "lengths", count == 0, is_error=True, description=f"{count} vectors differ from their declared length"
    )


def not_finite(column: pa.ChunkedArray) -> Finding:
    """Check that every vector with the status `ok` is finite."""
    count = values.not_finite(column)
    return Finding("finite", count == 0, is_error=True, description=f"{count} vectors with status ok are not finite")


def inaudible(column: pa.ChunkedArray) -> Finding:
    """Check that every recording, and the patient's speech in it, has energy above 60 Hz."""
    recordings = values.count_with_status(column, ALL, Status.INAUDIBLE)
    patients = values.count_with_status(column, PATIENT, Status.INAUDIBLE)
    return Finding(
        "audible",
        passed=recordings + patients == 0,
        is_error=False,
        description=f"{recordings} recordings are inaudible; the patient is inaudible in {patients}",
        counts={"recordings": recordings, "patients": patients},
    )


def beyond_recording(overhang: pa.ChunkedArray, tolerance: float = 0.5) -> Finding:
    """Check that every transcript ends within its recording, within a tolerance.

    Args:
        overhang: Seconds by which each transcript ends after its recording; null if the session was refused.
        tolerance: Seconds by which a transcript may end later.
    """
    count = sum(seconds is not None and seconds > tolerance for seconds in overhang.to_pylist())
    return _warning("within_recording", count, "transcripts end after their recording")


def rescaled(scales: pa.ChunkedArray) -> Finding:
    """Check that every float recording has a full scale of 1."""
    counts = Counter(scale for scale in scales.to_pylist() if scale not in (None, "unit"))
    return Finding(
        "full_scale",
        passed=not counts,
        is_error=False,
        description=(
            f"{counts['int16']} float recordings had the scale of int16 and were divided by 32768;"
            f" {counts['over']} exceed full scale and were left unchanged"
        ),
        counts={"int16": counts["int16"], "over": counts["over"]},
    )


def _warning(name: str, count: int, what: str) -> Finding:
    return Finding(name, passed=count == 0, is_error=False, description=f"{count} {what}", counts={"count": count})
