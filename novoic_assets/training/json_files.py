"""JSON as files in the store have it."""

import json
from collections.abc import Mapping
from typing import Any


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """A JSON file that people can read: UTF-8, indented, in the order of its keys."""
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
