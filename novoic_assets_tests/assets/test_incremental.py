"""A second run computes what is new or changed, and nothing else."""

import shutil
import sys
from dataclasses import replace
from types import ModuleType

import pyarrow as pa
import pytest

from novoic_assets.assets import running
from novoic_assets.features import catalogue
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.reasons import OK
from novoic_assets.stages import audio as audio_stage
from novoic_assets.training.load import load_dataset
from novoic_assets_tests.lab import Lab

STAGES = ("parsed_transcripts", "text_features", "audio_features")


class Warmth:
    """An example of a site's own family: one number for each speaker."""

    def __init__(self, analysis: object) -> None:
        pass

    def add(self, block: object) -> None:
        pass

    def values(self, speaker: str) -> list[float]:
        return [7.0]


@pytest.fixture
def filled(lab: Lab) -> Lab:
    lab.fill()
    assert lab.run().success
    return lab


def test_a_second_run_computes_nothing_and_publishes_nothing(filled: Lab) -> None:
    before, rows = filled.versions(), filled.all_rows()
    run = filled.run()
    assert run.success
    assert [run.computed(stage) for stage in STAGES] == [(0, 0, 0)] * 3
    assert filled.versions() == before
    assert filled.all_rows() == rows
    assert len(list((filled.store / "training_data" / "ad_vs_hc").iterdir())) == 2  # a version and the pointer


def test_a_touched_transcript_is_one_session_parsed_again(filled: Lab) -> None:
    before = filled.versions()
    filled.touch("text/S3.xml")
    run = filled.run()
    assert run.computed("parsed_transcripts") == (0, 1, 0)
    # The words are the same, so nothing that depends on them is computed again.
    assert run.computed("text_features") == (0, 0, 0)
    assert filled.versions() == before


def test_a_changed_transcript_is_one_session_computed_again(filled: Lab) -> None:
    before = filled.versions()
    filled.add_session("S3", "P3", words="quite another sentence", seed=3)
    run = filled.run()
    assert [run.computed(stage) for stage in STAGES] == [(0, 1, 0)] * 3
    assert filled.versions()["ad_vs_hc"] != before["ad_vs_hc"]


def test_a_touched_recording_is_one_session_decoded_again(filled: Lab) -> None:
    before = filled.versions()
    filled.touch("audio/S3.wav")
    run = filled.run()
    assert [run.computed(stage) for stage in STAGES] == [(0, 0, 0), (0, 0, 0), (0, 1, 0)]
    assert filled.versions() == before


def test_a_removed_session_leaves_tables_and_current_version(filled: Lab) -> None:
    (filled.raw / "text" / "S3.xml").unlink()
    (filled.raw / "audio" / "S3.wav").unlink()
    run = filled.run()
    assert run.success
    assert [run.computed(stage) for stage in STAGES] == [(0, 0, 1)] * 3
    for stage in ("transcripts", "text_features", "audio_features"):
        assert "S3" not in {row["session"] for row in filled.all_rows()[stage]}
    assert filled.current("ad_vs_hc")["flow"]["included"] == 7


def test_moving_the_raw_folder_computes_nothing(filled: Lab) -> None:
    elsewhere = filled.folder / "elsewhere"
    shutil.copytree(filled.raw, elsewhere)  # like a move to another disk: other inodes, the same times
    run = filled.run(raw=elsewhere)
    assert run.success
    assert [run.computed(stage) for stage in STAGES] == [(0, 0, 0)] * 3


@pytest.mark.parametrize("missing", ["audio", "text", "metadata.csv", "."])
def test_a_raw_folder_without_its_parts_is_an_error_and_removes_nothing(filled: Lab, missing: str) -> None:
    rows, versions = filled.all_rows(), filled.versions()
    path = filled.raw / missing
    path.rename(filled.folder / "away")
    run = filled.run()
    assert not run.success
    assert any("NOVOIC_RAW" in message for message in run.failures().values())
    assert filled.all_rows() == rows
    assert filled.versions() == versions


def test_losing_many_sessions_is_an_error_until_somebody_confirms(lab: Lab) -> None:
    lab.fill(16)
    assert lab.run().success
    rows, versions = lab.all_rows(), lab.versions()
    for index in range(8):
        (lab.raw / "text" / f"S{index}.xml").unlink()
        (lab.raw / "audio" / f"S{index}.wav").unlink()

    run = lab.run()
    assert not run.success
    assert set(run.failures()) == {"raw_transcripts", "raw_audio"}
    assert "8 of 16 known sessions are gone; nothing was removed" in run.failures()["raw_audio"]
    assert lab.all_rows() == rows
    assert lab.versions() == versions

    assert lab.run(confirm_removal=True).success
    assert lab.current("ad_vs_hc")["flow"]["included"] == 8


def test_a_new_version_of_a_family_computes_that_family_alone(filled: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    before = filled.all_rows()["audio_features"]
    newer = replace(catalogue.AUDIO_FAMILIES["mfcc"], version="test")
    monkeypatch.setattr(catalogue, "AUDIO_FAMILIES", {**catalogue.AUDIO_FAMILIES, "mfcc": newer})
    run = filled.run()
    assert [run.computed(stage) for stage in STAGES] == [(0, 0, 0), (0, 0, 0), (0, 8, 0)]
    after = filled.all_rows()["audio_features"]
    assert [row["values"] for row in after] == [row["values"] for row in before]
    assert [row["families"] for row in after] != [row["families"] for row in before]


def test_a_new_family_leaves_the_others_values_in_place(filled: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    before = filled.all_rows()["audio_features"]
    mfcc = catalogue.AUDIO_FAMILIES["mfcc"]
    second = replace(
        mfcc, name="second", members=tuple(replace(value, name=f"second_{value.name}") for value in mfcc.members)
    )
    monkeypatch.setattr(catalogue, "AUDIO_FAMILIES", {**catalogue.AUDIO_FAMILIES, "second": second})
    computed: list[list[str]] = []
    open_ = audio_stage.ComputeAudio.open

    def spy(self: object, task: dict[str, object], families: list[AudioFamily]) -> object:
        computed.append([family.name for family in families])
        return open_(self, task, families)

    monkeypatch.setattr(audio_stage.ComputeAudio, "open", spy)
    assert filled.run().success
    assert computed == [["second"]] * 8
    for old, new in zip(before, filled.all_rows()["audio_features"], strict=True):
        assert [value for value in new["values"] if value["family"] != "second"] == old["values"]
        assert {value["family"] for value in new["values"]} == {*catalogue.AUDIO_FAMILIES}
        assert new["reason"] == OK


@pytest.mark.filterwarnings("ignore:there are no numbers")  # the sessions are seconds long
def test_a_site_switches_a_family_off_and_adds_one_by_a_setting(filled: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {row["session"]: row["values"] for row in filled.all_rows()["audio_features"]}
    mfcc = catalogue.AUDIO_FAMILIES["mfcc"]
    (first, *_) = mfcc.members
    own = ModuleType("lab_features")
    own.WARMTH = replace(mfcc, name="warmth", members=(replace(first, name="warmth"),), accumulator=Warmth)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lab_features", own)

    run = filled.run(resources={"settings": {"config": {"families": "-formants,lab_features:WARMTH"}}})
    assert run.success
    assert [run.computed(stage) for stage in STAGES] == [(0, 0, 0), (0, 0, 0), (0, 8, 0)]
    for row in filled.all_rows()["audio_features"]:
        assert [value for value in row["values"] if value["family"] != "warmth"] == before[row["session"]]
        assert {value["family"] for value in row["values"]} == {*catalogue.AUDIO_FAMILIES, "warmth"}
    columns = {
        column.name: column.description for column in run.metadata("audio_features")["dagster/column_schema"].columns
    }
    assert columns["values.warmth"] == f"{first.formula} [dB]"
    assert "values.f1_median" not in columns
    data = load_dataset("ad_vs_hc", store=filled.store, speaker="all")
    assert data.audio_names[-1] == "warmth"
    assert "f1_median" not in data.audio_names
    assert set(data.X_audio[:, -1].tolist()) == {7.0}

    again = filled.run()
    assert [again.computed(stage) for stage in STAGES] == [(0, 0, 0)] * 3
    assert "f1_median" in load_dataset("ad_vs_hc", store=filled.store, speaker="all").audio_names


def test_a_refused_session_is_not_tried_again_until_its_file_changes(lab: Lab) -> None:
    lab.fill(4)
    good = (lab.raw / "audio" / "S1.wav").read_bytes()
    (lab.raw / "audio" / "S1.wav").write_bytes(b"RIFF no more than a start")
    assert lab.run().metadata("audio_features")["quarantined"] == 1
    assert lab.run().computed("audio_features") == (0, 0, 0)
    (lab.raw / "audio" / "S1.wav").write_bytes(good)
    run = lab.run()
    assert run.computed("audio_features") == (0, 1, 0)
    assert run.metadata("audio_features")["quarantined"] == 0


def test_changed_metadata_reach_the_datasets(filled: Lab) -> None:
    before = filled.versions()
    filled.add_patient("P3", age=55, ad_status=0, split="test")
    run = filled.run()
    assert [run.computed(stage) for stage in STAGES] == [(0, 0, 0)] * 3
    assert filled.versions()["ad_vs_hc"] != before["ad_vs_hc"]


def test_a_later_commit_of_another_run_does_not_count_against_a_stage(
    filled: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stage = running.run_stage

    def and_then_another_run_parses(*arguments: object) -> object:
        report = run_stage(*arguments)
        transcripts = filled.tables.transcripts.snapshot()
        row = transcripts.select(keys=["S3"]).to_pylist()[0] | {"session": "another"}
        transcripts.replace(pa.Table.from_pylist([row], schema=transcripts.schema), ["another"])
        return report

    monkeypatch.setattr(running, "run_stage", and_then_another_run_parses)
    run = filled.run(select=["text_features"])
    assert run.success
    assert ("text_features", "reconciled") not in run.failed_checks()
