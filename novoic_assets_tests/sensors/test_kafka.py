"""The sensor looks when the topic gives it a reason, and a message is done once its run was requested.

Ticks evaluate the real sensor on a real broker, and runs execute the real job.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from novoic_assets.definitions import defs
from novoic_assets.resources.kafka import KafkaResource
from novoic_assets.sensors import kafka as sensor
from novoic_assets_tests.broker import Broker, broker
from novoic_assets_tests.lab import BucketLab, Lab
from novoic_assets_tests.sensors.automated import CANARY, HOUR, Automated, history

NO_REASON = "there is no reason to look"
NEVER_MIND = {"Event": "s3:TestEvent"}


@dataclass
class Streamed(Automated):
    """A lab whose topic reports new data."""

    kafka: Broker = field(kw_only=True)

    def sensor(self) -> dg.SensorDefinition:
        return defs.resolve_sensor_def("kafka")

    def resources(self) -> dict[str, Any]:
        return super().resources() | {"kafka": KafkaResource(servers=self.kafka.address, topic="events")}

    def publish(self, *messages: Any) -> None:
        """Publish messages: objects as JSON, and bytes unchanged."""
        values = [message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages]
        self.kafka.publish("events", values)

    def offset(self) -> int:
        """The next offset that the sensor reads in the topic."""
        return json.loads(self.cursor or "")["offsets"]["0"]


def session(name: str) -> dict[str, str]:
    """Return a recorder's message."""
    return {"session": f"{CANARY}{name}"}


@pytest.fixture
def streamed(template: Path, tmp_path: Path) -> Iterator[Streamed]:
    """A separate lab with nothing left to do, whose sensor has read the whole topic."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    with history(tmp_path / "history") as instance, broker(tmp_path / "broker") as kafka:
        kafka.create_topic("events")
        started = Streamed(Lab(tmp_path / "lab"), instance, kafka=kafka)
        started.publish(session("before"))
        started.cursor = json.dumps({"offsets": {"0": 1}, "until": None, "tried": None})
        yield started


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the sensor's clock forward by some seconds from now."""

    def forward(seconds: float) -> None:
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        monkeypatch.setattr(sensor, "utc_now", lambda: later)

    return forward


@pytest.mark.slow
def test_a_burst_is_one_run(streamed: Streamed) -> None:
    streamed.add("new1")
    streamed.add("new2")
    assert NO_REASON in streamed.skips()
    streamed.publish(*[session("new1"), session("new2"), b"\0 no message", NEVER_MIND] * 50)
    run = streamed.run()
    assert run.success, run.failures()
    assert run.computed("audio_features") == (2, 0, 0)
    assert streamed.offset() == 201
    assert streamed.skips() == "messages: 0 relevant, 0 other, 0 malformed; nothing is new"


def test_irrelevant_messages_are_counted_and_give_no_reason_to_look(streamed: Streamed) -> None:
    streamed.add("new")
    streamed.publish(NEVER_MIND, NEVER_MIND, b"no message")
    assert streamed.skips() == f"messages: 0 relevant, 2 other, 1 malformed; {NO_REASON}"
    assert streamed.offset() == 4


@pytest.mark.parametrize("cursor", [None, '{"offsets": 1}', '{"state": "a", "attempts": 1, "asked": 0}'])
def test_the_first_tick_looks_and_reads_no_history(streamed: Streamed, cursor: str | None) -> None:
    streamed.cursor = cursor
    assert streamed.skips() == "messages: 0 relevant, 0 other, 0 malformed; nothing is new"
    assert streamed.offset() == 1
    streamed.cursor = cursor
    streamed.add("new")
    assert streamed.requests_run()


def test_while_a_run_is_in_progress_the_topic_waits(streamed: Streamed) -> None:
    streamed.add("new")
    run = streamed.begin("STARTED")
    streamed.publish(session("new"))
    assert streamed.skips() == "the topic waits; a run is queued or in progress"
    assert streamed.offset() == 1
    streamed.instance.report_run_canceled(run)
    assert streamed.requests_run()
    assert streamed.offset() == 2


def test_messages_of_a_tick_that_failed_are_read_again(streamed: Streamed) -> None:
    streamed.add("new")
    streamed.publish(session("new"))
    audio = streamed.lab.raw / "audio"
    audio.rename(streamed.lab.raw / "away")
    with pytest.raises(dg.Failure, match="has no folder 'audio'"):
        streamed.tick()
    assert streamed.offset() == 1
    (streamed.lab.raw / "away").rename(audio)
    assert streamed.requests_run()
    assert streamed.offset() == 2


def test_a_reported_file_is_looked_for_until_the_time_for_the_other_half_is_over(streamed: Streamed, wait: Any) -> None:
    streamed.publish(session("new"))
    assert "nothing is new" in streamed.skips()
    streamed.add("new", age=60, halves=("text",))
    assert "1 wait for their other half" in streamed.skips()
    wait(HOUR)
    assert streamed.requests_run()
    streamed.cursor = json.dumps({**json.loads(streamed.cursor or ""), "tried": None})
    assert NO_REASON in streamed.skips()


def test_a_run_that_left_work_undone_is_followed_by_another_without_a_message(streamed: Streamed, wait: Any) -> None:
    streamed.add("new")
    streamed.publish(session("new"))
    assert streamed.requests_run()  # and nobody runs it
    assert "the last run left work undone" in streamed.skips()
    wait(HOUR)
    assert streamed.requests_run()
    wait(2 * HOUR)
    assert streamed.requests_run()


def test_a_topic_that_lost_its_messages_is_a_reason_to_look(streamed: Streamed) -> None:
    streamed.add("new")
    streamed.kafka.stop()
    streamed.kafka.start()
    streamed.kafka.create_topic("events")
    assert streamed.requests_run()
    assert streamed.offset() == 0


def test_a_bucket_reports_its_files(bucket_lab: BucketLab, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    bucket_lab.fill(2)
    bucket_lab.upload()
    bucket, prefix = bucket_lab.raw_root.removeprefix("s3://").split("/", 1)

    def event(key: str) -> dict[str, Any]:
        where = {"bucket": {"name": bucket}, "object": {"key": key}}
        return {"Records": [{"eventName": "ObjectCreated:Put", "s3": where}]}

    with broker(tmp_path / "broker") as kafka:
        kafka.create_topic("events")
        streamed = Streamed(
            bucket_lab, instance, json.dumps({"offsets": {"0": 0}, "until": None, "tried": None}), kafka=kafka
        )
        streamed.publish(event("audio/S0.wav"), event(f"{prefix}/notes/S0.wav"))
        assert streamed.skips() == f"messages: 0 relevant, 2 other, 0 malformed; {NO_REASON}"
        streamed.publish(event(f"{prefix}/audio/S0.wav"))
        assert streamed.requests_run()
