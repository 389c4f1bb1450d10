"""Compute the audio features stage: a recording and the turns of its transcript in, facts and values out."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, ClassVar, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from novoic_assets.engines.contract import SessionFunction
from novoic_assets.features import catalogue
from novoic_assets.features.audio.family import AudioFamily, Sound
from novoic_assets.features.audio.frames import Turns
from novoic_assets.features.audio.session import AudioFeatures, audio_batch, audio_features
from novoic_assets.features.family import ALL, INVESTIGATOR, PATIENT, BatchFunction
from novoic_assets.features.values import to_rows
from novoic_assets.fingerprints import Verbatim, fingerprint
from novoic_assets.reasons import OK, PAIRING_MARKS, Reason
from novoic_assets.sessions.recording import DECODER_VERSION
from novoic_assets.stages.incremental import Wanted
from novoic_assets.stages.stage import Stage, Upstream
from novoic_assets.stages.worker import FeatureWorker, Row, Task, check_identity
from novoic_assets.storage import schemas
from novoic_assets.storage.files import Storage
from novoic_assets.storage.store_tables import StoreTables

_SECONDS_PER_SESSION: Final = 5e-3  # to open and close a recording and start its decoder, whatever its length
_SECONDS_PER_SECOND: Final = 2e-4  # to decode
# A listing gives bytes and not seconds. Uncoded: between 16 kHz at 16 bits and 48 kHz at 24 bits. Coded: under half.
_BYTES_PER_SECOND: Final = {".flac": 20_000.0, ".ogg": 10_000.0, ".oga": 10_000.0, ".opus": 4_000.0}
_BYTES_PER_SECOND_UNCODED: Final = 50_000.0
_BYTES_PER_WORD: Final = 32  # of the transcript, in Arrow, while the stage finds its turns

_OWN: Final = (PATIENT, INVESTIGATOR)
TURNS: Final = pa.list_(
    pa.struct([pa.field("start", pa.float64()), pa.field("end", pa.float64()), pa.field("speaker", pa.string())])
)
TASKS: Final = pa.schema(
    [
        pa.field("session", pa.string()),
        pa.field("refusal", pa.string()),
        pa.field("path", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("etag", pa.string()),
        pa.field("end", pa.float64()),
        pa.field("turns", TURNS),  # the segments that have words; the words themselves never reach an audio worker
    ]
)


@dataclass(frozen=True, slots=True)
class _Session:
    sha256: str
    features: AudioFeatures


@dataclass(frozen=True)
class ComputeAudio(FeatureWorker[AudioFamily, _Session]):
    """Decode recordings and compute audio features.

    Attributes:
        raw: The raw folder or bucket.
        choice: The setting NOVOIC_FAMILIES.
        device: The setting NOVOIC_DEVICE.
        identity: The families that the stage expects; see `catalogue.identity`.
    """

    raw: Storage
    choice: str
    device: str = "cpu"
    identity: str = ""
    schema: ClassVar[pa.Schema] = schemas.AUDIO_FEATURES

    def families(self) -> Sequence[AudioFamily]:
        """Return all audio families."""
        return _families(self.choice, self.identity)

    def open(self, task: Task, families: Sequence[AudioFamily]) -> _Session:
        """Compute the recording's facts, and the families that take one session at a time."""
        turns = Turns(
            start_s=np.array([turn["start"] for turn in task["turns"]], dtype=np.float64),
            end_s=np.array([turn["end"] for turn in task["turns"]], dtype=np.float64),
            speaker=[turn["speaker"] for turn in task["turns"]],
        )
        file = self.raw.open_listed(task["path"], task["size"], task["etag"])
        features = audio_features(cast("BinaryIO", file), turns, families)
        return _Session(file.sha256(), features)

    def batch(self, family: AudioFamily, compute: BatchFunction[Sound], sessions: Sequence[_Session]) -> None:
        """Add the values of a family that wants batches."""
        audio_batch([session.features for session in sessions], family, compute)

    def columns(self, task: Task, session: _Session) -> Row:
        """Return the columns of a row of `audio_features`."""
        features, facts = session.features, session.features.facts
        return {
            "sha256": session.sha256,
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


@functools.cache
def _families(choice: str, identity: str) -> tuple[AudioFamily, ...]:
    families = catalogue.audio_families(choice)
    check_identity(families, identity)
    return families


class AudioStage(Stage):
    """From recordings and the turns of their transcripts to audio features, with one row for every session."""

    name = "audio_features"

    def __init__(self, tables: StoreTables, worker: ComputeAudio) -> None:
        """Make the families; the stage reads no table yet.

        Args:
            tables: The tables of the store.
            worker: Computes the rows.

        Raises:
            NovoicError: The families cannot be made; see `catalogue.audio_families`.
        """
        self._worker = worker
        self._families = catalogue.audio_families(worker.choice)
        self._files = tables.audio_files
        self._transcripts = tables.transcripts
        self.table = tables.audio_features

    def versions(self) -> Mapping[str, int]:
        """Return the versions of the listing and of the parsed transcripts."""
        return {table.name: table.snapshot().version for table in (self._files, self._transcripts)}

    def upstream(self) -> Upstream:
        """Return the sessions that have a recording or a transcript."""
        listing, parsed = self._files.snapshot(), self._transcripts.snapshot()
        files: dict[str, list[dict[str, Any]]] = {}
        for row in listing.select(["path", "session", "size", "etag"]).to_pylist():
            files.setdefault(row["session"], []).append(row)
        transcripts = {
            row["session"]: row for row in parsed.select(["session", "reason", "content", "end", "words"]).to_pylist()
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
            wanted[session] = Wanted(
                base,
                catalogue.marks(base, self._families),
                size=0.0 if reason else _seconds(files[session][0]),
                bytes=0 if reason else _BYTES_PER_WORD * transcripts[session]["words"],
            )

        def tasks(sessions: Sequence[str]) -> pa.Table:
            refusals = [refusal(session) for session in sessions]
            complete = [session for session, reason in zip(sessions, refusals, strict=True) if reason is None]
            rows = [
                {"session": session, "refusal": str(reason)}
                if reason
                else {**files[session][0], "end": transcripts[session]["end"]}
                for session, reason in zip(sessions, refusals, strict=True)
            ]
            without_turns = pa.schema([field for field in TASKS if field.name != "turns"])
            turns = _turns(parsed.batches(["session", "segments"], complete), sessions)
            return pa.Table.from_pylist(rows, schema=without_turns).append_column(TASKS.field("turns"), turns)

        versions = {self._files.name: listing.version, self._transcripts.name: parsed.version}
        return Upstream(versions, wanted, tasks)

    def cost(self, wanted: Wanted, families: Sequence[str]) -> float:
        """Estimate the seconds of one core that families of a session take, from the recording's length."""
        costs = [family.cost for family in self._families if family.name in families]
        per_session = _SECONDS_PER_SESSION + sum(cost.session for cost in costs)
        return per_session + wanted.size * (_SECONDS_PER_SECOND + sum(cost.second for cost in costs))

    def function(self) -> SessionFunction:
        """Return the worker that decodes recordings and computes audio features."""
        return replace(self._worker, identity=catalogue.identity(self._families))


def _seconds(file: Mapping[str, Any]) -> float:
    """Estimate the seconds of a recording from its size and file name extension."""
    _, dot, ending = file["path"].rpartition(".")
    return float(file["size"]) / _BYTES_PER_SECOND.get(f"{dot}{ending}".lower(), _BYTES_PER_SECOND_UNCODED)


def _turns(batches: Iterator[pa.RecordBatch], sessions: Sequence[str]) -> pa.Array:
    """Return the turns of some sessions, in their order; null for a session without a transcript.

    Args:
        batches: The columns `session` and `segments` of parsed transcripts.
        sessions: The sessions.
    """
    row_of: dict[str, int] = {}
    parts = []
    for batch in batches:
        row_of.update((session, len(row_of)) for session in batch["session"].to_pylist())
        parts.append(turns_of(batch["segments"]))
    found = pa.concat_arrays(parts) if parts else pa.array([], TURNS)
    return found.take(pa.array([row_of.get(session) for session in sessions], pa.int64()))


def turns_of(segments: pa.ListArray) -> pa.ListArray:
    """Find who speaks when, from the segments of transcripts.

    This works on Arrow columns of all words, since as Python objects the words of 1,000 sessions of 17 minutes take a
    gigabyte.

    Args:
        segments: The segments of each session, as in the table of transcripts, without nulls.

    Returns:
        For each session, its segments that have words, in order: start and end in seconds, and the speaker. The speaker
        is `patient` or `investigator` if that one says every word, else `other`.
    """
    flat = segments.flatten()
    has_words = pc.greater(pc.list_value_length(flat.field("words")), 0)
    spoken = flat.filter(has_words)
    words = spoken.field("words")
    speakers = words.flatten().field("speaker")
    # One bit for each kind of speaker: a segment has a sole speaker if the bits of its words combine to one bit.
    bits = np.select([pc.equal(speakers, kind).to_numpy(zero_copy_only=False) for kind in _OWN], [1, 2], 4)
    lengths = pc.list_value_length(words).to_numpy(zero_copy_only=False)
    together = np.bitwise_or.reduceat(bits, np.cumsum(lengths) - lengths) if len(lengths) else bits
    speaker = pa.array(np.select([together == 1, together == 2], _OWN, "other"), pa.string())
    sessions = pc.list_parent_indices(segments).filter(has_words).to_numpy(zero_copy_only=False)
    offsets = np.cumsum([0, *np.bincount(sessions, minlength=len(segments))])
    fields = [spoken.field("start"), spoken.field("end"), speaker]
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.StructArray.from_arrays(fields, fields=list(TURNS.value_type)), type=TURNS
    )
