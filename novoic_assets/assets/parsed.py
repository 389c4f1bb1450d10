"""The parsed stage: transcripts as segments and words."""

from collections.abc import Mapping, Sequence

import dagster as dg
import pyarrow as pa

from novoic_assets.assets.cluster import SPARK_POOL, pod_size
from novoic_assets.assets.raw import raw_transcripts
from novoic_assets.assets.reporting import OWNERS, TAGS, log_stage, plain_errors, stage_result
from novoic_assets.assets.stage import Stage, Upstream, run_stage
from novoic_assets.resources.configured import Engine, RawData, Store
from novoic_assets.resources.engine import SessionFunction
from novoic_assets.resources.spark_session import Spark
from novoic_assets.resources.storage import Storage
from novoic_assets.resources.store_tables import StoreTables
from novoic_assets.sessions import schemas
from novoic_assets.sessions.incremental import Wanted, fingerprint
from novoic_assets.sessions.parsing import TASKS, ParseTranscripts
from novoic_assets.sessions.reasons import Reason
from novoic_assets.sessions.transcript import PARSER_VERSION

_SECONDS_PER_FILE = 5e-4
_SECONDS_PER_OBJECT = 2e-2  # of a request to a bucket, during which the core has nothing to do
_SECONDS_PER_BYTE = 2e-7


class ParsedStage(Stage):
    """Transcript files to segments and words."""

    name = "parsed_transcripts"

    def __init__(self, raw: Storage, tables: StoreTables) -> None:
        self._raw = raw
        self._files = tables.transcript_files
        self.table = tables.transcripts

    def versions(self) -> Mapping[str, int]:
        """The version of the listing."""
        return {self._files.name: self._files.snapshot().version}

    def upstream(self) -> Upstream:
        """The listed transcripts."""
        snapshot = self._files.snapshot()
        files: dict[str, list[dict[str, object]]] = {}
        for row in snapshot.select(["path", "session", "size", "etag"]).to_pylist():
            files.setdefault(row["session"], []).append(row)

        per_file = _SECONDS_PER_OBJECT if self._raw.is_remote else _SECONDS_PER_FILE

        def tasks(sessions: Sequence[str]) -> pa.Table:
            rows = [
                {**files[session][0], "refusal": str(Reason.AMBIGUOUS_TRANSCRIPT) if len(files[session]) > 1 else None}
                for session in sessions
            ]
            return pa.Table.from_pylist(rows, schema=TASKS)

        wanted = {
            session: Wanted(
                fingerprint(PARSER_VERSION, *(f"{row['path']} {row['size']} {row['etag']}" for row in rows)),
                cost=per_file + _SECONDS_PER_BYTE * sum(row["size"] for row in rows),  # type: ignore[misc]
            )
            for session, rows in files.items()
        }
        return Upstream({self._files.name: snapshot.version}, wanted, tasks)

    def function(self) -> SessionFunction:
        """Parse transcripts."""
        return ParseTranscripts(self._raw)


@dg.asset(
    group_name="parsed",
    deps=[raw_transcripts],
    kinds={"xml", "deltalake"},
    owners=OWNERS,
    tags=TAGS,
    code_version=PARSER_VERSION,
    pool=SPARK_POOL,
    op_tags=pod_size(),
)
@plain_errors
def parsed_transcripts(
    context: dg.AssetExecutionContext, raw: RawData, store: Store, engine: Engine, spark: Spark
) -> dg.MaterializeResult[None]:
    """The transcripts: a row for each session, with its outcome, its patient, and its segments and words."""
    with engine.on(spark) as workers:
        report = run_stage(ParsedStage(raw.storage, store.tables), workers, context.log.info)
    log_stage(context, report)
    return stage_result(report, schemas.TRANSCRIPTS, {})
