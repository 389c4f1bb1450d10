"""What there is to do for a run: found by a look at the raw folder, the tables and Dagster's history."""

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

# Dagster ends a tick after a minute, and says no more than that. The next tick asks again anyway.
_PATIENCE: Final = 20  # s


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the raw folder, the tables and the history found.

    Attributes:
        new: Number of files that the tables do not know.
        changed: Number of files that are not as the tables know them, `metadata.csv` included.
        gone: Number of files that the tables know and that are there no more.
        undone: Number of assets that were not made from the tables as they are now.
        young: Number of files that may still be being written.
        waiting: Number of new files that wait for the other half of their session.
        ready: Whether there is anything to start from: false as long as the first `metadata.csv` is being written.
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
    """Look at the raw folder, the tables and the history. Nothing is written, no table created.

    Args:
        raw: The raw folder or bucket.
        tables: The tables of the store.
        instance: The history.
        assets: The assets whose last materialization should be of the tables as they are.
        cutoffs: What is left to a later look.
        now: The time.

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
    """Fingerprint of the metadata to go by; whether they changed, are being written, and are there to start from."""
    young = view.metadata_is_young()
    data, mark = read_metadata(raw)
    marks = set(patients.select(["row", "fingerprint"])["fingerprint"].to_pylist()) if patients else set()
    if marks == {mark}:
        return mark, False, False, True
    if young:
        return next(iter(marks), ""), False, True, bool(marks)
    return mark, bool(marks) or patients is None or not _is_empty(data), False, True


def _is_empty(data: bytes) -> bool:
    """Whether metadata have no rows, so that a table without rows is made from them."""
    try:
        return not parse_metadata(data).rows
    except NovoicError:
        return False  # the run says what is wrong with them


def _is_made_from(instance: dg.DagsterInstance, asset: dg.AssetKey, versions: Mapping[str, int]) -> bool:
    """Whether an asset was made from the tables as they are.

    Each materialization tells the versions of the tables that it read and wrote. What failed, or never ran,
    after an earlier stage had committed tells older ones.
    """
    event = instance.get_latest_materialization_event(asset)
    if event is None or event.asset_materialization is None:
        return False
    entry = event.asset_materialization.metadata.get(TABLE_VERSIONS)
    read = entry.value if entry is not None else None
    return isinstance(read, dict) and bool(read) and all(versions.get(name) == read[name] for name in read)
