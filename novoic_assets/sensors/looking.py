"""Find what a run would have to do, by a look at the raw folder, the tables and Dagster's history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import dagster as dg

from novoic_assets.assets.reporting import TABLE_VERSIONS
from novoic_assets.errors import NovoicError
from novoic_assets.fingerprints import fingerprint
from novoic_assets.sessions.metadata import parse_metadata
from novoic_assets.stages.listing import (
    Cutoffs,
    Known,
    RawListing,
    compare,
    file_tables,
    known_files,
    read_metadata,
)
from novoic_assets.storage.files import Storage
from novoic_assets.storage.store_tables import StoreTables
from novoic_assets.storage.tables import Snapshot, Table

# Dagster ends a tick after a minute without giving a reason, so give up earlier. The next tick tries again.
_PATIENCE: Final = 20  # s


@dataclass(frozen=True, slots=True)
class Look:
    """The result of a look at the raw folder, the tables and the history.

    Attributes:
        new: Number of files that the tables do not know.
        changed: Number of files that differ from their rows in the tables, including `metadata.csv`.
        gone: Number of files that the tables know and that no longer exist.
        undone: Number of assets that were not made from the current tables.
        young: Number of files that may still be being written.
        waiting: Number of new files that wait for the other half of their session.
        ready: Whether a run can start: false while the first `metadata.csv` is being written.
        state: Digest of the settled raw folder.
    """

    new: int
    changed: int
    gone: int
    undone: int
    young: int
    waiting: int
    ready: bool
    state: str

    @property
    def wanted(self) -> bool:
        """Whether a run has anything to do."""
        return self.ready and bool(self.new or self.changed or self.gone or self.undone)


def look(
    raw: Storage,
    tables: StoreTables,
    instance: dg.DagsterInstance,
    assets: Sequence[dg.AssetKey],
    cutoffs: Cutoffs,
    now: datetime,
) -> Look:
    """Look at the raw folder, the tables and the history, without writing anything or creating a table.

    Args:
        raw: The raw folder or bucket.
        tables: The tables of the store.
        instance: The instance with the history.
        assets: The assets that should have been made from the current tables.
        cutoffs: Which files are left to a later look.
        now: The current time.

    Raises:
        NovoicError: The raw folder or the store cannot be read.
    """
    raw = replace(raw, patience=_PATIENCE)
    tables = StoreTables(replace(tables.storage, patience=_PATIENCE))
    raw.require()
    snapshots = {table.name: table.snapshot() for table in _all(tables) if table.exists()}
    names = {folder: table.name for folder, table in file_tables(tables).items()}

    def known(folder: str) -> Known:
        snapshot = snapshots.get(names[folder])
        return known_files(snapshot.select()) if snapshot else {}

    view = RawListing(raw, known, cutoffs, now)
    marks: list[str] = []
    new = changed = gone = young = waiting = 0
    for folder in names:
        listing = view.folder(folder)
        change = compare(view.known(folder), listing.files)
        new, changed, gone = new + change.new, changed + change.changed, gone + change.gone
        young, waiting = young + listing.young, waiting + listing.waiting
        marks += (f"{file.info.path} {file.info.size} {file.info.etag}" for file in listing.files)
    mark, is_changed, is_young, ready = _metadata(raw, snapshots.get(tables.patients.name), view)
    versions = {name: snapshot.version for name, snapshot in snapshots.items()}
    return Look(
        new=new,
        changed=changed + is_changed,
        gone=gone,
        undone=sum(not _is_made_from(instance, asset, versions) for asset in assets),
        young=young + is_young,
        waiting=waiting,
        ready=ready,
        state=fingerprint(mark, *marks),
    )


def _all(tables: StoreTables) -> tuple[Table, ...]:
    return (
        tables.patients,
        tables.transcript_files,
        tables.audio_files,
        tables.transcripts,
        tables.text_features,
        tables.audio_features,
    )


def _metadata(raw: Storage, patients: Snapshot | None, view: RawListing) -> tuple[str, bool, bool, bool]:
    """Return the fingerprint of the metadata to use, and whether they are changed, are young, and let a run start."""
    young = view.metadata_is_young()
    data, mark = read_metadata(raw)
    marks = set(patients.select(["row", "fingerprint"])["fingerprint"].to_pylist()) if patients else set()
    if marks == {mark}:
        return mark, False, False, True
    if young:
        return next(iter(marks), ""), False, True, bool(marks)
    return mark, bool(marks) or patients is None or not _is_empty(data), False, True


def _is_empty(data: bytes) -> bool:
    """Return whether metadata have no rows, so that their table has none either."""
    try:
        return not parse_metadata(data).rows
    except NovoicError:
        return False  # the run reports the error


def _is_made_from(instance: dg.DagsterInstance, asset: dg.AssetKey, versions: Mapping[str, int]) -> bool:
    """Return whether an asset was made from the current tables.

    Each materialization records the versions of the tables that it read and wrote. If an asset failed or never
    ran after an earlier stage committed, its last materialization records older versions.
    """
    event = instance.get_latest_materialization_event(asset)
    if event is None or event.asset_materialization is None:
        return False
    entry = event.asset_materialization.metadata.get(TABLE_VERSIONS)
    read = entry.value if entry is not None else None
    return isinstance(read, dict) and bool(read) and all(versions.get(name) == read[name] for name in read)
