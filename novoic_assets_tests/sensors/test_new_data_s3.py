"""The sensor over a bucket of a real S3 service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from novoic_assets.sensors import looking
from novoic_assets_tests.lab import BucketLab
from novoic_assets_tests.sensors.automated import CANARY, Automated, fails, history
from novoic_assets_tests.weed import SeaweedFS


@pytest.fixture
def automated(bucket_lab: BucketLab, tmp_path: Path) -> Iterator[Automated]:
    """A lab in a bucket, before its first run."""
    for number in range(4):
        bucket_lab.add_patient(
            f"{CANARY}P{number}", ad_status=number % 2, mmse=27, split="test" if number > 1 else "train"
        )
        bucket_lab.add_session(f"{CANARY}S{number}", f"{CANARY}P{number}")
    bucket_lab.upload()
    with history(tmp_path / "history") as instance:
        yield Automated(bucket_lab, instance)


@pytest.mark.slow
def test_objects_are_processed_at_once_and_half_sessions_wait(automated: Automated) -> None:
    lab = automated.lab
    assert isinstance(lab, BucketLab)
    assert automated.run().success  # although all objects are new, since an object appears complete
    assert automated.skips() == "nothing is new"

    automated.add("new")
    late = lab.raw / "audio" / f"{CANARY}new.wav"
    content = late.read_bytes()
    late.unlink()
    lab.upload()
    assert automated.skips() == "0 files may still be being written, 1 wait for their other half"
    late.write_bytes(content)
    lab.upload()
    run = automated.run()
    assert run.success
    assert run.computed("audio_features") == (1, 0, 0)
    assert automated.skips() == "nothing is new"


def test_a_service_that_does_not_answer_fails_the_tick_and_the_next_one_looks_again(
    automated: Automated, s3_server: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Runs wait as long as is set, which is longer. A tick must end before Dagster ends it.
    monkeypatch.setattr(looking, "_PATIENCE", 1)
    s3_server.stop()
    try:
        assert "the bucket that NOVOIC_RAW names does not answer, tried for 1 s" in fails(automated)
    finally:
        s3_server.start()
    assert automated.requests_run()


def test_a_bucket_that_may_not_be_read_fails_the_tick(automated: Automated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the key")
    assert "access to the bucket that NOVOIC_RAW names is denied" in fails(automated)
