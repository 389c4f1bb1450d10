"""The sensor looks when the topic gives it a reason to, and a message is done once its run was asked for.

A tick is the real sensor's on a real broker, and a run the real job's.
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
class Told(Automated):
    """A lab whose topic tells of new data."""

    kafka: Broker = field(kw_only=True)

    def sensor(self) -> dg.SensorDefinition:
        return defs.resolve_sensor_def("kafka")

    def resources(self) -> dict[str, Any]:
        return super().resources() | {"kafka": KafkaResource(servers=self.kafka.address, topic="events")}

    def tell(self, *messages: Any) -> None:
        """Publish messages: JSON, or bytes as they are."""
        values = [message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages]
        self.kafka.publish("events", values)

    def offset(self) -> int:
        """Where the sensor goes on in the topic."""
        return json.loads(self.cursor or "")["offsets"]["0"]


def session(name: str) -> dict[str, str]:
    """A recorder's message."""
    return {"session": f"{CANARY}{name}"}


@pytest.fixture
def told(template: Path, tmp_path: Path) -> Iterator[Told]:
    """A lab of one's own in which everything is done, and whose sensor has read all that the topic had."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    with history(tmp_path / "history") as instance, broker(tmp_path / "broker") as kafka:
        kafka.create_topic("events")
        started = Told(Lab(tmp_path / "lab"), instance, kafka=kafka)
        started.tell(session("before"))
        started.cursor = json.dumps({"offsets": {"0": 1}, "until": None, "tried": None})
        yield started


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put the sensor's clock forward by so many seconds from now."""

    def forward(seconds: float) -> None:
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        monkeypatch.setattr(sensor, "utc_now", lambda: later)

    return forward


@pytest.mark.slow
def test_a_burst_is_one_run(told: Told) -> None:
    told.add("new1")
    told.add("new2")
    assert NO_REASON in told.skips()
    told.tell(*[session("new1"), session("new2"), b"\0 no message", NEVER_MIND] * 50)
    run = told.run()
    assert run.success, run.failures()
    assert run.computed("audio_features") == (2, 0, 0)
    assert told.offset() == 201
    assert told.skips() == "messages: 0 relevant, 0 other, 0 malformed; nothing is new"


def test_what_is_none_of_ours_is_counted_and_gives_no_reason_to_look(told: Told) -> None:
    told.add("new")
    told.tell(NEVER_MIND, NEVER_MIND, b"no message")
    assert told.skips() == f"messages: 0 relevant, 2 other, 1 malformed; {NO_REASON}"
    assert told.offset() == 4


@pytest.mark.parametrize("cursor", [None, '{"offsets": 1}', '{"state": "a", "attempts": 1, "asked": 0}'])
def test_the_first_tick_looks_and_reads_no_history(told: Told, cursor: str | None) -> None:
    told.cursor = cursor
    assert told.skips() == "messages: 0 relevant, 0 other, 0 malformed; nothing is new"
    assert told.offset() == 1
    told.cursor = cursor
    told.add("new")
    assert told.asks()


def test_while_a_run_is_going_the_topic_waits(told: Told) -> None:
    told.add("new")
    run = told.begin("STARTED")
    told.tell(session("new"))
    assert told.skips() == "the topic waits; a run is queued or in progress"
    assert told.offset() == 1
    told.instance.report_run_canceled(run)
    assert told.asks()
    assert told.offset() == 2


def test_messages_of_a_tick_that_failed_are_read_again(told: Told) -> None:
    told.add("new")
    told.tell(session("new"))
    audio = told.lab.raw / "audio"
    audio.rename(told.lab.raw / "away")
    with pytest.raises(dg.Failure, match="has no folder 'audio'"):
        told.tick()
    assert told.offset() == 1
    (told.lab.raw / "away").rename(audio)
    assert told.asks()
    assert told.offset() == 2


def test_what_was_told_of_before_it_came_is_looked_for_until_the_time_for_the_other_half_is_over(
    told: Told, wait: Any
) -> None:
    told.tell(session("new"))
    assert "nothing is new" in told.skips()
    told.add("new", age=60, halves=("text",))
    assert "1 wait for their other half" in told.skips()
    wait(HOUR)
    assert told.asks()
    told.cursor = json.dumps({**json.loads(told.cursor or ""), "tried": None})
    assert NO_REASON in told.skips()


def test_a_run_that_left_work_undone_is_followed_by_another_without_a_message(told: Told, wait: Any) -> None:
    told.add("new")
    told.tell(session("new"))
    assert told.asks()  # and nothing comes of it
    assert "the last run left work undone" in told.skips()
    wait(HOUR)
    assert told.asks()
    wait(2 * HOUR)
    assert told.asks()


def test_a_topic_that_lost_its_messages_is_a_reason_to_look(told: Told) -> None:
    told.add("new")
    told.kafka.stop()
    told.kafka.start()
    told.kafka.create_topic("events")
    assert told.asks()
    assert told.offset() == 0


def test_a_bucket_tells_of_its_files(bucket_lab: BucketLab, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    bucket_lab.fill(2)
    bucket_lab.upload()
    bucket, prefix = bucket_lab.raw_root.removeprefix("s3://").split("/", 1)

    def event(key: str) -> dict[str, Any]:
        where = {"bucket": {"name": bucket}, "object": {"key": key}}
        return {"Records": [{"eventName": "ObjectCreated:Put", "s3": where}]}

    with broker(tmp_path / "broker") as kafka:
        kafka.create_topic("events")
        told = Told(bucket_lab, instance, json.dumps({"offsets": {"0": 0}, "until": None, "tried": None}), kafka=kafka)
        told.tell(event("audio/S0.wav"), event(f"{prefix}/notes/S0.wav"))
        assert told.skips() == f"messages: 0 relevant, 2 other, 0 malformed; {NO_REASON}"
        told.tell(event(f"{prefix}/audio/S0.wav"))
        assert told.asks()
