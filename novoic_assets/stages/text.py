"""The text features stage: a parsed transcript in, its families' values out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pyarrow as pa

from novoic_assets.engines.contract import SessionFunction
from novoic_assets.features import catalogue
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import text_features
from novoic_assets.features.values import to_rows
from novoic_assets.fingerprints import fingerprint
from novoic_assets.reasons import OK, Reason, first_code
from novoic_assets.sessions.transcript import Segment, Word
from novoic_assets.stages.incremental import Wanted
from novoic_assets.stages.stage import Stage, Upstream
from novoic_assets.stages.worker import SessionWorker, pending
from novoic_assets.storage import schemas
from novoic_assets.storage.store_tables import StoreTables

_SECONDS_PER_SESSION = 1e-3
_SECONDS_PER_WORD = 1e-4

TASKS: Final = pa.schema(
    [
        pa.field("session", pa.string()),
        pa.field("refusal", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("patient", pa.string()),
        pa.field("guidelines", pa.string()),
        pa.field("segments", schemas.SEGMENTS),
    ]
)


@dataclass(frozen=True)
class ComputeText(SessionWorker):
    """Computes text features.

    Attributes:
        spacy_model: Name of the spaCy model.
        choice: The setting NOVOIC_FAMILIES.
    """

    spacy_model: str
    choice: str
    schema: ClassVar[pa.Schema] = schemas.TEXT_FEATURES

    def compute(self, task: dict[str, Any]) -> dict[str, Any]:
        """The values of one session."""
        conversation = Conversation(to_segments(task["segments"]), task["guidelines"] or "")
        families = pending(catalogue.text_families(self.spacy_model, self.choice), task)
        return {
            "sha256": task["sha256"],
            "patient": task["patient"],
            "values": to_rows(text_features(conversation, families)),
        }


class TextStage(Stage):
    """Parsed transcripts to text features."""

    name = "text_features"

    def __init__(self, tables: StoreTables, spacy_model: str, choice: str) -> None:
        self._transcripts = tables.transcripts
        self._spacy_model, self._choice = spacy_model, choice
        self._families = catalogue.text_families(spacy_model, choice)
        self.table = tables.text_features

    def versions(self) -> Mapping[str, int]:
        """The version of the parsed transcripts."""
        return {self._transcripts.name: self._transcripts.snapshot().version}

    def upstream(self) -> Upstream:
        """The parsed transcripts; of one that was refused, that it was."""
        snapshot = self._transcripts.snapshot()
        wanted = {}
        for row in snapshot.select(["session", "reason", "sha256", "content", "patient", "words"]).to_pylist():
            base = fingerprint(first_code(row["reason"]), row["sha256"], row["content"], row["patient"])
            wanted[row["session"]] = Wanted(
                base,
                catalogue.marks(base, self._families),
                cost=_SECONDS_PER_SESSION + _SECONDS_PER_WORD * (row["words"] or 0),
            )

        def tasks(sessions: Sequence[str]) -> pa.Table:
            rows = snapshot.select(["session", "reason", "sha256", "patient", "guidelines", "segments"], sessions)
            refusal = pa.array(
                [None if reason == OK else str(Reason.TRANSCRIPT_REFUSED) for reason in rows["reason"].to_pylist()],
                pa.string(),
            )
            return rows.append_column("refusal", refusal).select(TASKS.names)

        return Upstream({self._transcripts.name: snapshot.version}, wanted, tasks)

    def function(self) -> SessionFunction:
        """Compute text features."""
        return ComputeText(self._spacy_model, self._choice)


def to_segments(rows: list[dict[str, Any]]) -> tuple[Segment, ...]:
    """The segments of a row of `transcripts`."""
    return tuple(
        Segment(row["start"], row["end"], tuple(Word(word["text"], word["speaker"]) for word in row["words"]))
        for row in rows
    )
