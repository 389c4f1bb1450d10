"""Reads continue where the last one ended, count each message once, and fail with one plain line.

Most tests use a real broker. Some use the mock broker of librdkafka, which reports missing offsets as Kafka does.
"""

import json
import logging
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import obstore
import pytest
import trustme
from confluent_kafka import Producer
from obstore.store import S3Store

from novoic_assets.errors import NovoicError
from novoic_assets.resources.kafka import KafkaResource
from novoic_assets.resources.topic import Batch
from novoic_assets.sensors.events import MessageKind, read_event
from novoic_assets_tests.broker import Broker, broker
from novoic_assets_tests.weed import SeaweedFS, free_ports, seaweedfs

CANARY = "zqcanary"
GOOD = json.dumps({"session": f"{CANARY}S1"}).encode()
OTHER = json.dumps({"Event": "s3:TestEvent", "Bucket": CANARY}).encode()
BAD = f"{CANARY} is no JSON".encode()
JUDGE = partial(read_event, bucket="lab", prefix="raw")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker; each test uses its own topic."""
    with broker(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture
def events(kafka: Broker) -> KafkaResource:
    """A topic of two partitions without messages."""
    name = f"events-{uuid.uuid4()}"
    kafka.create_topic(name, partitions=2)
    return KafkaResource(servers=kafka.address, topic=name)


def read(source: KafkaResource, offsets: dict[int, int], **limits: Any) -> Batch:
    return source.read(JUDGE, offsets, **limits)


def read_until(source: KafkaResource, offsets: dict[int, int], relevant: int) -> Batch:
    """Read until a number of relevant messages has arrived, as their sender may be slow."""
    for _ in range(100):
        batch = read(source, offsets)
        if batch.counts[MessageKind.RELEVANT] >= relevant:
            return batch
        time.sleep(0.1)
    raise TimeoutError("the messages did not come")


def counts(batch: Batch) -> tuple[int, int, int]:
    return batch.counts[MessageKind.RELEVANT], batch.counts[MessageKind.OTHER], batch.counts[MessageKind.MALFORMED]


def failure(source: KafkaResource) -> str:
    """Return the one line with which a read fails."""
    with pytest.raises(NovoicError) as caught:
        read(source, {}, seconds=1)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert "\n" not in str(caught.value)
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_messages_since_the_last_read_are_read_once(kafka: Broker, events: KafkaResource) -> None:
    start = read(events, {0: 0, 1: 0})
    assert (counts(start), start.offsets, start.first, start.lost) == ((0, 0, 0), {0: 0, 1: 0}, False, False)
    kafka.publish(events.topic, [GOOD, BAD, OTHER])
    kafka.publish(events.topic, [GOOD], partition=1)
    batch = read(events, dict(start.offsets))
    assert (counts(batch), batch.offsets) == ((2, 1, 1), {0: 3, 1: 1})
    again = read(events, dict(batch.offsets))
    assert (counts(again), again.offsets, again.lost) == ((0, 0, 0), {0: 3, 1: 1}, False)


def test_without_offsets_a_read_begins_at_the_end(kafka: Broker, events: KafkaResource) -> None:
    for _ in range(3):
        kafka.publish(events.topic, [GOOD])
    start = read(events, {})
    assert (counts(start), start.offsets, start.first) == ((0, 0, 0), {0: 3, 1: 0}, True)
    kafka.publish(events.topic, [GOOD])
    assert counts(read(events, dict(start.offsets))) == (1, 0, 0)


def test_a_partition_that_is_new_among_others_is_read_from_its_beginning(kafka: Broker, events: KafkaResource) -> None:
    kafka.publish(events.topic, [GOOD, GOOD], partition=1)
    batch = read(events, {0: 0})
    assert (counts(batch), batch.offsets, batch.lost) == ((2, 0, 0), {0: 0, 1: 2}, False)


def test_a_missing_partition_means_that_the_topic_was_recreated(events: KafkaResource) -> None:
    batch = read(events, {0: 0, 1: 0, 2: 0})
    assert (batch.offsets, batch.lost) == ({0: 0, 1: 0}, True)


def test_each_message_of_a_burst_is_counted(kafka: Broker, events: KafkaResource) -> None:
    burst = [json.dumps({"session": f"{CANARY}{number % 250}"}).encode() for number in range(1000)]
    kafka.publish(events.topic, burst[:500] + [BAD] * 30)
    kafka.publish(events.topic, burst[500:] + [BAD] * 20 + [OTHER] * 7, partition=1)
    batch = read(events, {0: 0, 1: 0})
    assert (counts(batch), batch.offsets) == ((1000, 7, 50), {0: 530, 1: 527})


def test_what_is_beyond_the_limit_is_left_to_the_next_read(kafka: Broker, events: KafkaResource) -> None:
    kafka.publish(events.topic, [GOOD] * 250)
    kafka.publish(events.topic, [GOOD] * 250, partition=1)
    offsets: dict[int, int] = {0: 0, 1: 0}
    found = []
    for _ in range(6):
        batch = read(events, offsets, limit=100)
        offsets = dict(batch.offsets)
        found.append(batch.counts[MessageKind.RELEVANT])
        assert batch.unanswered == 0
    assert found == [100] * 5 + [0]
    assert offsets == {0: 250, 1: 250}


def test_after_the_brokers_restart_a_read_goes_on(tmp_path: Path, s3_server: SeaweedFS) -> None:
    with broker(tmp_path, storage=s3_server) as kafka:
        kafka.create_topic("events")
        source = KafkaResource(servers=kafka.address, topic="events")
        kafka.publish("events", [GOOD, GOOD])
        before = read(source, {0: 0})
        kafka.stop()
        kafka.start()
        kafka.publish("events", [GOOD])
        after = read(source, dict(before.offsets))
        assert (counts(after), after.offsets, after.lost) == ((1, 0, 0), {0: 3}, False)


@pytest.mark.parametrize("partitions", [1, 2])
def test_a_topic_that_lost_its_messages_is_read_from_its_beginning_and_reported(
    partitions: int, tmp_path: Path
) -> None:
    with broker(tmp_path) as kafka:
        kafka.create_topic("events", partitions=2)
        kafka.publish("events", [GOOD] * 10)
        source = KafkaResource(servers=kafka.address, topic="events")
        before = read(source, {0: 0, 1: 0})
        kafka.stop()
        kafka.start()
        kafka.create_topic("events", partitions=partitions)
        kafka.publish("events", [GOOD, GOOD])
        after = read(source, dict(before.offsets))
        assert (counts(after), after.offsets[0], after.lost) == ((2, 0, 0), 2, True)
        assert len(after.offsets) == partitions


@pytest.fixture
def strict() -> tuple[str, Callable[[list[bytes]], None]]:
    """The address of a broker that refuses missing offsets, and a function that fills its topic `events`.

    The broker keeps about five megabytes of each partition.
    """
    producer = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    (address,) = (f"{one.host}:{one.port}" for one in producer.list_topics(timeout=10).brokers.values())

    def publish(values: list[bytes]) -> None:
        for value in values:
            producer.produce("events", value, partition=0)
            producer.flush(10)

    return address, publish


def test_messages_deleted_before_they_were_read_are_reported(
    strict: tuple[str, Callable[[list[bytes]], None]],
) -> None:
    address, publish = strict
    source = KafkaResource(servers=address, topic="events")
    publish([GOOD] * 3)
    before = read(source, {0: 0})
    assert (counts(before), before.offsets[0], before.lost) == ((3, 0, 0), 3, False)
    publish([b"x" * 900_000] * 12)
    after = read(source, dict(before.offsets))
    assert 0 < after.counts[MessageKind.MALFORMED] < 12
    assert (after.offsets[0], after.lost) == (15, True)
    assert not read(source, dict(after.offsets)).lost


def test_an_offset_beyond_the_end_restarts_the_partition_if_the_broker_reports_it(
    strict: tuple[str, Callable[[list[bytes]], None]],
) -> None:
    address, publish = strict
    publish([GOOD] * 3)
    batch = read(KafkaResource(servers=address, topic="events"), {0: 99})
    assert (counts(batch), batch.offsets[0], batch.lost) == ((3, 0, 0), 3, True)


def test_seaweedfs_announces_the_files_of_its_buckets(kafka: Broker, tmp_path: Path) -> None:
    """SeaweedFS really announces each file once, whether uploaded at once or in parts; its own files do not count."""
    kafka.create_topic("seaweedfs")
    source = KafkaResource(servers=kafka.address, topic="seaweedfs")
    with seaweedfs(tmp_path / "weed", notify=(kafka.address, "seaweedfs")) as server:
        server.make_bucket("lab")
        store = S3Store(
            "lab",
            endpoint=server.endpoint,
            access_key_id=server.access_key,
            secret_access_key=server.secret_key,
            region=server.region,
            client_options={"allow_http": True},
        )
        obstore.put(store, "raw/metadata.csv", b"first")
        start = read_until(source, {0: 0}, relevant=1)
        assert counts(start) == (1, start.counts[MessageKind.OTHER], 0)
        assert start.counts[MessageKind.OTHER] > 0
        obstore.put(store, "raw/audio/a site/S 1+2.wav", b"x" * 100)
        obstore.put(store, "raw/audio/S2.wav", bytes(6_000_000), chunk_size=5_242_880, use_multipart=True)
        obstore.put(store, "raw/metadata.csv", b"x")
        obstore.put(store, "elsewhere/metadata.csv", b"x")
        added = read_until(source, dict(start.offsets), relevant=3)
        obstore.get(store, "raw/metadata.csv").bytes()
        obstore.delete(store, "raw/metadata.csv")
        removed = read_until(source, dict(added.offsets), relevant=1)
    assert (added.counts[MessageKind.RELEVANT], added.counts[MessageKind.MALFORMED]) == (3, 0)
    assert (removed.counts[MessageKind.RELEVANT], removed.counts[MessageKind.MALFORMED]) == (1, 0)


def test_a_missing_topic_is_reported(kafka: Broker) -> None:
    assert "NOVOIC_KAFKA_TOPIC" in failure(KafkaResource(servers=kafka.address, topic=f"{CANARY}-none"))
    assert "NOVOIC_KAFKA_TOPIC" in failure(KafkaResource(servers=kafka.address, topic=f"{CANARY} / none"))


def test_brokers_that_do_not_answer_are_reported(capfd: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    assert "NOVOIC_KAFKA_SERVERS do not answer" in failure(KafkaResource(servers=f"127.0.0.1:{port}", topic=CANARY))
    assert capfd.readouterr() == ("", "")  # librdkafka itself may write there


def test_an_unknown_host_is_reported() -> None:
    assert "hosts in NOVOIC_KAFKA_SERVERS" in failure(KafkaResource(servers=f"{CANARY}.invalid:9092", topic=CANARY))


def test_a_refused_login_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOVOIC_KAFKA_PASSWORD", f"{CANARY} password")
    with broker(tmp_path, closed=True) as kafka:
        for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            source = KafkaResource(
                servers=kafka.address,
                topic="events",
                security="SASL_PLAINTEXT",
                sasl_mechanism=mechanism,
                username=f"{CANARY} user",
            )
            assert "NOVOIC_KAFKA_USERNAME, NOVOIC_KAFKA_PASSWORD" in failure(source)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """A certificate authority, saved in the file `ca.pem`."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


def test_tls_takes_the_authority_and_the_clients_certificate_from_their_settings(
    tmp_path: Path, authority: trustme.CA
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    certificate = authority.issue_cert("client@lab")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "certificate.pem"))
    files = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "certificate", "key")}
    client = {
        "security.protocol": "SSL",
        "ssl.ca.location": files["ca"],
        "ssl.certificate.location": files["certificate"],
        "ssl.key.location": files["key"],
    }
    with broker(tmp_path, tls=server, client=client) as kafka:
        kafka.create_topic("events")
        kafka.publish("events", [GOOD])
        source = KafkaResource(servers=kafka.address, topic="events", security="SSL", **files)
        assert counts(read(source, {0: 0})) == (1, 0, 0)
        stranger = KafkaResource(servers=kafka.address, topic="events", security="SSL", ca=files["ca"])
        assert "NOVOIC_KAFKA_CERTIFICATE" in failure(stranger)
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        deceived = KafkaResource(
            servers=kafka.address, topic="events", security="SSL", **{**files, "ca": f"{tmp_path}/other.pem"}
        )
        assert "NOVOIC_KAFKA_CA" in failure(deceived)


def test_a_login_over_tls_takes_the_password_from_the_environment(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    ca = str(tmp_path / "ca.pem")
    client = {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": ca,
        "sasl.mechanism": "PLAIN",
        "sasl.username": "lab",
        "sasl.password": f"{CANARY} word",
    }
    with broker(tmp_path, login=("lab", f"{CANARY} word"), tls=server, client=client) as kafka:
        kafka.create_topic("events")
        kafka.publish("events", [GOOD])
        source = KafkaResource(
            servers=kafka.address,
            topic="events",
            security="SASL_SSL",
            sasl_mechanism="PLAIN",
            username="lab",
            ca=ca,
        )
        monkeypatch.setenv("NOVOIC_KAFKA_PASSWORD", f"{CANARY} word")
        assert counts(read(source, {0: 0})) == (1, 0, 0)
        monkeypatch.setenv("NOVOIC_KAFKA_PASSWORD", f"{CANARY} another")
        assert "refuse the login" in failure(source)


@pytest.mark.parametrize("setting", ["ca", "certificate"])
def test_an_unusable_file_is_reported_without_its_name(
    setting: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / CANARY)
    files = {"ca": {"ca": missing}, "certificate": {"certificate": missing, "key": missing}}[setting]
    assert "NOVOIC_KAFKA_CA" in failure(KafkaResource(servers="127.0.0.1:1", topic="events", security="SSL", **files))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"servers": ""}, "NOVOIC_KAFKA_SERVERS"),
        ({"topic": ""}, "NOVOIC_KAFKA_TOPIC"),
        ({"security": "TLS"}, "NOVOIC_KAFKA_SECURITY takes one of PLAINTEXT, SSL"),
        ({"security": "SASL_SSL", "sasl_mechanism": "GSSAPI", "username": "a"}, "NOVOIC_KAFKA_SASL_MECHANISM"),
        ({"security": "SASL_SSL", "username": "a"}, "NOVOIC_KAFKA_PASSWORD"),
        ({"security": "SSL", "certificate": "a"}, "NOVOIC_KAFKA_KEY"),
    ],
)
def test_an_invalid_setting_is_reported(settings: dict[str, str], told: str) -> None:
    assert told in failure(KafkaResource(**{"servers": "127.0.0.1:1", "topic": "events", **settings}))


def test_the_settings_come_from_the_environment_and_the_password_is_not_a_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "SERVERS": "one:9092,two:9092",
        "TOPIC": "events",
        "SECURITY": "SASL_SSL",
        "SASL_MECHANISM": "SCRAM-SHA-256",
        "USERNAME": "reader",
        "PASSWORD": "secret word",
        "CA": "/ca",
        "CERTIFICATE": "/certificate",
        "KEY": "/key",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"NOVOIC_KAFKA_{name}", value)
    source = KafkaResource()
    assert "secret" not in str(source.model_dump())
    assert {
        "bootstrap.servers": "one:9092,two:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "reader",
        "sasl.password": "secret word",
        "ssl.ca.location": "/ca",
        "ssl.certificate.location": "/certificate",
        "ssl.key.location": "/key",
        "enable.auto.commit": False,
    }.items() <= source.client_settings().items()


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    assert "pip install novoic-assets[kafka]" in failure(KafkaResource(servers="127.0.0.1:1", topic="events"))


def test_the_sensor_loads_without_the_extra() -> None:
    code = "import sys; sys.modules['confluent_kafka'] = None; import novoic_assets.sensors.kafka"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_of_a_message_is_logged(
    kafka: Broker, events: KafkaResource, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    kafka.publish(events.topic, [GOOD, BAD, OTHER], key=CANARY.encode())
    capfd.readouterr()
    batch = read(events, {0: 0, 1: 0})
    assert counts(batch) == (1, 1, 1)
    assert CANARY not in repr(batch)
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")
