"""The Dagster resources: thin configuration of storage, tables and engine.

The default of each field is the value of an environment variable. So the launchpad shows what a run will use, and can
change it.
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
    """The raw data: `metadata.csv`, `text/` and `audio/` below a root."""

    root: str = Field(default_factory=lambda: settings().raw, description=VARIABLES["raw"].help)

    @property
    def storage(self) -> Storage:
        """The raw folder or bucket."""
        return Storage(self.root, "NOVOIC_RAW")


class StoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """The store, which holds tables and datasets."""

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
    """The engine of the heavy steps."""

    workers: int = Field(default_factory=lambda: settings().workers, ge=0, description=VARIABLES["workers"].help)

    def on(self, spark: SparkResource) -> PoolEngine | SparkEngine:
        """Choose the engine, a context manager: Spark if it has a master, else worker processes of this machine."""
        return spark.engine if spark.master else PoolEngine(self.workers)


class ArrivalResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """How long automatic runs wait for files that are still arriving."""

    settle_seconds: float = Field(
        default_factory=lambda: settings().settle_seconds, ge=0, description=VARIABLES["settle_seconds"].help
    )
    pair_seconds: float = Field(
        default_factory=lambda: settings().pair_seconds, ge=0, description=VARIABLES["pair_seconds"].help
    )

    def cutoffs(self, now: datetime) -> Cutoffs:
        """Give the cutoffs of a run requested now: files beyond them wait for a later run.

        Args:
            now: The time of the request, UTC.
        """
        return Cutoffs(now - timedelta(seconds=self.settle_seconds), now - timedelta(seconds=self.pair_seconds))


class FeatureSettingsResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """What features depend on besides the sessions."""

    spacy_model: str = Field(default_factory=lambda: settings().spacy_model, description=VARIABLES["spacy_model"].help)
    families: str = Field(default_factory=lambda: settings().families, description=VARIABLES["families"].help)
    device: str = Field(default_factory=lambda: settings().device, description=VARIABLES["device"].help)

    @property
    def compute_text(self) -> ComputeText:
        """The function that computes text features."""
        return ComputeText(self.spacy_model, self.families, self.device)

    def compute_audio(self, raw: Storage) -> ComputeAudio:
        """Make the function that computes audio features of the recordings in a raw folder."""
        return ComputeAudio(raw, self.families, self.device)

    @property
    def text_families(self) -> tuple[TextFamily, ...]:
        """The text families, in order; raises the errors of `catalogue.text_families`."""
        return catalogue.text_families(self.spacy_model, self.families)

    @property
    def audio_families(self) -> tuple[AudioFamily, ...]:
        """The audio families, in order; raises the errors of `catalogue.audio_families`."""
        return catalogue.audio_families(self.families)


class PublishingResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """What to publish with a dataset."""

    covariates: str = Field(default_factory=lambda: settings().covariates, description=VARIABLES["covariates"].help)

    @property
    def covariate_names(self) -> Sequence[str]:
        """The names of the covariates.

        Raises:
            NovoicError: A name is not a column that may be published.
        """
        return check_covariates([name.strip() for name in self.covariates.split(",") if name.strip()])
