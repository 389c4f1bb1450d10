"""Read from a message whether something has changed in the raw folder, and nothing else.

A message only decides when to look; the raw folder itself shows what to do. So messages need not be trusted, a lost or
duplicate message does no harm, and nothing of a message's content is kept. These are the known messages:

- S3 events: `{"Records": [{"eventName": …, "s3": {"bucket": {"name": …}, "object": {"key": …}}}]}`, as AWS, Ceph and
  MinIO write them, with the key encoded as in a URL.
- EventBridge events, which AWS sends for a bucket: `{"detail-type": …, "detail": {"bucket": …, "object": …}}`.
- SeaweedFS filer events: the content is protobuf, and the message's key is the path, `/buckets/<bucket>/<key>`.
- Events of a recorder: `{"session": "S001"}`.
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
    """How a message concerns the raw folder."""

    RELEVANT = "relevant"
    OTHER = "other"
    MALFORMED = "malformed"


class _MalformedError(Exception):
    """A message of no known form."""


def read_event(value: bytes | None, key: bytes | None, bucket: str | None, prefix: str) -> MessageKind:
    """Classify a message, whatever bytes it has.

    Args:
        value: The message's content.
        key: The message's key.
        bucket: The bucket of the raw data; None if they are in a folder, which no bucket event concerns.
        prefix: The path of the raw data below the bucket, without a slash at either end.

    Returns:
        RELEVANT if a run may have something to do. OTHER if the message is valid, but concerns another bucket,
        prefix or kind of file, or an event that changes nothing. MALFORMED if it has no known form.

    Raises:
        NovoicError: A transcript format of an installed package cannot be used.

    Example:
        >>> read_event(b'{"session": "S001"}', None, None, "").value
        'relevant'
        >>> read_event(b"", b"/buckets/other/text/S001.xml", "speech", "").value
        'other'
    """
    try:
        return MessageKind.RELEVANT if _is_relevant(value or b"", key or b"", bucket, prefix) else MessageKind.OTHER
    except (_MalformedError, ValueError, RecursionError):  # not JSON, or JSON with too deep nesting
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
        # Check every record, so that a fault in any of them makes the message malformed.
        return sum(_is_relevant_record(record, bucket, prefix) for record in records) > 0
    if "detail-type" in content:
        detail = _dictionary(content.get("detail"))
        what = _text(content["detail-type"])
        return what in _BRIDGE_CHANGES and _is_ours(*_names(detail), bucket, prefix)
    if content.get("Event") == "s3:TestEvent":  # AWS sends one when somebody sets up notifications
        return False
    raise _MalformedError


def _is_relevant_record(record: Any, bucket: str | None, prefix: str) -> bool:  # noqa: ANN401 - any JSON
    record = _dictionary(record)
    name, key = _names(_dictionary(record.get("s3")))
    # Reading a file is an event too. It must not count as a change, or each look would cause the next.
    what = _text(record.get("eventName")).removeprefix("s3:")
    return what.startswith(_CHANGES) and _is_ours(name, unquote_plus(key), bucket, prefix)


def _is_ours(name: str, key: str, bucket: str | None, prefix: str) -> bool:
    start = f"{prefix}/" if prefix else ""
    if name != bucket or not key.startswith(start):
        return False
    return _is_read(key.removeprefix(start))


def _is_read(path: str) -> bool:
    """Return whether a run reads the file at a path, by the same rule as a listing."""
    if path == METADATA:
        return True
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or any(part.startswith(".") for part in parts):
        return False
    return PurePosixPath(path).suffix.lower() in extensions_of(parts[0])


def _names(content: dict[str, Any]) -> tuple[str, str]:
    """Return bucket and key."""
    return _text(_dictionary(content.get("bucket")).get("name")), _text(_dictionary(content.get("object")).get("key"))


def _dictionary(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    if not isinstance(value, dict):
        raise _MalformedError
    return value


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    if not isinstance(value, str) or not value:
        raise _MalformedError
    return value
