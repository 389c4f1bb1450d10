"""Define the asset of the parsed stage: transcripts as segments and words."""

import dagster as dg

from novoic_assets.assets.cluster import SPARK_POOL, pod_size
from novoic_assets.assets.raw import raw_transcripts
from novoic_assets.assets.reporting import OWNERS, TAGS, log_stage, plain_errors, stage_result
from novoic_assets.errors import NovoicError
from novoic_assets.resources.configured import EngineResource, RawDataResource, StoreResource
from novoic_assets.resources.spark_session import SparkResource
from novoic_assets.sessions.formats import registered
from novoic_assets.stages.parsing import ParsedStage
from novoic_assets.stages.stage import run_stage
from novoic_assets.storage import schemas


def _code_version() -> str | None:
    # An unusable format of a package stops the runs, which report the error. The UI must still open.
    try:
        return registered.code_version()
    except NovoicError:
        return None


@dg.asset(
    group_name="parsed",
    deps=[raw_transcripts],
    kinds={"python", "deltalake"},
    owners=OWNERS,
    tags=TAGS,
    code_version=_code_version(),
    pool=SPARK_POOL,
    op_tags=pod_size(),
)
@plain_errors
def parsed_transcripts(
    context: dg.AssetExecutionContext,
    raw: RawDataResource,
    store: StoreResource,
    engine: EngineResource,
    spark: SparkResource,
) -> dg.MaterializeResult[None]:
    """The transcripts: a row for each session, with its outcome, its patient, and its segments and words."""
    with engine.on(spark) as workers:
        report = run_stage(ParsedStage(raw.storage, store.tables), workers, context.log.info)
    log_stage(context, report)
    return stage_result(report, schemas.TRANSCRIPTS, {})
