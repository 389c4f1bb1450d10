"""The JSON files of the store."""

import json
from collections.abc import Mapping
from typing import Any


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Encode a JSON file that people can read: UTF-8, indented, keys in the given order."""
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
