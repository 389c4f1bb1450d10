"""A bad session costs only itself, and its row does not quote it."""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.errors import NovoicError, StorageError, type_and_place
from novoic_assets.reasons import OK, Reason, Refused
from novoic_assets.sessions.formats.rules import MAX_BYTES
from novoic_assets.stages.parsing import TASKS, ParseTranscripts
from novoic_assets.stages.worker import SingleSessionWorker
from novoic_assets.storage.files import Storage
from novoic_assets_tests.lab import transcript_xml

SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("session", "reason", "detail")),
        pa.field("value", pa.int8()),
    ]
)
BAD_TYPES: dict[str, object] = {"too large": 1_000, "of another type": "a secret word", "no number": [1]}


@dataclass(frozen=True)
class Double(SingleSessionWorker):
    """Double small numbers; other tasks name the way in which they fail."""

    schema: ClassVar[pa.Schema] = SCHEMA

    def compute(self, task: dict[str, Any]) -> dict[str, Any]:
        what = task["what"]
        if what == "refuse":
            raise Refused(Reason.EMPTY_AUDIO)
        if what == "fail":
            raise KeyError("a secret word")
        if what == "stop":
            raise StorageError("the storage does not answer")
        return {"value": BAD_TYPES[what] if what in BAD_TYPES else 2 * int(what)}


def outcome(what: str, refusal: str | None) -> tuple[str, int | None]:
    if refusal:
        return refusal, None
    if what == "refuse":
        return "empty_audio", None
    if what == "fail" or what in BAD_TYPES:
        return "internal_error", None
    return OK, 2 * int(what)


KINDS = st.sampled_from(["1", "2", "refuse", "fail", *BAD_TYPES])
REFUSALS = st.sampled_from([None, None, str(Reason.NO_AUDIO)])


@settings(max_examples=60, deadline=None)
@given(tasks=st.lists(st.tuples(KINDS, REFUSALS), max_size=8))
def test_every_task_has_one_row_and_a_bad_one_costs_no_other(tasks: list[tuple[str, str | None]]) -> None:
    batch = pa.RecordBatch.from_pylist(
        [{"session": f"S{i}", "what": what, "refusal": refusal} for i, (what, refusal) in enumerate(tasks)],
        schema=pa.schema([(name, pa.string()) for name in ("session", "what", "refusal")]),
    )
    result = Double()(batch)
    assert result.schema == SCHEMA
    assert [(row["session"], row["reason"], row["value"]) for row in result.to_pylist()] == [
        (f"S{i}", *outcome(*task)) for i, task in enumerate(tasks)
    ]
    assert "secret" not in str(result.to_pylist())


def test_an_internal_error_reports_the_exception_and_its_place() -> None:
    (row,) = Double()(pa.RecordBatch.from_pylist([{"session": "S", "what": "fail"}])).to_pylist()
    assert row["detail"].startswith(f"KeyError at {Path(__file__).name}:")


def test_an_exception_without_a_place_is_reported_by_its_type() -> None:
    assert type_and_place(ValueError("a secret word")) == "ValueError"


def test_a_failure_that_is_not_the_inputs_fault_stops_the_run() -> None:
    tasks = pa.RecordBatch.from_pylist([{"session": "a", "what": "1"}, {"session": "b", "what": "stop"}])
    with pytest.raises(NovoicError, match="the storage does not answer"):
        Double()(tasks)


def test_transcripts_are_parsed_and_bad_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    spoken = [(0.0, 0.5, [("_inv", "well")]), (0.6, 1.8, [("P", "the"), ("P", "boy")])]
    for session, xml in {
        "good": transcript_xml("good", spoken, "P"),
        "other": transcript_xml("another", spoken, "P"),
        "broken": "<root>",
        "changed": transcript_xml("changed", spoken, "P"),
        "gone": transcript_xml("gone", spoken, "P"),
        "huge": transcript_xml("huge", spoken, "P"),
    }.items():
        (tmp_path / "text" / f"{session}.xml").write_text(xml)
    raw = Storage(str(tmp_path), "NOVOIC_RAW")
    tasks = [
        {"session": Path(info.path).stem, "path": info.path, "size": info.size, "etag": info.etag}
        for info in sorted(raw.list("text"), key=lambda info: info.path)
    ]
    tasks.append({**tasks[0], "session": "twice", "refusal": str(Reason.AMBIGUOUS_TRANSCRIPT)})
    for task in tasks:
        if task["session"] == "huge":
            task["size"] = MAX_BYTES + 1
    os.utime(tmp_path / "text" / "changed.xml", (0, 0))
    (tmp_path / "text" / "gone.xml").unlink()

    worker = pickle.loads(pickle.dumps(ParseTranscripts(raw)))
    rows = {row["session"]: row for row in worker(pa.RecordBatch.from_pylist(tasks, schema=TASKS)).to_pylist()}

    assert {session: row["reason"] for session, row in rows.items()} == {
        "broken": "malformed_transcript",
        "changed": "file_changed",
        "gone": "file_changed",
        "good": OK,
        "huge": "forbidden_markup",
        "other": "session_id_mismatch",
        "twice": "ambiguous_transcript",
    }
    good = rows["good"]
    assert (good["patient"], good["words"], good["patient_words"], good["end"]) == ("P", 3, 2, 1.8)
    assert good["segments"][1]["words"] == [
        {"text": "the", "speaker": "patient"},
        {"text": "boy", "speaker": "patient"},
    ]
