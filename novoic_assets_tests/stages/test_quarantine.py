"""The quarantine lists each refused input once, under the stage that refused it."""

from pathlib import Path

import pyarrow as pa

from novoic_assets.reasons import OK, Reason
from novoic_assets.stages.quarantine import QUARANTINE, count_reasons, quarantine, read_quarantine
from novoic_assets.storage.files import Storage
from novoic_assets.storage.store_tables import StoreTables


def sessions(**reasons: str) -> pa.Table:
    return pa.table({"session": list(reasons), "reason": list(reasons.values()), "detail": [None] * len(reasons)})


def test_a_session_is_listed_once_under_the_stage_that_refused_it() -> None:
    found = quarantine(
        {
            "raw_metadata": pa.table({"line": [2, 3], "reason": [OK, str(Reason.INVALID_METADATA)]}),
            "parsed_transcripts": sessions(a=OK, b=str(Reason.MALFORMED_TRANSCRIPT), c=OK),
            "text_features": sessions(a=OK, b=str(Reason.TRANSCRIPT_REFUSED), c=OK),
            "audio_features": sessions(a=str(Reason.NO_AUDIO), b=str(Reason.TRANSCRIPT_REFUSED), c=OK),
        }
    )
    assert found.schema == QUARANTINE
    assert [(row["stage"], row["reason"], row["session"], row["line"]) for row in found.to_pylist()] == [
        ("raw_metadata", "invalid_metadata", None, 3),
        ("parsed_transcripts", "malformed_transcript", "b", None),
        ("audio_features", "no_audio", "a", None),
    ]


def test_reasons_are_counted_by_stage() -> None:
    found = quarantine(
        {
            "text_features": sessions(a=str(Reason.INTERNAL_ERROR)),
            "audio_features": sessions(a=str(Reason.NO_AUDIO), b=str(Reason.NO_AUDIO), c=str(Reason.EMPTY_AUDIO)),
        }
    )
    assert count_reasons(found) == {
        ("audio_features", "empty_audio"): 1,
        ("audio_features", "no_audio"): 2,
        ("text_features", "internal_error"): 1,
    }


def test_an_empty_quarantine_has_its_columns() -> None:
    assert quarantine({"text_features": sessions(a=OK)}).schema == QUARANTINE
    assert count_reasons(quarantine({})) == {}


def test_the_quarantine_of_a_store_is_read_from_its_tables(tmp_path: Path) -> None:
    tables = StoreTables(Storage(str(tmp_path), "NOVOIC_STORE"))
    assert read_quarantine(tables).num_rows == 0
    contents = [
        (tables.patients, [{"row": "000000007", "line": 7, "reason": "duplicate_patient", "patient": "P"}]),
        (tables.transcripts, [{"session": "a", "reason": "no_words"}, {"session": "b", "reason": OK}]),
        (tables.text_features, [{"session": "a", "reason": "transcript_refused"}, {"session": "b", "reason": OK}]),
        (tables.audio_features, [{"session": "b", "reason": "internal_error", "detail": "KeyError at x.py:1"}]),
    ]
    for table, rows in contents:
        table.snapshot().overwrite(pa.Table.from_pylist(rows, schema=table.schema))
    assert read_quarantine(tables).to_pylist() == [
        {"stage": "raw_metadata", "reason": "duplicate_patient", "session": None, "line": 7, "detail": None},
        {"stage": "parsed_transcripts", "reason": "no_words", "session": "a", "line": None, "detail": None},
        {
            "stage": "audio_features",
            "reason": "internal_error",
            "session": "b",
            "line": None,
            "detail": "KeyError at x.py:1",
        },
    ]
