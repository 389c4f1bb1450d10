"""The audio features stage: a recording and the turns of its transcript in, facts and values out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Final, cast

import numpy as np
import pyarrow as pa

from novoic_assets.engines.contract import SessionFunction
from novoic_assets.features import catalogue
from novoic_assets.features.audio.frames import Turns
from novoic_assets.features.audio.session import audio_features
from novoic_assets.features.family import ALL, PATIENT
from novoic_assets.features.values import to_rows
from novoic_assets.fingerprints import Verbatim, fingerprint
from novoic_assets.reasons import OK, PAIRING_MARKS, Reason
from novoic_assets.sessions.recording import DECODER_VERSION
from novoic_assets.stages.incremental import Wanted
from novoic_assets.stages.stage import Stage, Upstream
from novoic_assets.stages.text import to_segments
from novoic_assets.stages.worker import SessionWorker, pending
from novoic_assets.storage import schemas
from novoic_assets.storage.files import Storage
from novoic_assets.storage.store_tables import StoreTables

_SECONDS_PER_SESSION = 1e-3
# Between what 16 kHz of 16 bits take and 48 kHz of 24 bits: a listing tells bytes and not seconds.
_SECONDS_PER_AUDIO_BYTE = 4e-8

TASKS: Final = pa.schema(
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
        families = pending(catalogue.audio_families(self.choice), task)
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


class AudioStage(Stage):
    """Recordings and the turns of their transcripts to audio features; a row for every session there is."""

    name = "audio_features"

    def __init__(self, raw: Storage, tables: StoreTables, choice: str) -> None:
        self._raw = raw
        self._choice = choice
        self._families = catalogue.audio_families(choice)
        self._files = tables.audio_files
        self._transcripts = tables.transcripts
        self.table = tables.audio_features

    def versions(self) -> Mapping[str, int]:
        """The versions of the listing and of the parsed transcripts."""
        return {table.name: table.snapshot().version for table in (self._files, self._transcripts)}

    def upstream(self) -> Upstream:
        """The sessions that have a recording or a transcript."""
        listing, parsed = self._files.snapshot(), self._transcripts.snapshot()
        files: dict[str, list[dict[str, Any]]] = {}
        for row in listing.select(["path", "session", "size", "etag"]).to_pylist():
            files.setdefault(row["session"], []).append(row)
        transcripts = {
            row["session"]: row for row in parsed.select(["session", "reason", "content", "end"]).to_pylist()
        }

        def refusal(session: str) -> Reason | None:
            recordings, transcript = files.get(session, []), transcripts.get(session)
            if not recordings:
                return Reason.NO_AUDIO
            if len(recordings) > 1:
                return Reason.AMBIGUOUS_AUDIO
            if transcript is None:
                return Reason.NO_TRANSCRIPT
            return None if transcript["reason"] == OK else Reason.TRANSCRIPT_REFUSED

        wanted = {}
        for session in files.keys() | transcripts.keys():
            reason = refusal(session)
            base = fingerprint(
                DECODER_VERSION,
                Verbatim(PAIRING_MARKS[reason]) if reason else None,
                transcripts[session]["content"] if session in transcripts else None,
                *(f"{row['path']} {row['size']} {row['etag']}" for row in files.get(session, [])),
            )
            size = 0 if reason else files[session][0]["size"]
            wanted[session] = Wanted(
                base,
                catalogue.marks(base, self._families),
                cost=_SECONDS_PER_SESSION + _SECONDS_PER_AUDIO_BYTE * size,
            )

        def tasks(sessions: Sequence[str]) -> pa.Table:
            complete = [session for session in sessions if refusal(session) is None]
            turns = _turns(parsed.select(["session", "segments"], complete))
            rows = [
                {
                    "session": session,
                    "refusal": str(reason) if (reason := refusal(session)) else None,
                    **({} if reason else files[session][0]),
                    **({} if reason else {"end": transcripts[session]["end"], "turns": turns[session]}),
                }
                for session in sessions
            ]
            return pa.Table.from_pylist(rows, schema=TASKS)

        versions = {self._files.name: listing.version, self._transcripts.name: parsed.version}
        return Upstream(versions, wanted, tasks)

    def function(self) -> SessionFunction:
        """Decode recordings and compute audio features."""
        return ComputeAudio(self._raw, self._choice)


def _turns(transcripts: pa.Table) -> dict[str, list[dict[str, Any]]]:
    return {
        row["session"]: [
            {"start": segment.start, "end": segment.end, "speaker": segment.sole_speaker}
            for segment in to_segments(row["segments"])
            if segment.words
        ]
        for row in transcripts.to_pylist()
    }
