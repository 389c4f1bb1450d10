"""The tables of a store, by name. This module does not import Dagster."""

from dataclasses import dataclass

import pyarrow as pa

from novoic_assets.reasons import RENAMED
from novoic_assets.storage import schemas
from novoic_assets.storage.files import Storage
from novoic_assets.storage.tables import Table


@dataclass(frozen=True)
class StoreTables:
    """The tables of a store.

    Attributes:
        storage: The store.
    """

    storage: Storage

    @property
    def patients(self) -> Table:
        """The metadata, one row for each line."""
        return self._table("patients", schemas.PATIENTS, "row")

    @property
    def transcript_files(self) -> Table:
        """The listed transcripts, one row for each file."""
        return self._table("transcript_files", schemas.FILES, "path")

    @property
    def audio_files(self) -> Table:
        """The listed recordings, one row for each file."""
        return self._table("audio_files", schemas.FILES, "path")

    @property
    def transcripts(self) -> Table:
        """The parsed transcripts, one row for each session."""
        return self._table("transcripts", schemas.TRANSCRIPTS, "session")

    @property
    def text_features(self) -> Table:
        """The text features, one row for each session."""
        return self._table("text_features", schemas.TEXT_FEATURES, "session")

    @property
    def audio_features(self) -> Table:
        """The audio features, one row for each session."""
        return self._table("audio_features", schemas.AUDIO_FEATURES, "session")

    def _table(self, name: str, schema: pa.Schema, key: str) -> Table:
        renamed = {"reason": RENAMED} if "reason" in schema.names else {}
        return Table(self.storage, name, schema, key, renamed)
