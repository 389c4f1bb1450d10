"""Every message is classified, whatever bytes it has."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novoic_assets.sensors.events import MessageKind, read_event
from novoic_assets.sessions.formats import registered
from novoic_assets.stages.listing import extensions_of, session_files
from novoic_assets.storage.files import FileInfo
from novoic_assets_tests.installed import installed
from novoic_assets_tests.sessions.formats.lines import LINES

BUCKET, PREFIX = "lab", "raw/2026"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def record(key: str, event: str = "ObjectCreated:Put", bucket: str = BUCKET) -> dict[str, Any]:
    """One record as AWS writes it, without the fields that nobody reads."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": event,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {"key": quote_plus(key, safe="/"), "size": 4, "eTag": "0123"},
        },
    }


def aws(*keys: str, **fields: str) -> bytes:
    return json.dumps({"Records": [record(key, **fields) for key in keys]}).encode()


def minio(key: str, event: str = "s3:ObjectCreated:Put") -> bytes:
    """As MinIO writes it: the event's name starts with `s3:`, and the slashes of the key are encoded too."""
    entry = record(key, event)
    entry["s3"]["object"]["key"] = quote_plus(key)
    return json.dumps({"EventName": event, "Key": f"{BUCKET}/{key}", "Records": [entry]}).encode()


def bridge(key: str, what: str = "Object Created") -> bytes:
    """As EventBridge writes it: the key is not encoded."""
    detail = {"version": "0", "bucket": {"name": BUCKET}, "object": {"key": key, "size": 4}}
    return json.dumps({"version": "0", "detail-type": what, "source": "aws.s3", "detail": detail}).encode()


def read(
    value: bytes | None, key: bytes | None = None, bucket: str | None = BUCKET, prefix: str = PREFIX
) -> MessageKind:
    return read_event(value, key, bucket, prefix)


@pytest.mark.parametrize("write", [aws, minio, bridge])
@pytest.mark.parametrize(
    "path", ["metadata.csv", "text/S001.xml", "audio/S001.wav", "audio/a site/S 1+2 ä.WAV", "text/100%25.xml"]
)
def test_a_file_of_the_raw_data_is_relevant_whoever_reports_it(write: Any, path: str) -> None:
    assert read(write(f"{PREFIX}/{path}")) == MessageKind.RELEVANT


@pytest.mark.parametrize("write", [aws, minio, bridge])
@pytest.mark.parametrize(
    "key",
    [
        "metadata.csv",
        "raw/2027/text/S001.xml",
        "raw/2026metadata.csv",
        f"{PREFIX}/notes/S001.xml",
        f"{PREFIX}/audio/S001.xml",
        f"{PREFIX}/text/S001.wav",
        f"{PREFIX}/text/.S001.xml",
        f"{PREFIX}/audio/.uploads/S001.wav",
        f"{PREFIX}/audio",
        f"{PREFIX}/audio/metadata.csv",
        f"{PREFIX}/",
    ],
)
def test_any_other_file_is_not(write: Any, key: str) -> None:
    assert read(write(key)) == MessageKind.OTHER


def test_another_bucket_is_other_and_an_empty_prefix_is_the_whole_bucket() -> None:
    assert read(aws(f"{PREFIX}/metadata.csv", bucket="another")) == MessageKind.OTHER
    assert read(aws("metadata.csv"), prefix="") == MessageKind.RELEVANT
    assert read(aws("audio/S001.wav"), prefix="") == MessageKind.RELEVANT


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("ObjectCreated:CompleteMultipartUpload", MessageKind.RELEVANT),
        ("s3:ObjectCreated:Copy", MessageKind.RELEVANT),
        ("ObjectRemoved:Delete", MessageKind.RELEVANT),
        ("LifecycleExpiration:Delete", MessageKind.RELEVANT),
        ("s3:ObjectLifecycle:Expiration:Current", MessageKind.RELEVANT),
        # A run reads the files, which must not start the next run.
        ("s3:ObjectAccessed:Get", MessageKind.OTHER),
        ("s3:ObjectAccessed:Head", MessageKind.OTHER),
        ("ObjectTagging:Put", MessageKind.OTHER),
    ],
)
def test_what_changes_no_file_is_other(event: str, kind: MessageKind) -> None:
    assert read(aws(f"{PREFIX}/metadata.csv", event=event)) == kind


def test_eventbridge_reports_other_events_too() -> None:
    assert read(bridge(f"{PREFIX}/metadata.csv", "Object Deleted")) == MessageKind.RELEVANT
    assert read(bridge(f"{PREFIX}/metadata.csv", "Object Tags Added")) == MessageKind.OTHER


def test_one_relevant_record_of_several_is_enough_and_one_that_is_malformed_is_too_much() -> None:
    assert read(aws("elsewhere", f"{PREFIX}/metadata.csv")) == MessageKind.RELEVANT
    broken = {"Records": [record(f"{PREFIX}/metadata.csv"), {}]}
    assert read(json.dumps(broken).encode()) == MessageKind.MALFORMED


def test_aws_test_event_is_other() -> None:
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-24T00:00:00.000Z", "Bucket": BUCKET}
    assert read(json.dumps(event).encode()) == MessageKind.OTHER


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (b"/buckets/lab/raw/2026/audio/S 0+1.wav", MessageKind.RELEVANT),
        (b"/buckets/lab/raw/2026/metadata.csv", MessageKind.RELEVANT),
        (b"/buckets/lab/raw/2026/audio", MessageKind.OTHER),
        (b"/buckets/lab/.uploads/0001.part", MessageKind.OTHER),
        (b"/buckets/another/raw/2026/metadata.csv", MessageKind.OTHER),
        (b"/buckets/lab", MessageKind.OTHER),
        (b"/buckets", MessageKind.OTHER),
        (b"/lab/raw/2026/metadata.csv", MessageKind.OTHER),
        (b"/buckets/lab/raw/2026/audio/\xff.wav", MessageKind.MALFORMED),
        (b"lab/raw/2026/metadata.csv", MessageKind.MALFORMED),
        (None, MessageKind.MALFORMED),
    ],
)
def test_a_filer_event_of_seaweedfs_is_known_by_its_key(key: bytes | None, kind: MessageKind) -> None:
    assert read(b"\x12\xf1\x01\n\x0cmetadata.csv\x1a1", key) == kind


@pytest.mark.parametrize("bucket", [BUCKET, None])
def test_a_recorders_own_message_is_relevant(bucket: str | None) -> None:
    assert read(b'{"session": "S001"}', bucket=bucket) == MessageKind.RELEVANT
    assert read(b'{"session": "S001", "site": 4}', bucket=bucket) == MessageKind.RELEVANT


@pytest.mark.parametrize("value", [b'{"session": ""}', b'{"session": null}', b'{"session": 1}', b'{"Session": "S1"}'])
def test_a_message_without_a_session_is_malformed(value: bytes) -> None:
    assert read(value) == MessageKind.MALFORMED


def test_events_of_a_bucket_do_not_concern_a_folder() -> None:
    assert read(aws("metadata.csv"), bucket=None, prefix="") == MessageKind.OTHER


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"session"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"session":' * 100_000,
        b'{"Records": []}',
        b'{"Records": {}}',
        b'{"Records": [{"s3": {}}]}',
        b'{"detail-type": "Object Created"}',
        b"1" * 10_000,
    ],
)
def test_an_unknown_message_is_malformed(value: bytes | None) -> None:
    assert read(value) == MessageKind.MALFORMED


@given(st.none() | st.binary(), st.none() | st.binary(), st.none() | st.just(BUCKET))
def test_no_bytes_are_too_strange(value: bytes | None, key: bytes | None, bucket: str | None) -> None:
    assert read(value, key, bucket) != MessageKind.RELEVANT


@given(JSON, st.sampled_from(["", "Records", "detail-type", "detail", "session", "Event"]))
def test_no_json_is_too_strange(content: Any, name: str) -> None:
    kind = read(json.dumps({name: content} if name else content).encode())
    assert (kind == MessageKind.RELEVANT) == (name == "session" and isinstance(content, str) and content != "")


@given(st.sampled_from(["eventName", "s3", "bucket", "object", "name", "key"]), JSON)
def test_no_record_is_too_strange(name: str, content: Any) -> None:
    entry = record(f"{PREFIX}/metadata.csv")
    for part in (entry, entry["s3"], entry["s3"]["bucket"], entry["s3"]["object"]):
        if name in part:
            part[name] = content
    in_order = name in ("eventName", "name", "key") and isinstance(content, str) and content
    assert read(json.dumps({"Records": [entry]}).encode()) == (MessageKind.OTHER if in_order else MessageKind.MALFORMED)


@given(st.integers(min_value=0))
def test_a_message_that_was_cut_off_is_malformed(length: int) -> None:
    whole = minio(f"{PREFIX}/audio/S001.wav")
    assert read(whole[: length % len(whole)]) == MessageKind.MALFORMED


@given(st.sampled_from(["", "audio/", "text/", "text/audio/", "audio/.a/"]), st.text(st.characters(codec="utf-8")))
def test_a_path_is_relevant_exactly_if_a_listing_takes_it(folder: str, name: str) -> None:
    for extension in ("", ".xml", ".wav", ".WAV", ".csv"):
        path = f"{folder}{name}{extension}"
        info = FileInfo(path, 1, "", datetime.now(UTC))
        top = path.split("/")[0] if "/" in path else ""
        listed = session_files([info], extensions_of(top))[0]
        event = json.dumps({"Records": [record("")]}).encode()
        event = event.replace(b'"key": ""', b'"key": "' + quote(f"{PREFIX}/{path}").encode() + b'"')
        assert (read(event) == MessageKind.RELEVANT) == (bool(listed) or path == "metadata.csv")


def test_the_files_of_a_format_that_a_package_adds_are_relevant(tmp_path: Path) -> None:
    event = json.dumps({"Records": [record(f"{PREFIX}/text/S001.lines")]}).encode()
    points = {registered.ENTRY_POINTS: {"lines": "lab_lines:LINES"}}
    assert read(event) == MessageKind.OTHER
    with installed(tmp_path / "site", "lab_lines", LINES, points):
        assert read(event) == MessageKind.RELEVANT
    assert read(event) == MessageKind.OTHER
