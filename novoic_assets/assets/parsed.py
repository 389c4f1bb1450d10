"""Define the asset of the parsed stage: transcripts as segments and words."""

import dagster as dg

from novoic_assets.assets.raw import raw_transcripts
from novoic_assets.assets.reporting import stage_result
from novoic_assets.assets.running import run_logged, stage_asset
from novoic_assets.errors import NovoicError
from novoic_assets.resources.configured import EngineResource, RawDataResource, StoreResource
from novoic_assets.resources.spark_session import SparkResource
from novoic_assets.sessions.formats import registered
from novoic_assets.stages.parsing import ParsedStage
from novoic_assets.storage import schemas


def _code_version() -> str | None:
    # An unusable format of a package stops the runs, which report the error. The UI must still open.
    try:
        return registered.code_version()
    except NovoicError:
        return None


@stage_asset(
    group_name="parsed",
    deps=[raw_transcripts],
    kinds={"python", "deltalake"},
    code_version=_code_version(),
)
def parsed_transcripts(
    context: dg.AssetExecutionContext,
    raw: RawDataResource,
    store: StoreResource,
    engine: EngineResource,
    spark: SparkResource,
) -> dg.MaterializeResult[None]:
    """The transcripts: a row for each session, with its outcome, its patient, and its segments and words."""
    report = run_logged(context, ParsedStage(raw.storage, store.tables), engine, spark)
    return stage_result(report, schemas.TRANSCRIPTS, {})
