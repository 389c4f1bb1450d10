"""The parsed stage's worker: a transcript file in, a row of `transcripts` out."""

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pyarrow as pa

from novoic_assets.resources.storage import Storage
from novoic_assets.sessions import schemas
from novoic_assets.sessions.reasons import Reason, Refused
from novoic_assets.sessions.transcript import MAX_BYTES, content_digest, parse_transcript
from novoic_assets.sessions.worker import SessionWorker

TASKS: Final = pa.schema(
    [
        pa.field("session", pa.string()),
        pa.field("refusal", pa.string()),
        pa.field("path", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("etag", pa.string()),
    ]
)


@dataclass(frozen=True)
class ParseTranscripts(SessionWorker):
    """Reads and parses transcripts.

    Attributes:
        raw: The raw folder.
    """

    raw: Storage
    schema: ClassVar[pa.Schema] = schemas.TRANSCRIPTS

    def compute(self, task: dict[str, Any]) -> dict[str, Any]:
        """The row of one transcript."""
        if task["size"] > MAX_BYTES:
            raise Refused(Reason.FORBIDDEN_XML)
        data = self.raw.open_listed(task["path"], task["size"], task["etag"]).readall()
        transcript = parse_transcript(data, task["session"])
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
