"""Define the assets of the features stage: fixed-length values of each session, by family and speaker."""

import dagster as dg
import pyarrow.compute as pc

from novoic_assets.assets.cluster import SPARK_POOL, pod_size
from novoic_assets.assets.parsed import parsed_transcripts
from novoic_assets.assets.raw import raw_audio
from novoic_assets.assets.reporting import OWNERS, TAGS, log_stage, plain_errors, stage_result
from novoic_assets.features import catalogue
from novoic_assets.resources.configured import EngineResource, FeatureSettingsResource, RawDataResource, StoreResource
from novoic_assets.resources.spark_session import SparkResource
from novoic_assets.stages.audio import AudioStage
from novoic_assets.stages.stage import run_stage
from novoic_assets.stages.text import TextStage
from novoic_assets.storage import schemas

GROUP = "features"


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
    context: dg.AssetExecutionContext,
    store: StoreResource,
    engine: EngineResource,
    spark: SparkResource,
    settings: FeatureSettingsResource,
) -> dg.MaterializeResult[None]:
    """Features of what is said: a row for each session, with its outcome and its families' values for each speaker."""
    with engine.on(spark) as workers:
        report = run_stage(TextStage(store.tables, settings.compute_text), workers, context.log.info)
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
    raw: RawDataResource,
    store: StoreResource,
    engine: EngineResource,
    spark: SparkResource,
    settings: FeatureSettingsResource,
) -> dg.MaterializeResult[None]:
    """Features of how it is said: a row per session, with its outcome, facts of its recording and families' values."""
    with engine.on(spark) as workers:
        report = run_stage(AudioStage(store.tables, settings.compute_audio(raw.storage)), workers, context.log.info)
    log_stage(context, report)
    seconds = pc.sum(store.tables.audio_features.snapshot().select(["session", "seconds"])["seconds"]).as_py() or 0.0
    return stage_result(report, schemas.AUDIO_FEATURES, {"seconds of audio": seconds}, settings.audio_families)
