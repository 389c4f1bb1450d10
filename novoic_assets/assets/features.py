"""The features stage: fixed-length values of each session, by family and speaker."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from novoic_assets.assets.cluster import SPARK_POOL, pod_size
from novoic_assets.assets.parsed import parsed_transcripts
from novoic_assets.assets.raw import raw_audio
from novoic_assets.assets.reporting import OWNERS, TAGS, log_stage, plain_errors, stage_result
from novoic_assets.assets.stage import Stage, Upstream, run_stage
from novoic_assets.features import catalogue
from novoic_assets.features.workers import AUDIO_TASKS, TEXT_TASKS, ComputeAudio, ComputeText, to_segments
from novoic_assets.resources.configured import Engine, FeatureSettings, RawData, Store
from novoic_assets.resources.engine import SessionFunction
from novoic_assets.resources.spark_session import Spark
from novoic_assets.resources.storage import Storage
from novoic_assets.resources.store_tables import StoreTables
from novoic_assets.sessions import schemas
from novoic_assets.sessions.incremental import Wanted, fingerprint
from novoic_assets.sessions.reasons import OK, Reason
from novoic_assets.sessions.recording import DECODER_VERSION

GROUP = "features"
_SECONDS_PER_SESSION = 1e-3
_SECONDS_PER_WORD = 1e-4
# Between what 16 kHz of 16 bits take and 48 kHz of 24 bits: a listing tells bytes and not seconds.
_SECONDS_PER_AUDIO_BYTE = 4e-8


class TextStage(Stage):
    """Parsed transcripts to text features."""

    name = "text_features"

    def __init__(self, tables: StoreTables, settings: FeatureSettings) -> None:
        self._transcripts = tables.transcripts
        self._settings = settings
        self._families = settings.text_families
        self.table = tables.text_features

    def versions(self) -> Mapping[str, int]:
        """The version of the parsed transcripts."""
        return {self._transcripts.name: self._transcripts.snapshot().version}

    def upstream(self) -> Upstream:
        """The parsed transcripts; of one that was refused, that it was."""
        snapshot = self._transcripts.snapshot()
        wanted = {}
        for row in snapshot.select(["session", "reason", "sha256", "content", "patient", "words"]).to_pylist():
            base = fingerprint(row["reason"], row["sha256"], row["content"], row["patient"])
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
            return rows.append_column("refusal", refusal).select(TEXT_TASKS.names)

        return Upstream({self._transcripts.name: snapshot.version}, wanted, tasks)

    def function(self) -> SessionFunction:
        """Compute text features."""
        return ComputeText(self._settings.spacy_model, self._settings.families)


class AudioStage(Stage):
    """Recordings and the turns of their transcripts to audio features; a row for every session there is."""

    name = "audio_features"

    def __init__(self, raw: Storage, tables: StoreTables, settings: FeatureSettings) -> None:
        self._raw = raw
        self._settings = settings
        self._families = settings.audio_families
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
                reason,
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
            return pa.Table.from_pylist(rows, schema=AUDIO_TASKS)

        versions = {self._files.name: listing.version, self._transcripts.name: parsed.version}
        return Upstream(versions, wanted, tasks)

    def function(self) -> SessionFunction:
        """Decode recordings and compute audio features."""
        return ComputeAudio(self._raw, self._settings.families)


def _turns(transcripts: pa.Table) -> dict[str, list[dict[str, Any]]]:
    return {
        row["session"]: [
            {"start": segment.start, "end": segment.end, "speaker": segment.sole_speaker}
            for segment in to_segments(row["segments"])
            if segment.words
        ]
        for row in transcripts.to_pylist()
    }


@dg.asset(
    group_name=GROUP,
    deps=[parsed_transcripts],
    kinds={"spacy", "deltalake"},
    owners=OWNERS,
    tags=TAGS,
    code_version=catalogue.TEXT_CODE_VERSION,
    pool=SPARK_POOL,
    op_tags=pod_size(),
)
@plain_errors
def text_features(
    context: dg.AssetExecutionContext, store: Store, engine: Engine, spark: Spark, settings: FeatureSettings
) -> dg.MaterializeResult[None]:
    """What is said: a row for each session, with its outcome and its families' values for each speaker."""
    with engine.on(spark) as workers:
        report = run_stage(TextStage(store.tables, settings), workers, context.log.info)
    log_stage(context, report)
    return stage_result(report, schemas.TEXT_FEATURES, {}, settings.text_families)


@dg.asset(
    group_name=GROUP,
    deps=[parsed_transcripts, raw_audio],
    kinds={"numpy", "deltalake"},
    owners=OWNERS,
    tags=TAGS,
    code_version=catalogue.AUDIO_CODE_VERSION,
    pool=SPARK_POOL,
    op_tags=pod_size(),
)
@plain_errors
def audio_features(
    context: dg.AssetExecutionContext,
    raw: RawData,
    store: Store,
    engine: Engine,
    spark: Spark,
    settings: FeatureSettings,
) -> dg.MaterializeResult[None]:
    """How it is said: a row for each session, with its outcome, its recording's facts and its families' values."""
    with engine.on(spark) as workers:
        report = run_stage(AudioStage(raw.storage, store.tables, settings), workers, context.log.info)
    log_stage(context, report)
    seconds = pc.sum(store.tables.audio_features.snapshot().select(["session", "seconds"])["seconds"]).as_py() or 0.0
    return stage_result(report, schemas.AUDIO_FEATURES, {"seconds of audio": seconds}, settings.audio_families)
