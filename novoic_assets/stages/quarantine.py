"""Collect the quarantine: what the stages refused, and why."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from novoic_assets.reasons import OK, Reason
from novoic_assets.storage.store_tables import StoreTables

QUARANTINE: Final = pa.schema(
    [
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("session", pa.string()),  # of a refused session
        pa.field("line", pa.int64()),  # of a refused line of the metadata
        pa.field("detail", pa.string()),
    ]
)


def quarantine(tables: Mapping[str, pa.Table]) -> pa.Table:
    """Collect the refused rows of the stages' tables.

    If a later stage cannot use a session because an earlier stage refused it, the session is listed once,
    under the earlier stage.

    Args:
        tables: By stage (`raw_metadata`, `parsed_transcripts`, …), a table with the column `reason` and
            either `session` and `detail`, or `line`.

    Returns:
        The refused sessions and lines with their stage and code, in the schema `QUARANTINE`.
    """
    rows = []
    for stage, table in tables.items():
        for row in table.to_pylist():
            if row["reason"] not in (OK, Reason.TRANSCRIPT_REFUSED):
                entry = {name: row.get(name) for name in QUARANTINE.names}
                rows.append({**entry, "stage": stage})
    return pa.Table.from_pylist(rows, schema=QUARANTINE)


def count_reasons(refused: pa.Table) -> dict[tuple[str, str], int]:
    """Count refused inputs by stage and reason code, sorted."""
    pairs = zip(refused["stage"].to_pylist(), refused["reason"].to_pylist(), strict=True)
    return dict(sorted(Counter(pairs).items()))


def read_quarantine(tables: StoreTables) -> pa.Table:
    """Read everything that the stages have refused from their tables.

    Raises:
        StorageError: The store cannot be read.
    """
    stages = {
        "parsed_transcripts": tables.transcripts,
        "text_features": tables.text_features,
        "audio_features": tables.audio_features,
    }
    return quarantine(
        {
            "raw_metadata": tables.patients.snapshot().select(["row", "line", "reason"]),
            **{stage: table.snapshot().select(["session", "reason", "detail"]) for stage, table in stages.items()},
        }
    )
