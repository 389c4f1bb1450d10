"""The whole graph on Spark: equal to the process pool, spread over executors, and with a killed executor or driver."""

import json
import logging
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pyspark import SparkContext

from novoic_assets.reasons import OK, Reason
from novoic_assets.synthetic.corpus import CorpusSettings, write_corpus
from novoic_assets_tests.conftest import KEY
from novoic_assets_tests.lab import Content, Lab, silence
from novoic_assets_tests.needs import needs
from novoic_assets_tests.processes import ATTEMPTS, commit, kill, materialize, wait_until
from novoic_assets_tests.spark_cluster import executors

pytestmark = [
    pytest.mark.slow,
    needs("java"),
]

SESSIONS = 300  # two cores compute them in one chunk per stage
LONG = 24  # sessions with long recordings; they come last, so that a second chunk takes a while
LONG_HOURS = 0.1
BROKEN = {"SYN00003": Reason.UNREADABLE_AUDIO, "SYN00004": Reason.TRANSCRIPT_REFUSED, "SYN00005": Reason.NO_AUDIO}
ON_LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """A corpus, and its result on the process pool."""

    raw: Path
    content: Content


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("pool")
    raw = folder / "corpus"
    write_corpus(raw, CorpusSettings(sessions=SESSIONS, minutes=0.1, sample_rate=8_000))
    for number in range(SESSIONS - LONG, SESSIONS):
        silence(raw / "audio" / f"SYN{number + 1:05}.wav", LONG_HOURS)
    unreadable, refused, missing = BROKEN
    (raw / "audio" / f"{unreadable}.wav").write_bytes(b"RIFF no more than a start")
    (raw / "text" / f"{refused}.xml").write_text("<root>")
    (raw / "audio" / f"{missing}.wav").unlink()
    lab = Lab(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOVOIC_PSEUDONYM_KEY", KEY)
        assert lab.run(raw=raw).success
    refused = {row["session"]: row["reason"] for row in lab.all_rows()["audio_features"] if row["reason"] != OK}
    assert refused == BROKEN
    assert all(lab.versions().values())
    return Pool(raw, lab.content())


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A folder for Spark's event log."""
    folder = tmp_path / "events"
    folder.mkdir()
    return folder


def on_spark(master: str, settings: Mapping[str, str] | None = None) -> dict[str, object]:
    """The configuration of a run's resources."""
    return {"spark": {"config": {"master": master, "settings": {**ON_LOOPBACK, **(settings or {})}}}}


def logging_to(events: Path) -> dict[str, str]:
    """Spark's settings for an event log in plain text."""
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }


def logged(events: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the logged events of Spark that have a name."""
    for path in events.rglob("*"):
        if path.is_file():
            for line in path.read_text().splitlines():
                event = json.loads(line)
                if event["Event"] == f"SparkListener{name}":
                    yield event


def test_on_local_spark_all_tables_and_datasets_are_those_of_the_pool(pool: Pool, lab: Lab) -> None:
    run = lab.run(raw=pool.raw, resources=on_spark("local[2]"))
    assert run.success, run.failures()
    assert lab.content() == pool.content
    again = lab.run(raw=pool.raw, resources=on_spark("local[2]"))
    assert again.computed("audio_features") == (0, 0, 0)


def test_on_a_cluster_they_are_too_and_the_work_is_spread_evenly(
    pool: Pool, lab: Lab, instance: dg.DagsterInstance, spark_master: str, events: Path
) -> None:
    run = lab.run(raw=pool.raw, instance=instance, resources=on_spark(spark_master, logging_to(events)))
    assert run.success, run.failures()
    assert lab.content() == pool.content

    cores = [event["Executor Info"]["Total Cores"] for event in logged(events, "ExecutorAdded")]
    assert cores == [1, 1]
    (step,) = [step for step in instance.get_run_step_stats(run.result.run_id) if step.step_key == "audio_features"]
    tasks = [
        event
        for event in logged(events, "TaskEnd")
        if step.start_time <= event["Task Info"]["Launch Time"] / 1000 <= step.end_time
    ]
    assert len(tasks) == 16  # eight per core
    took: Counter[str] = Counter()
    for task in tasks:
        assert task["Task End Reason"]["Reason"] == "Success"
        took[task["Task Info"]["Executor ID"]] += task["Task Metrics"]["Executor Run Time"]
    longest = max(task["Task Metrics"]["Executor Run Time"] for task in tasks)
    log.info("audio: %s tasks on %s cores; ms by executor %s, of the longest %s", len(tasks), cores, took, longest)
    assert len(took) == 2
    # Seven of eight slices in one task, or on one executor, would be 0.88 of the work.
    assert longest / took.total() < 0.35
    assert max(took.values()) / took.total() < 0.75


def test_an_executor_that_is_killed_while_audio_is_computed_changes_nothing(
    pool: Pool, lab: Lab, spark_master: str, events: Path
) -> None:
    # Without a pause between updates, Spark reports each task that it starts.
    settings = {"spark.ui.liveUpdate.period": "0", **logging_to(events)}
    with ThreadPoolExecutor(1) as aside:
        killing = aside.submit(kill_executor_in_the_audio_stage, lab)
        run = lab.run(raw=pool.raw, resources=on_spark(spark_master, settings))
        killing.result()
    assert run.success, run.failures()
    reasons = [event["Task End Reason"] for event in logged(events, "TaskEnd")]
    assert "ExecutorLostFailure" in {reason["Reason"] for reason in reasons}
    assert len(list(logged(events, "ExecutorAdded"))) == 3
    assert lab.content() == pool.content


def kill_executor_in_the_audio_stage(lab: Lab) -> None:
    """Kill an executor while both are busy with audio."""
    wait_until(commit(lab, "audio_features", 0).exists)  # the stage begins and the earlier ones have ended
    context = SparkContext._active_spark_context
    assert context is not None
    first, _ = executors(int(context.getConf().get("spark.driver.port")))
    tracker = context.statusTracker()

    def running() -> int:
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        return sum(stage.numActiveTasks for stage in stages if stage is not None)

    wait_until(lambda: running() == 2)
    os.kill(first, signal.SIGKILL)


def test_a_driver_that_is_killed_is_taken_up_by_the_next_run(
    pool: Pool, tmp_path: Path, instance: dg.DagsterInstance, spark_master: str
) -> None:
    # A chunk holds 250 sessions for each core that Spark reports, so a parallelism of 1 gives two chunks. A killed
    # driver leaves files behind, so put them into a folder that the test removes.
    options = f"spark.default.parallelism 1\nspark.driver.extraJavaOptions -Djava.io.tmpdir={tmp_path}\n"
    (tmp_path / "spark-defaults.conf").write_text(options)
    settings = {
        "NOVOIC_SPARK_MASTER": spark_master,
        "SPARK_CONF_DIR": str(tmp_path),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    for attempt in range(ATTEMPTS):  # the kill may come too late, after the last chunk
        lab = Lab(tmp_path / str(attempt))
        with materialize(lab, pool.raw, **settings) as process:
            wait_until(commit(lab, "audio_features", 1).exists, process)
            kill(process)
        done = len(lab.all_rows()["audio_features"])
        if done < SESSIONS:
            break
    assert 0 < done < SESSIONS
    run = lab.run(raw=pool.raw, instance=instance, resources=on_spark(spark_master))
    assert run.success, run.failures()
    assert run.computed("audio_features") == (SESSIONS - done, 0, 0)
    lines = [entry.user_message for entry in instance.all_logs(run.result.run_id)]
    assert f"{done:,} sessions are already done, {SESSIONS - done:,} are left to do" in lines
    assert lab.content() == pool.content


def test_a_master_that_does_not_answer_is_one_clear_failure(lab: Lab) -> None:
    lab.fill(2)
    run = lab.run(resources={"spark": {"config": {"master": "spark://127.0.0.1:1"}}})
    assert not run.success
    assert "NOVOIC_SPARK_MASTER" in run.failures()["parsed_transcripts"]
