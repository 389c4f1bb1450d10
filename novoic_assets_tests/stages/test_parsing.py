"""The parsed stage: each row's fingerprint depends on its own format alone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pytest

from novoic_assets.errors import NovoicError
from novoic_assets.reasons import OK, Reason
from novoic_assets.sessions.formats import registered
from novoic_assets.stages.listing import extensions_of, session_files
from novoic_assets.stages.parsing import TASKS, ParsedStage, ParseTranscripts
from novoic_assets.storage import schemas
from novoic_assets.storage.files import FileInfo, Storage
from novoic_assets_tests.installed import installed
from novoic_assets_tests.lab import Lab
from novoic_assets_tests.sessions.formats.lines import LINES

MODIFIED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[None]:
    """A package that adds a format."""
    with installed(tmp_path / "site", "lab_lines", LINES, {registered.ENTRY_POINTS: {"lines": "lab_lines:LINES"}}):
        yield


def wanted(lab: Lab, *paths: str) -> dict[str, str]:
    """The fingerprints that the stage wants for listed files, by session."""
    rows = [
        {"path": path, "session": PurePosixPath(path).stem, "size": size, "etag": "etag", "modified": MODIFIED}
        for size, path in enumerate(paths, 1)
    ]
    lab.tables.transcript_files.snapshot().overwrite(pa.Table.from_pylist(rows, schema=schemas.FILES))
    upstream = ParsedStage(Storage(lab.raw_root, "NOVOIC_RAW"), lab.tables).upstream()
    return {session: each.fingerprint for session, each in upstream.wanted.items()}


def raised(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Raise the version of a format."""
    changed = tuple(replace(form, version="9") if form.name == name else form for form in registered.formats())
    monkeypatch.setattr(registered, "formats", lambda: changed)


def test_the_fingerprints_of_xml_are_the_same_as_before_formats_had_names(lab: Lab, lines: None) -> None:
    assert wanted(lab, "text/a.xml") == {"a": "2e77311857bccb3034e9f1828be9d063"}  # pragma: allowlist secret
    of_both = "a50a50ea93f53ed9fee8872a3499f130"  # pragma: allowlist secret
    assert wanted(lab, "text/a.xml", "text/b/a.XML") == {"a": of_both}


def test_a_row_depends_on_the_version_of_its_own_format_alone(
    lab: Lab, lines: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ("text/a.xml", "text/b.lines", "text/c.lines", "text/c.xml")
    before = wanted(lab, *paths)
    with monkeypatch.context() as patch:
        raised(patch, "lines")
        after = wanted(lab, *paths)
        assert {session for session in before if before[session] != after[session]} == {"b", "c"}
    with monkeypatch.context() as patch:
        raised(patch, "xml")
        after = wanted(lab, *paths)
        assert {session for session in before if before[session] != after[session]} == {"a", "c"}


def test_a_format_that_comes_and_goes_leaves_the_rows_of_the_others(lab: Lab, tmp_path: Path) -> None:
    before = wanted(lab, "text/a.xml")
    points = {registered.ENTRY_POINTS: {"lines": "lab_lines:LINES"}}
    with installed(tmp_path / "site", "lab_lines", LINES, points):
        assert wanted(lab, "text/a.xml", "text/b.ln")["a"] == before["a"]
    assert wanted(lab, "text/a.xml") == before


def test_two_transcripts_of_a_session_are_ambiguous_whatever_their_formats(lab: Lab, lines: None) -> None:
    wanted(lab, "text/a.xml", "text/x/a.lines", "text/b.lines")
    tasks = ParsedStage(Storage(lab.raw_root, "NOVOIC_RAW"), lab.tables).upstream().tasks(["a", "b"]).to_pylist()
    assert [task["refusal"] for task in tasks] == [Reason.AMBIGUOUS_TRANSCRIPT, None]


def test_a_listed_file_whose_format_is_gone_stops_the_stage_with_a_clear_line(lab: Lab) -> None:
    with pytest.raises(NovoicError, match="not installed here"):
        wanted(lab, "text/a.xml", "text/b.lines")


def test_a_listing_takes_the_files_of_every_installed_format(tmp_path: Path) -> None:
    files = [FileInfo(f"text/{name}", 1, "", MODIFIED) for name in ("a.xml", "b.Lines", "c.wav")]

    def taken() -> list[str]:
        return [file.session for file in session_files(files, extensions_of("text"))[0]]

    assert taken() == ["a"]
    with installed(tmp_path / "site", "lab_lines", LINES, {registered.ENTRY_POINTS: {"lines": "lab_lines:LINES"}}):
        assert taken() == ["a", "b"]
    assert taken() == ["a"]


BROKEN = f"""{LINES}
from dataclasses import replace
from novoic_assets.errors import NovoicError


def break_down(data, context):
    text = data.decode()
    if text == "stop":
        raise NovoicError("a secret word")
    if text == "end":
        raise SystemExit("a secret word")
    if text == "fail":
        raise ZeroDivisionError("a secret word")
    if text == "nothing":
        return None
    if text == "nan":
        return Transcript("P", (Segment(float("nan"), 1.0, (Word("well", "patient"),)),))
    if text == "long":
        return Transcript("P", (Segment(0.0, 1.0, (Word("x" * 20_000, "patient"),)),))
    if text == "role":
        return Transcript("P", (Segment(0.0, 1.0, (Word("well", "doctor"),)),))
    return parse(data, context)


BROKEN = replace(LINES, parse=break_down)
"""
OUTCOMES = {
    "stop": Reason.INTERNAL_ERROR,
    "end": Reason.INTERNAL_ERROR,
    "fail": Reason.INTERNAL_ERROR,
    "nothing": Reason.INTERNAL_ERROR,
    "role": Reason.INTERNAL_ERROR,
    "nan": Reason.INVALID_TIMES,
    "long": Reason.FORBIDDEN_MARKUP,
    "0 1 patient well": OK,
}


def test_a_broken_parser_costs_its_own_sessions_and_quotes_nothing(tmp_path: Path, lab: Lab) -> None:
    for number, text in enumerate(OUTCOMES):
        (lab.raw / "text" / f"S{number}.lines").write_text(text)
    raw = Storage(lab.raw_root, "NOVOIC_RAW")
    tasks = [
        {"session": Path(info.path).stem, "path": info.path, "size": info.size, "etag": info.etag}
        for info in sorted(raw.list("text"), key=lambda info: info.path)
    ]
    points = {registered.ENTRY_POINTS: {"lines": "lab_broken:BROKEN"}}
    with installed(tmp_path / "site", "lab_broken", BROKEN, points):
        rows = ParseTranscripts(raw)(pa.RecordBatch.from_pylist(tasks, schema=TASKS)).to_pylist()
    assert {row["session"]: row["reason"] for row in rows} == {
        f"S{number}": outcome for number, outcome in enumerate(OUTCOMES.values())
    }
    assert "secret" not in str(rows)
