"""Transcript formats in the real job: one of another package, and a store with reason codes of an older version."""

from pathlib import Path

import dagster as dg
import pyarrow as pa

from novoic_assets.fingerprints import fingerprint
from novoic_assets.reasons import OK, Reason
from novoic_assets.sessions.formats import registered
from novoic_assets.stages.quarantine import count_reasons, read_quarantine
from novoic_assets.storage import schemas
from novoic_assets.storage.tables import Table
from novoic_assets_tests.installed import installed
from novoic_assets_tests.lab import Lab, Run
from novoic_assets_tests.sessions.formats.lines import LINES

# These families are fast to compute; the features themselves are not tested here.
FEW_FAMILIES = "-word_vector,-syntactic,-discourse,-pitch,-voice_quality,-formants,-spectral,-level_and_pauses"
STAGES = ("parsed_transcripts", "text_features", "audio_features")


def run(lab: Lab, instance: dg.DagsterInstance | None = None) -> Run:
    """Run every asset before the datasets."""
    return lab.run(
        select=["raw_metadata", "raw_transcripts", "raw_audio", *STAGES, "quarantine"],
        resources={"settings": {"config": {"families": FEW_FAMILIES}}},
        instance=instance,
    )


def outcomes(lab: Lab, table: str = "transcripts") -> dict[str, str]:
    return {row["session"]: row["reason"] for row in lab.all_rows()[table]}


def test_a_package_adds_a_format_by_installation_alone(lab: Lab, tmp_path: Path) -> None:
    lab.fill(4)
    same = "0 0.5 investigator well ?\n0.6 1.8 patient the boy number 1 is falling ."
    text = lab.raw / "text"
    (text / "S1.xml").unlink()
    (text / "S1.LINES").write_text(same)
    (text / "S2.lines").write_text(same)  # beside its XML
    (text / "S3.xml").unlink()
    (text / "S3.ln").write_bytes(b"a secret \xff word")
    points = {registered.ENTRY_POINTS: {"lines": "lab_lines:LINES"}}

    before = run(lab)
    assert before.success
    assert outcomes(lab) == {"S0": OK, "S2": OK}
    assert before.metadata("raw_transcripts")["ignored files"] == 3
    first = {row["session"]: row for row in lab.all_rows()["transcripts"]}

    with installed(tmp_path / "site", "lab_lines", LINES, points):
        again = run(lab)
        assert again.success
        assert again.computed("parsed_transcripts") == (2, 1, 0)
        assert run(lab).computed("parsed_transcripts") == (0, 0, 0)
    assert outcomes(lab) == {
        "S0": OK,
        "S1": OK,
        "S2": Reason.AMBIGUOUS_TRANSCRIPT,
        "S3": Reason.MALFORMED_TRANSCRIPT,
    }
    rows = {row["session"]: row for row in lab.all_rows()["transcripts"]}
    assert rows["S0"] == first["S0"]
    assert (rows["S1"]["patient"], rows["S1"]["words"], rows["S1"]["patient_words"]) == ("P1", 9, 7)
    assert outcomes(lab, "text_features")["S1"] == outcomes(lab, "audio_features")["S1"] == OK

    # Without the package, the listing ignores its files.
    after = run(lab)
    assert after.success
    assert after.computed("parsed_transcripts") == (0, 1, 2)
    assert {row["session"]: row for row in lab.all_rows()["transcripts"]} == first


def test_equal_content_has_equal_features_whatever_the_format(lab: Lab, tmp_path: Path) -> None:
    lab.add_patient("P1")
    lab.add_session("S1", "P1", words="the boy falls .")
    run(lab)
    before = {row["session"]: row for row in lab.all_rows()["transcripts"]}["S1"]
    (lab.raw / "text" / "S1.xml").unlink()
    (lab.raw / "text" / "S1.lines").write_text("0.0 0.5 investigator well ?\n0.6 1.8 patient the boy falls .\n")
    with installed(tmp_path / "site", "lab_lines", LINES, {registered.ENTRY_POINTS: {"l": "lab_lines:LINES"}}):
        again = run(lab)
    after = {row["session"]: row for row in lab.all_rows()["transcripts"]}["S1"]
    assert after["content"] == before["content"]
    assert after["segments"] == before["segments"]
    # Audio features depend on times and roles alone, so they stay valid.
    assert again.computed("audio_features") == (0, 0, 0)


def test_a_format_that_cannot_be_used_stops_the_listing_with_one_line(lab: Lab, tmp_path: Path) -> None:
    lab.fill(1)
    with installed(tmp_path / "site", "lab_wrong", "", {registered.ENTRY_POINTS: {"wrong": "lab_wrong:MISSING"}}):
        again = run(lab)
    assert not again.success
    assert (
        "the entry point wrong of novoic_assets.transcript_formats cannot be imported (AttributeError at "
        in (again.failures()["raw_transcripts"])
    )


# A store that an older version wrote


OLD = {Reason.MALFORMED_TRANSCRIPT: "malformed_xml", Reason.FORBIDDEN_MARKUP: "forbidden_xml"}


def as_stored(table: Table) -> pa.Table:
    """Return the rows with the codes as stored."""
    return Table(table.storage, table.name, table.schema, table.key).snapshot().select()


def make_old(lab: Lab) -> None:
    """Write the codes and fingerprints of the refused transcripts as an older version did."""
    transcripts = as_stored(lab.tables.transcripts).to_pylist()
    for row in transcripts:
        row["reason"] = OLD.get(row["reason"], row["reason"])
    lab.tables.transcripts.snapshot().overwrite(pa.Table.from_pylist(transcripts, schema=schemas.TRANSCRIPTS))
    text = as_stored(lab.tables.text_features).to_pylist()
    codes = {row["session"]: row["reason"] for row in transcripts}
    for row in text:
        if row["reason"] != OK:
            row["fingerprint"] = fingerprint(codes[row["session"]], None, None, None)
    lab.tables.text_features.snapshot().overwrite(pa.Table.from_pylist(text, schema=schemas.TEXT_FEATURES))


def test_the_rows_of_an_older_version_are_read_under_the_present_codes_and_stand(
    lab: Lab, instance: dg.DagsterInstance
) -> None:
    lab.fill(4)
    (lab.raw / "text" / "S1.xml").write_text("<root>")
    (lab.raw / "text" / "S2.xml").write_text("<!DOCTYPE root><root/>")
    before = run(lab, instance)
    make_old(lab)
    stored = as_stored(lab.tables.transcripts)
    assert {"malformed_xml", "forbidden_xml", "ok"} == set(stored["reason"].to_pylist())

    again = run(lab, instance)
    assert again.success
    for stage in STAGES:
        assert again.computed(stage) == (0, 0, 0)
        assert again.data_version(stage) == before.data_version(stage)
    assert again.data_version("quarantine") == before.data_version("quarantine")
    assert as_stored(lab.tables.transcripts) == stored

    assert again.metadata("parsed_transcripts")["reasons"] == {OK: 2, "malformed_transcript": 1, "forbidden_markup": 1}
    assert outcomes(lab)["S1"] == Reason.MALFORMED_TRANSCRIPT
    assert count_reasons(read_quarantine(lab.tables)) == {
        ("parsed_transcripts", "forbidden_markup"): 1,
        ("parsed_transcripts", "malformed_transcript"): 1,
    }
    assert "the file cannot be read as its format" in again.metadata("quarantine")["reasons"]


def test_a_file_that_an_older_version_refused_comes_back_when_it_changes(lab: Lab) -> None:
    lab.fill(2)
    good = (lab.raw / "text" / "S1.xml").read_text()
    (lab.raw / "text" / "S1.xml").write_text("<root>")
    run(lab)
    make_old(lab)
    (lab.raw / "text" / "S1.xml").write_text(good)
    assert run(lab).computed("parsed_transcripts") == (0, 1, 0)
    assert outcomes(lab) == {"S0": OK, "S1": OK}
