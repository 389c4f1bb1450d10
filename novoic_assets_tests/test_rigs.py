"""The S3 service and the broker of the tests behave as the tests assume."""

from pathlib import Path

import obstore
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import S3Store

from novoic_assets_tests.broker import Broker, broker
from novoic_assets_tests.weed import SeaweedFS


def _store(server: SeaweedFS, bucket: str, **settings: str) -> S3Store:
    return S3Store(
        bucket,
        **{
            "endpoint": server.endpoint,
            "access_key_id": server.access_key,
            "secret_access_key": server.secret_key,
            "region": server.region,
            **settings,
        },
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def test_the_s3_service_keeps_what_it_is_given(s3_server: SeaweedFS) -> None:
    s3_server.make_bucket("rigs")
    store = _store(s3_server, "rigs")
    obstore.put(store, "a folder/ä+b.txt", b"hello world")
    assert bytes(obstore.get_range(store, "a folder/ä+b.txt", start=6, end=11)) == b"world"
    [found] = obstore.list(store).collect()
    assert (found["path"], found["size"]) == ("a folder/ä+b.txt", 11)
    assert found["e_tag"] == obstore.head(store, "a folder/ä+b.txt")["e_tag"]


def test_the_s3_service_creates_and_replaces_on_condition(s3_server: SeaweedFS) -> None:
    s3_server.make_bucket("conditions")
    store = _store(s3_server, "conditions")
    first = obstore.put(store, "pointer", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "pointer", b"2", mode="create")
    obstore.put(store, "pointer", b"2", mode={"e_tag": first["e_tag"]})
    with pytest.raises(PreconditionError):
        obstore.put(store, "pointer", b"3", mode={"e_tag": first["e_tag"]})
    assert bytes(obstore.get(store, "pointer").bytes()) == b"2"


@pytest.mark.parametrize(
    "settings", [{"secret_access_key": "another"}, {"access_key_id": "another"}, {"bucket": "nobodys"}]
)
def test_the_s3_service_refuses_strangers_and_unknown_buckets(s3_server: SeaweedFS, settings: dict[str, str]) -> None:
    s3_server.make_bucket("rigs")
    with pytest.raises((obstore.exceptions.BaseError, FileNotFoundError)):
        obstore.put(_store(s3_server, **{"bucket": "rigs", **settings}), "a", b"1")


def test_the_s3_service_has_its_data_after_it_was_killed(s3_server: SeaweedFS) -> None:
    s3_server.make_bucket("kept")
    store = _store(s3_server, "kept")
    obstore.put(store, "a", bytes(1 << 20))
    s3_server.stop()
    with pytest.raises(obstore.exceptions.BaseError):
        obstore.head(store, "a")
    s3_server.start()
    assert len(obstore.get(store, "a").bytes()) == 1 << 20


def _read(server: Broker, topic: str, **settings: str) -> list[bytes]:
    reader = Consumer(
        {
            "bootstrap.servers": server.address,
            "group.id": "tests",
            "enable.partition.eof": True,
            "log_level": 0,
            **settings,
        }
    )
    try:
        reader.list_topics(topic, timeout=1)
        reader.assign([TopicPartition(topic, 0, 0)])
        values = []
        while (message := reader.poll(10)) is not None and message.error() is None:
            values.append(message.value())
        return values
    finally:
        reader.close()


def test_the_broker_in_memory_forgets_with_a_restart(tmp_path: Path) -> None:
    with broker(tmp_path) as kafka:
        kafka.create_topic("events")
        kafka.publish("events", [b"one", b"two"])
        assert _read(kafka, "events") == [b"one", b"two"]
        kafka.stop()
        kafka.start()
        kafka.create_topic("events")
        assert _read(kafka, "events") == []


def test_the_broker_with_a_storage_keeps_its_topics(tmp_path: Path, s3_server: SeaweedFS) -> None:
    with broker(tmp_path, storage=s3_server) as kafka:
        kafka.create_topic("events")
        kafka.publish("events", [b"one", b"two"])
        kafka.stop()
        kafka.start()
        kafka.publish("events", [b"three"])
        assert _read(kafka, "events") == [b"one", b"two", b"three"]


def test_the_closed_broker_lets_nobody_in(tmp_path: Path) -> None:
    with broker(tmp_path, closed=True) as kafka, pytest.raises(KafkaException):
        _read(kafka, "events")
