"""The features stage's workers: a session in, its values out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Final, TypeVar, cast

import numpy as np
import pyarrow as pa

from novoic_assets.features import catalogue
from novoic_assets.features.audio.frames import Turns
from novoic_assets.features.audio.session import audio_features
from novoic_assets.features.family import ALL, PATIENT, Family
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import text_features
from novoic_assets.features.values import to_rows
from novoic_assets.resources.storage import Storage
from novoic_assets.sessions import schemas
from novoic_assets.sessions.transcript import Segment, Word
from novoic_assets.sessions.worker import SessionWorker

_Family = TypeVar("_Family", bound=Family)

TEXT_TASKS: Final = pa.schema(
    [
        pa.field("session", pa.string()),
        pa.field("refusal", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("patient", pa.string()),
        pa.field("guidelines", pa.string()),
        pa.field("segments", schemas.SEGMENTS),
    ]
)
AUDIO_TASKS: Final = pa.schema(
    [
        pa.field("session", pa.string()),
        pa.field("refusal", pa.string()),
        pa.field("path", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("etag", pa.string()),
        pa.field("end", pa.float64()),
        # The segments that have words; no word crosses to where audio is computed.
        pa.field(
            "turns",
            pa.list_(
                pa.struct(
                    [
                        pa.field("start", pa.float64()),
                        pa.field("end", pa.float64()),
                        pa.field("speaker", pa.string()),
                    ]
                )
            ),
        ),
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
        families = _pending(catalogue.text_families(self.spacy_model, self.choice), task)
        return {
            "sha256": task["sha256"],
            "patient": task["patient"],
            "values": to_rows(text_features(conversation, families)),
        }


@dataclass(frozen=True)
class ComputeAudio(SessionWorker):
    """Decodes recordings and computes audio features.

    Attributes:
        raw: The raw folder.
        choice: The setting NOVOIC_FAMILIES.
    """

    raw: Storage
    choice: str
    schema: ClassVar[pa.Schema] = schemas.AUDIO_FEATURES

    def compute(self, task: dict[str, Any]) -> dict[str, Any]:
        """The facts and values of one session."""
        turns = Turns(
            start_s=np.array([turn["start"] for turn in task["turns"]], dtype=np.float64),
            end_s=np.array([turn["end"] for turn in task["turns"]], dtype=np.float64),
            speaker=[turn["speaker"] for turn in task["turns"]],
        )
        families = _pending(catalogue.audio_families(self.choice), task)
        file = self.raw.open_listed(task["path"], task["size"], task["etag"])
        features = audio_features(cast("BinaryIO", file), turns, families)
        facts = features.facts
        return {
            "sha256": file.sha256(),
            "sample_rate": facts.sample_rate,
            "channels": facts.channels,
            "encoding": facts.encoding,
            "scale": facts.scale,
            "seconds": facts.seconds,
            "level": features.level_dbfs[ALL],
            "patient_seconds": features.seconds[PATIENT],
            "overhang": task["end"] - facts.seconds,
            "values": to_rows(features.values),
        }


def _pending(families: Sequence[_Family], task: dict[str, Any]) -> list[_Family]:
    return [family for family in families if family.name in task["compute"]]


def to_segments(rows: list[dict[str, Any]]) -> tuple[Segment, ...]:
    """The segments of a row of `transcripts`."""
    return tuple(
        Segment(row["start"], row["end"], tuple(Word(word["text"], word["speaker"]) for word in row["words"]))
        for row in rows
    )
