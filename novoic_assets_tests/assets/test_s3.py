"""The whole graph with raw data and store in a bucket."""

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from novoic_assets import load_dataset
from novoic_assets.storage.files import Storage
from novoic_assets.synthetic.corpus import CorpusSettings, write_corpus
from novoic_assets_tests.lab import BucketLab, Lab
from novoic_assets_tests.needs import needs
from novoic_assets_tests.processes import PATIENCE, finish, materialize, wait_until
from novoic_assets_tests.weed import SeaweedFS

SESSIONS = 40


# Results of a lab in a bucket


@pytest.mark.slow
def test_a_lab_in_a_bucket_publishes_what_a_lab_in_a_folder_does(bucket_lab: BucketLab, lab: Lab) -> None:
    lab.fill()
    (lab.raw / "audio" / "S3.wav").write_bytes(b"RIFF no more than a start")
    assert lab.run().success
    bucket_lab.upload()
    run = bucket_lab.run()
    assert run.success, run.failures()
    assert bucket_lab.versions() == lab.versions()
    there = load_dataset("ad_vs_hc", bucket_lab.store_root)
    here = load_dataset("ad_vs_hc", lab.store_root)
    np.testing.assert_array_equal(there.X_audio, here.X_audio)
    assert len(there.y) == 7

    again = bucket_lab.run()
    for asset in ("parsed_transcripts", "text_features", "audio_features"):
        assert again.computed(asset) == (0, 0, 0)

    bucket_lab.add_session("S8", "P0")
    bucket_lab.add_session("S1", "P1", words="quite other words", seed=99)
    (bucket_lab.raw / "text" / "S2.xml").unlink()
    (bucket_lab.raw / "audio" / "S2.wav").unlink()
    bucket_lab.upload()
    assert bucket_lab.run().computed("audio_features") == (1, 1, 1)
    assert lab.run().success
    assert bucket_lab.versions() == lab.versions()


@pytest.mark.slow
def test_the_challenge_in_a_bucket_has_the_versions_of_the_challenge_in_a_folder(
    bucket_lab: BucketLab, lab: Lab, challenge: Path
) -> None:
    bucket_lab.upload(challenge)
    assert bucket_lab.run().success
    assert lab.run(raw=challenge).success
    assert bucket_lab.versions() == lab.versions()
    with pytest.warns(UserWarning, match="there are no numbers from"):
        assert len(load_dataset("ad_vs_hc", bucket_lab.store_root).y) == 156


def test_a_run_reports_neither_the_name_nor_the_content_of_a_bucket(bucket_lab: BucketLab) -> None:
    bucket_lab.fill(2)
    (bucket_lab.raw / "audio" / "S1.wav").write_bytes(b"no audio")
    bucket_lab.upload()
    run = bucket_lab.run()
    reported = "\n".join(str(event) for event in run.result.all_events if not event.is_step_start)
    assert bucket_lab.url.rsplit("/", 1)[1] not in reported
    assert "S1.wav" not in reported


# Failures that must never count as an empty listing


@pytest.fixture
def filled(bucket_lab: BucketLab) -> BucketLab:
    """A lab whose ten sessions are in the tables."""
    bucket_lab.fill(10)
    bucket_lab.upload()
    assert bucket_lab.run().success
    return bucket_lab


def test_an_emptied_bucket_removes_nothing_and_says_so(filled: BucketLab) -> None:
    before = filled.content()
    raw = Storage(filled.raw_root, "NOVOIC_RAW")
    for path in ["metadata.csv", *(info.path for name in ("text", "audio") for info in raw.list(name))]:
        raw.delete(path)
    run = filled.run(confirm_removal=True)
    assert "the bucket that NOVOIC_RAW names has nothing below its prefix" in run.failures()["raw_audio"]
    assert filled.content() == before


def test_an_emptied_folder_of_the_bucket_removes_nothing_and_says_so(filled: BucketLab) -> None:
    before = filled.content()
    raw = Storage(filled.raw_root, "NOVOIC_RAW")
    for info in list(raw.list("audio")):
        raw.delete(info.path)
    run = filled.run()
    assert "no folder 'audio'" in run.failures()["raw_audio"]
    assert filled.content() == before


def test_a_bucket_that_lost_half_its_sessions_needs_confirmation(filled: BucketLab) -> None:
    before = filled.content()
    for number in range(6):
        (filled.raw / "text" / f"S{number}.xml").unlink()
        (filled.raw / "audio" / f"S{number}.wav").unlink()
    filled.upload()
    run = filled.run()
    assert "--confirm-removal" in run.failures()["raw_audio"]
    assert filled.content() == before
    assert filled.run(confirm_removal=True).computed("audio_features") == (0, 0, 6)


def test_a_bucket_that_may_not_be_listed_removes_nothing_and_says_so(
    filled: BucketLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = filled.content()
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the key")
    run = filled.run()
    assert not run.success
    assert all("is denied" in message for message in run.failures().values())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    assert filled.content() == before


@pytest.mark.slow
@needs("java")
def test_spark_reads_recordings_from_a_bucket(filled: BucketLab) -> None:
    before = filled.content()
    for number in range(4):
        filled.add_session(f"N{number}", f"P{number}", seed=50 + number)
    filled.upload()
    # In a separate process, whose Spark has the credentials from the start.
    with materialize(filled, filled.raw_root, NOVOIC_SPARK_MASTER="local[2]") as process:
        finish(process)
    assert len(filled.all_rows()["audio_features"]) == 14
    assert {row["reason"] for row in filled.all_rows()["audio_features"]} == {"ok"}
    assert filled.content() != before


# An interrupted service, and two runs at once


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder / "raw", CorpusSettings(sessions=SESSIONS, minutes=0.1, sample_rate=8_000))
    return folder / "raw"


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output


def first_commit(lab: BucketLab, table: str) -> Callable[[], bool]:
    """Return whether a table has its first rows; later stages have not started yet then."""
    log = Storage(lab.store_root, "NOVOIC_STORE")
    return lambda: log.stat(f"restricted/tables/{table}/_delta_log/{1:020}.json") is not None


@pytest.fixture
def undisturbed(corpus: Path, tmp_path: Path) -> Lab:
    lab = Lab(tmp_path / "undisturbed")
    assert lab.run(raw=corpus).success
    return lab


@pytest.mark.slow
def test_a_service_that_is_away_for_five_seconds_costs_a_run_nothing_but_time(
    bucket_lab: BucketLab, corpus: Path, undisturbed: Lab, s3_server: SeaweedFS
) -> None:
    bucket_lab.upload(corpus)
    with materialize(bucket_lab, bucket_lab.raw_root) as process:
        wait_until(first_commit(bucket_lab, "transcripts"))
        s3_server.stop()
        try:
            time.sleep(5.0)
            assert process.poll() is None
        finally:
            s3_server.start()
        status, output = ended(process)
    assert status == 0, output
    assert bucket_lab.versions() == undisturbed.versions()


@pytest.mark.slow
def test_a_service_that_stays_away_fails_the_run_clearly_and_the_next_one_goes_on(
    bucket_lab: BucketLab, corpus: Path, undisturbed: Lab, s3_server: SeaweedFS
) -> None:
    bucket_lab.upload(corpus)
    with materialize(bucket_lab, bucket_lab.raw_root, NOVOIC_S3_RETRY_SECONDS="3") as process:
        wait_until(first_commit(bucket_lab, "transcripts"))
        s3_server.stop()
        try:
            status, output = ended(process)
        finally:
            s3_server.start()
    assert status == 1
    assert "does not answer, tried for 3 s; run again when it does" in output
    assert "Traceback" not in output
    run = bucket_lab.run()
    assert run.success
    assert run.computed("parsed_transcripts") == (0, 0, 0)
    assert run.computed("audio_features")[0] > 0
    assert bucket_lab.versions() == undisturbed.versions()


@pytest.mark.slow
def test_two_runs_at_once_in_a_bucket_end_as_one(
    bucket_lab: BucketLab, corpus: Path, undisturbed: Lab, tmp_path: Path
) -> None:
    bucket_lab.upload(corpus)
    with (
        materialize(bucket_lab, bucket_lab.raw_root, home=tmp_path / "first") as first,
        materialize(bucket_lab, bucket_lab.raw_root, home=tmp_path / "second") as second,
        ThreadPoolExecutor(2) as readers,  # read both outputs, so that neither process waits for space in its pipe
    ):
        results = list(readers.map(ended, (first, second)))
    assert [status for status, _ in results] == [0, 0], results
    assert bucket_lab.versions() == undisturbed.versions()
    for table, rows in bucket_lab.all_rows().items():
        keys = [row.get("session") or row["row"] for row in rows]
        assert len(keys) == len(set(keys)) == len(undisturbed.all_rows()[table])
