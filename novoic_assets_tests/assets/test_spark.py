"""The whole graph on Spark: the tables and datasets are those of the process pool."""

import shutil
from pathlib import Path

import pytest

from novoic_assets_tests.lab import Lab

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java"),
]
ON_SPARK = {"spark": {"config": {"master": "local[2]"}}}


def test_on_spark_tables_and_datasets_are_the_same(tmp_path: Path) -> None:
    here, there = Lab(tmp_path / "pool"), Lab(tmp_path / "spark")
    here.fill(12)
    (here.raw / "audio" / "S3.wav").write_bytes(b"RIFF no more than a start")
    (here.raw / "text" / "S4.xml").write_text("<root>")
    assert here.run().success
    run = there.run(raw=here.raw, resources=ON_SPARK)
    assert run.success, run.failures()
    assert there.all_rows() == here.all_rows()
    assert there.versions() == here.versions()

    again = there.run(raw=here.raw, resources=ON_SPARK)
    assert again.computed("audio_features") == (0, 0, 0)


def test_a_master_that_does_not_answer_is_one_clear_failure(lab: Lab) -> None:
    lab.fill(2)
    run = lab.run(resources={"spark": {"config": {"master": "spark://127.0.0.1:1"}}})
    assert not run.success
    assert "NOVOIC_SPARK_MASTER" in run.failures()["parsed_transcripts"]
