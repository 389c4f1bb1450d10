"""Compute the text features stage: a parsed transcript in, the values of its families out."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import pyarrow as pa

from novoic_assets.engines.contract import SessionFunction
from novoic_assets.features import catalogue
from novoic_assets.features.family import BatchFunction, FeatureValues, Speaker
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import TextFamily, text_batch, text_features
from novoic_assets.features.values import to_rows
from novoic_assets.fingerprints import fingerprint
from novoic_assets.reasons import OK, Reason, first_code
from novoic_assets.sessions.transcript import Segment, Word
from novoic_assets.stages.incremental import Wanted
from novoic_assets.stages.stage import Stage, Upstream
from novoic_assets.stages.worker import FeatureWorker, Row, Task, check_identity
from novoic_assets.storage import schemas
from novoic_assets.storage.store_tables import StoreTables

_SECONDS_PER_SESSION: Final = 2e-3  # for a task and its row
_SECONDS_PER_WORD: Final = 5e-6
_BYTES_PER_WORD: Final = 32  # in Arrow, with its speaker

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


@dataclass(frozen=True, slots=True)
class _Session:
    conversation: Conversation
    values: dict[str, dict[Speaker, FeatureValues]]


@dataclass(frozen=True)
class ComputeText(FeatureWorker[TextFamily, _Session]):
    """Compute text features.

    Attributes:
        spacy_model: Name of the spaCy model.
        choice: The setting NOVOIC_FAMILIES.
        device: The setting NOVOIC_DEVICE.
        identity: The families that the stage expects; see `catalogue.identity`.
    """

    spacy_model: str
    choice: str
    device: str = "cpu"
    identity: str = ""
    schema: ClassVar[pa.Schema] = schemas.TEXT_FEATURES

    def families(self) -> Sequence[TextFamily]:
        """Return all text families."""
        return _families(self.spacy_model, self.choice, self.identity)

    def open(self, task: Task, families: Sequence[TextFamily]) -> _Session:
        """Build the conversation, and compute the families that take one session at a time."""
        conversation = Conversation(to_segments(task["segments"]), task["guidelines"] or "")
        return _Session(conversation, text_features(conversation, families))

    def batch(self, family: TextFamily, compute: BatchFunction[Conversation], sessions: Sequence[_Session]) -> None:
        """Add the values of a family that wants batches."""
        answers = text_batch([session.conversation for session in sessions], family, compute)
        for session, values in zip(sessions, answers, strict=True):
            session.values[family.name] = values

    def columns(self, task: Task, session: _Session) -> Row:
        """Return the columns of a row of `text_features`."""
        return {"sha256": task["sha256"], "patient": task["patient"], "values": to_rows(session.values)}


@functools.cache
def _families(spacy_model: str, choice: str, identity: str) -> tuple[TextFamily, ...]:
    families = catalogue.text_families(spacy_model, choice)
    check_identity(families, identity)
    return families


class TextStage(Stage):
    """From parsed transcripts to text features."""

    name = "text_features"

    def __init__(self, tables: StoreTables, worker: ComputeText) -> None:
        """Make the families; the stage reads no table yet.

        Args:
            tables: The tables of the store.
            worker: Computes the rows.

        Raises:
            NovoicError: The families cannot be made; see `catalogue.text_families`.
        """
        self._transcripts = tables.transcripts
        self._worker = worker
        self._families = catalogue.text_families(worker.spacy_model, worker.choice)
        self.table = tables.text_features

    def versions(self) -> Mapping[str, int]:
        """Return the version of the parsed transcripts."""
        return {self._transcripts.name: self._transcripts.snapshot().version}

    def upstream(self) -> Upstream:
        """Return the parsed transcripts; a refused one becomes a task with a refusal."""
        snapshot = self._transcripts.snapshot()
        wanted = {}
        for row in snapshot.select(["session", "reason", "sha256", "content", "patient", "words"]).to_pylist():
            base = fingerprint(first_code(row["reason"]), row["sha256"], row["content"], row["patient"])
            words = row["words"] or 0
            wanted[row["session"]] = Wanted(
                base, catalogue.marks(base, self._families), size=words, bytes=_BYTES_PER_WORD * words
            )

        def tasks(sessions: Sequence[str]) -> pa.Table:
            columns = ["session", "reason", "sha256", "patient", "guidelines", "segments"]
            # Unsorted, since sorting rows with this many words would double their memory.
            rows = pa.Table.from_batches(snapshot.batches(columns, sessions))
            refusal = pa.array(
                [None if reason == OK else str(Reason.TRANSCRIPT_REFUSED) for reason in rows["reason"].to_pylist()],
                pa.string(),
            )
            return rows.append_column("refusal", refusal).select(TASKS.names)

        return Upstream({self._transcripts.name: snapshot.version}, wanted, tasks)

    def cost(self, wanted: Wanted, families: Sequence[str]) -> float:
        """Estimate the seconds of one core that families of a session take, from its number of words."""
        costs = [family.cost for family in self._families if family.name in families]
        per_session = _SECONDS_PER_SESSION + sum(cost.session for cost in costs)
        return per_session + wanted.size * (_SECONDS_PER_WORD + sum(cost.word for cost in costs))

    def function(self) -> SessionFunction:
        """Return the worker that computes text features."""
        return replace(self._worker, identity=catalogue.identity(self._families))


def to_segments(rows: list[dict[str, Any]]) -> tuple[Segment, ...]:
    """Return the segments of a row of `transcripts`."""
    return tuple(
        Segment(row["start"], row["end"], tuple(Word(word["text"], word["speaker"]) for word in row["words"]))
        for row in rows
    )
