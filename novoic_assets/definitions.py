"""The Dagster definitions: the entry point that Dagster loads."""

import dagster as dg

from novoic_assets.assets.cluster import pod_size
from novoic_assets.assets.features import audio_features, text_features
from novoic_assets.assets.parsed import parsed_transcripts
from novoic_assets.assets.quarantined import quarantine
from novoic_assets.assets.raw import RAW_ASSETS
from novoic_assets.assets.training import TRAINING_ASSETS
from novoic_assets.checks.stages import feature_checks, parsed_checks, raw_checks
from novoic_assets.resources.configured import (
    ArrivalResource,
    EngineResource,
    FeatureSettingsResource,
    PublishingResource,
    RawDataResource,
    StoreResource,
)
from novoic_assets.resources.kafka import KafkaResource
from novoic_assets.resources.spark_session import SparkResource
from novoic_assets.sensors.kafka import kafka_sensor
from novoic_assets.sensors.new_data import new_data_sensor
from novoic_assets.sensors.nightly import nightly_schedule

MATERIALIZE_ALL = "materialize_all"

ASSETS = [
    *RAW_ASSETS,
    parsed_transcripts,
    text_features,
    audio_features,
    quarantine,
    *TRAINING_ASSETS,
]
KEYS = [asset.key for asset in ASSETS]

defs = dg.Definitions(
    assets=ASSETS,
    asset_checks=[raw_checks, parsed_checks, feature_checks],
    jobs=[
        dg.define_asset_job(
            MATERIALIZE_ALL,
            selection=dg.AssetSelection.all(),
            description="From the raw folder to the published datasets; computes only new or changed sessions.",
            tags=pod_size(),
        )
    ],
    sensors=[new_data_sensor(MATERIALIZE_ALL, KEYS), kafka_sensor(MATERIALIZE_ALL, KEYS)],
    schedules=[nightly_schedule(MATERIALIZE_ALL, KEYS)],
    resources={
        "raw": RawDataResource(),
        "store": StoreResource(),
        "arrival": ArrivalResource(),
        "kafka": KafkaResource(),
        "engine": EngineResource(),
        "spark": SparkResource(),
        "settings": FeatureSettingsResource(),
        "publishing": PublishingResource(),
    },
    # One process: starting a process for each step costs more than most steps, and one Spark session serves a run.
    executor=dg.in_process_executor,
)
