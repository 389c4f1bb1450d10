"""Define the assets of the features stage: fixed-length values of each session, by family and speaker."""

import dagster as dg
import pyarrow.compute as pc

from novoic_assets.assets.parsed import parsed_transcripts
from novoic_assets.assets.raw import raw_audio
from novoic_assets.assets.reporting import stage_result
from novoic_assets.assets.running import run_logged, stage_asset
from novoic_assets.features import catalogue
from novoic_assets.resources.configured import EngineResource, FeatureSettingsResource, RawDataResource, StoreResource
from novoic_assets.resources.spark_session import SparkResource
from novoic_assets.stages.audio import AudioStage
from novoic_assets.stages.text import TextStage
from novoic_assets.storage import schemas

GROUP = "features"


@stage_asset(
    group_name=GROUP,
    deps=[parsed_transcripts],
    kinds={"spacy", "deltalake"},
    code_version=catalogue.TEXT_CODE_VERSION,
)
def text_features(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    engine: EngineResource,
    spark: SparkResource,
    settings: FeatureSettingsResource,
) -> dg.MaterializeResult[None]:
    """Features of what is said: a row for each session, with its outcome and its families' values for each speaker."""
    report = run_logged(context, TextStage(store.tables, settings.compute_text), engine, spark)
    return stage_result(report, schemas.TEXT_FEATURES, {}, settings.text_families)


@stage_asset(
    group_name=GROUP,
    deps=[parsed_transcripts, raw_audio],
    kinds={"numpy", "deltalake"},
    code_version=catalogue.AUDIO_CODE_VERSION,
)
def audio_features(
    context: dg.AssetExecutionContext,
    raw: RawDataResource,
    store: StoreResource,
    engine: EngineResource,
    spark: SparkResource,
    settings: FeatureSettingsResource,
) -> dg.MaterializeResult[None]:
    """Features of how it is said: a row per session, with its outcome, facts of its recording and families' values."""
    report = run_logged(context, AudioStage(store.tables, settings.compute_audio(raw.storage)), engine, spark)
    seconds = pc.sum(store.tables.audio_features.snapshot().select(["session", "seconds"])["seconds"]).as_py() or 0.0
    return stage_result(report, schemas.AUDIO_FEATURES, {"seconds of audio": seconds}, settings.audio_families)
