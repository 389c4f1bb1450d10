"""Parse transcripts in the parsed stage: a transcript file in, a row of `transcripts` out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pyarrow as pa

from novoic_assets.engines.contract import SessionFunction
from novoic_assets.fingerprints import fingerprint
from novoic_assets.reasons import Reason
from novoic_assets.sessions.formats import registered
from novoic_assets.sessions.formats.format import ParseContext
from novoic_assets.sessions.formats.rules import check_size
from novoic_assets.sessions.transcript import content_digest
from novoic_assets.stages.incremental import Wanted
from novoic_assets.stages.stage import Stage, Upstream
from novoic_assets.stages.worker import SingleSessionWorker
from novoic_assets.storage import schemas
from novoic_assets.storage.files import Storage
from novoic_assets.storage.store_tables import StoreTables

TASKS: Final = pa.schema(
    [
        pa.field("session", pa.string()),
        pa.field("refusal", pa.string()),
        pa.field("path", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("etag", pa.string()),
    ]
)


_SECONDS_PER_FILE = 5e-4
_SECONDS_PER_OBJECT = 2e-2  # for a request to a bucket, during which the core is idle
_SECONDS_PER_BYTE = 2e-7


@dataclass(frozen=True)
class ParseTranscripts(SingleSessionWorker):
    """Read and parse transcripts.

    Attributes:
        raw: The raw folder or bucket.
    """

    raw: Storage
    schema: ClassVar[pa.Schema] = schemas.TRANSCRIPTS

    def compute(self, task: dict[str, Any]) -> dict[str, Any]:
        """Return the row of one transcript."""
        form = registered.format_of(task["path"])
        check_size(task["size"], form.max_bytes)
        data = self.raw.open_listed(task["path"], task["size"], task["etag"]).readall()
        transcript = form.read(data, ParseContext(session=task["session"]))
        words = [word for segment in transcript.segments for word in segment.words]
        return {
            "sha256": hashlib.sha256(data).hexdigest(),
            "content": content_digest(transcript),
            "patient": transcript.patient,
            "words": len(words),
            "patient_words": sum(word.speaker == "patient" for word in words),
            "end": max(segment.end for segment in transcript.segments),
            "guidelines": transcript.guidelines,
            "segments": [
                {
                    "start": segment.start,
                    "end": segment.end,
                    "words": [{"text": word.text, "speaker": word.speaker} for word in segment.words],
                }
                for segment in transcript.segments
            ],
        }


class ParsedStage(Stage):
    """From transcript files to segments and words."""

    name = "parsed_transcripts"

    def __init__(self, raw: Storage, tables: StoreTables) -> None:
        """Keep the arguments; the stage reads nothing yet.

        Args:
            raw: The raw folder or bucket.
            tables: The tables of the store.
        """
        self._raw = raw
        self._files = tables.transcript_files
        self.table = tables.transcripts

    def versions(self) -> Mapping[str, int]:
        """Return the version of the listing."""
        return {self._files.name: self._files.snapshot().version}

    def upstream(self) -> Upstream:
        """Return the listed transcripts."""
        snapshot = self._files.snapshot()
        files: dict[str, list[dict[str, Any]]] = {}
        for row in snapshot.select(["path", "session", "size", "etag"]).to_pylist():
            files.setdefault(row["session"], []).append(row)

        def tasks(sessions: Sequence[str]) -> pa.Table:
            rows = [
                {**files[session][0], "refusal": str(Reason.AMBIGUOUS_TRANSCRIPT) if len(files[session]) > 1 else None}
                for session in sessions
            ]
            return pa.Table.from_pylist(rows, schema=TASKS)

        wanted = {
            session: Wanted(
                fingerprint(
                    registered.fingerprint_mark([registered.format_of(row["path"]) for row in rows]),
                    *(f"{row['path']} {row['size']} {row['etag']}" for row in rows),
                ),
                size=sum(row["size"] for row in rows),
            )
            for session, rows in files.items()
        }
        return Upstream({self._files.name: snapshot.version}, wanted, tasks)

    def cost(self, wanted: Wanted, families: Sequence[str]) -> float:  # noqa: ARG002 - this stage has no families
        """Estimate the seconds that parsing a transcript takes, from its size."""
        per_file = _SECONDS_PER_OBJECT if self._raw.is_remote else _SECONDS_PER_FILE
        return per_file + _SECONDS_PER_BYTE * wanted.size

    def function(self) -> SessionFunction:
        """Return the worker that parses transcripts."""
        return ParseTranscripts(self._raw)
