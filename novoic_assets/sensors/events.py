"""What a message says: whether something has happened in the raw folder, and no more.

A message tells when to look; what there is to do is read from the raw folder itself. So none is trusted, a lost or
doubled one does no harm, and nothing of its content is kept.

- S3's event format: `{"Records": [{"eventName": …, "s3": {"bucket": {"name": …}, "object": {"key": …}}}]}`, as AWS,
  Ceph and MinIO write it, the key encoded as in a URL.
- EventBridge's, with which AWS tells of a bucket: `{"detail-type": …, "detail": {"bucket": …, "object": …}}`.
- SeaweedFS's filer events: the content is of a kind of its own (protobuf), the message's key is the path,
  `/buckets/<bucket>/<key>`.
- A recorder's own: `{"session": "S001"}`.
"""

import json
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote_plus

from novoic_assets.stages.listing import METADATA, extensions_of

_CHANGES: Final = (
    "ObjectCreated:",
    "ObjectRemoved:",
    "ObjectRestore:Completed",
    "LifecycleExpiration",
    "ObjectLifecycle",
)
_BRIDGE_CHANGES: Final = ("Object Created", "Object Deleted", "Object Restore Completed")
_SEAWEEDFS_BUCKETS: Final = "/buckets/"


class MessageKind(StrEnum):
    """What a message is."""

    RELEVANT = "relevant"
    OTHER = "other"
    MALFORMED = "malformed"


class _MalformedError(Exception):
    """A message that is none of the known ones."""


def read_event(value: bytes | None, key: bytes | None, bucket: str | None, prefix: str) -> MessageKind:
    """Tell what a message is, whatever bytes it has.

    Args:
        value: Its content.
        key: Its key.
        bucket: The bucket of the raw data; None where they are in a folder, of which no bucket tells.
        prefix: Where below the bucket they are, without a slash at either end.

    Returns:
        Relevant where a run may have something to do; other where the message is in order, and is of another
        bucket, prefix or kind of file, or of something that changes nothing.

    Raises:
        NovoicError: A transcript format of an installed package cannot be used.
    """
    try:
        return MessageKind.RELEVANT if _is_relevant(value or b"", key or b"", bucket, prefix) else MessageKind.OTHER
    except (_MalformedError, ValueError, RecursionError):  # no JSON, or JSON nested beyond all sense
        return MessageKind.MALFORMED


def _is_relevant(value: bytes, key: bytes, bucket: str | None, prefix: str) -> bool:
    if key.startswith(b"/") and not value.startswith(b"{"):
        where = key.decode()
        name, _, path = where.removeprefix(_SEAWEEDFS_BUCKETS).partition("/")
        return where.startswith(_SEAWEEDFS_BUCKETS) and _is_ours(name, path, bucket, prefix)
    content = _dictionary(json.loads(value))
    if "session" in content:
        _text(content["session"])
        return True
    if "Records" in content:
        records = content["Records"]
        if not isinstance(records, list) or not records:
            raise _MalformedError
        # All of them are looked at, so that a message is malformed wherever in it the fault is.
        return sum(_is_relevant_record(record, bucket, prefix) for record in records) > 0
    if "detail-type" in content:
        detail = _dictionary(content.get("detail"))
        what = _text(content["detail-type"])
        return what in _BRIDGE_CHANGES and _is_ours(*_names(detail), bucket, prefix)
    if content.get("Event") == "s3:TestEvent":  # AWS sends one when notifications are set up
        return False
    raise _MalformedError


def _is_relevant_record(record: Any, bucket: str | None, prefix: str) -> bool:  # noqa: ANN401 - any JSON
    record = _dictionary(record)
    name, key = _names(_dictionary(record.get("s3")))
    # Reading a file is an event too: taking it for a change would have each look cause the next.
    what = _text(record.get("eventName")).removeprefix("s3:")
    return what.startswith(_CHANGES) and _is_ours(name, unquote_plus(key), bucket, prefix)


def _is_ours(name: str, key: str, bucket: str | None, prefix: str) -> bool:
    start = f"{prefix}/" if prefix else ""
    if name != bucket or not key.startswith(start):
        return False
    return _is_read(key.removeprefix(start))


def _is_read(path: str) -> bool:
    """Whether it is the path of a file that a run reads; the same rule as that of a listing."""
    if path == METADATA:
        return True
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or any(part.startswith(".") for part in parts):
        return False
    return PurePosixPath(path).suffix.lower() in extensions_of(parts[0])


def _names(content: dict[str, Any]) -> tuple[str, str]:
    """Bucket and key."""
    return _text(_dictionary(content.get("bucket")).get("name")), _text(_dictionary(content.get("object")).get("key"))


def _dictionary(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    if not isinstance(value, dict):
        raise _MalformedError
    return value


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    if not isinstance(value, str) or not value:
        raise _MalformedError
    return value
