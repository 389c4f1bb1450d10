"""The Dagster resources: thin configuration over the storage, the tables and the engine.

Each field's default is an environment variable's value, so that the launchpad shows what a run will use
and can change it.
"""

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
from novoic_assets.settings import VARIABLES, settings
from novoic_assets.stages.audio import ComputeAudio
from novoic_assets.stages.listing import Cutoffs
from novoic_assets.stages.text import ComputeText
from novoic_assets.storage.files import Storage
from novoic_assets.storage.store_tables import StoreTables
from novoic_assets.training.dataset import check_covariates


class RawDataResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic in its value, which is itself
    """Where the sessions come from: `metadata.csv`, `text/` and `audio/` below a root."""

    root: str = Field(default_factory=lambda: settings().raw, description=VARIABLES["raw"].help)

    @property
    def storage(self) -> Storage:
        """The raw folder or bucket."""
        return Storage(self.root, "NOVOIC_RAW")


class StoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """Where tables and datasets are kept."""

    root: str = Field(default_factory=lambda: settings().store, description=VARIABLES["store"].help)

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

    workers: int = Field(default_factory=lambda: settings().workers, ge=0, description=VARIABLES["workers"].help)

    def on(self, spark: SparkResource) -> PoolEngine | SparkEngine:
        """Spark where there is a master, else worker processes of this machine; a context to work in."""
        return spark.engine if spark.master else PoolEngine(self.workers)


class ArrivalResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """How long runs that start by themselves wait for files that are on their way."""

    settle_seconds: float = Field(
        default_factory=lambda: settings().settle_seconds, ge=0, description=VARIABLES["settle_seconds"].help
    )
    pair_seconds: float = Field(
        default_factory=lambda: settings().pair_seconds, ge=0, description=VARIABLES["pair_seconds"].help
    )

    def cutoffs(self, now: datetime) -> Cutoffs:
        """What a run that is asked for now leaves to a later one."""
        return Cutoffs(now - timedelta(seconds=self.settle_seconds), now - timedelta(seconds=self.pair_seconds))


class FeatureSettingsResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """What the features depend on beside the sessions."""

    spacy_model: str = Field(default_factory=lambda: settings().spacy_model, description=VARIABLES["spacy_model"].help)
    families: str = Field(default_factory=lambda: settings().families, description=VARIABLES["families"].help)
    device: str = Field(default_factory=lambda: settings().device, description=VARIABLES["device"].help)

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

    covariates: str = Field(default_factory=lambda: settings().covariates, description=VARIABLES["covariates"].help)

    @property
    def covariate_names(self) -> Sequence[str]:
        """The names of the covariates.

        Raises:
            NovoicError: A name is none that may be published.
        """
        return check_covariates([name.strip() for name in self.covariates.split(",") if name.strip()])
