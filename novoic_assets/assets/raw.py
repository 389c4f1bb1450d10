"""Define the assets of the raw stage: the metadata, and the listings of transcripts and recordings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import dagster as dg
import pyarrow as pa

from novoic_assets.assets.reporting import OWNERS, TABLE_VERSIONS, TAGS, plain_errors, table_metadata
from novoic_assets.errors import NovoicError
from novoic_assets.fingerprints import fingerprint
from novoic_assets.reasons import OK
from novoic_assets.resources.configured import RawDataResource, StoreResource
from novoic_assets.sessions.metadata import METADATA_VERSION, parse_metadata
from novoic_assets.stages.incremental import guard_removal
from novoic_assets.stages.listing import (
    Cutoffs,
    Known,
    RawListing,
    SessionFile,
    compare,
    file_tables,
    known_files,
    read_metadata,
)
from novoic_assets.storage import schemas
from novoic_assets.storage.tables import CommitConflictError, Snapshot

GROUP = "raw"


class RawConfig(dg.Config):
    """Settings of one run of the raw stage."""

    confirm_removal: bool = False
    """Whether many inputs may disappear at once: more than 5 and more than 20 % of the known ones."""

    settled_before: str | None = None
    """Set in automatic runs: local files changed later may still be being written and keep their known state. A
    moment such as 2026-01-31T02:00:00+00:00."""

    paired_before: str | None = None
    """Set in automatic runs: new files changed later wait for the other half of their session. A moment as above."""

    @property
    def cutoffs(self) -> Cutoffs:
        """Which files the run leaves to a later one.

        Raises:
            NovoicError: A moment is not valid.
        """
        return Cutoffs(_moment("settled_before", self.settled_before), _moment("paired_before", self.paired_before))


def _moment(name: str, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise NovoicError(f"{name} is not a moment such as 2026-01-31T02:00:00+00:00; correct it") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dg.asset(group_name=GROUP, kinds={"csv", "deltalake"}, owners=OWNERS, tags=TAGS, code_version=METADATA_VERSION)
@plain_errors
def raw_metadata(
    context: dg.AssetExecutionContext, config: RawConfig, raw: RawDataResource, store: StoreResource
) -> dg.MaterializeResult[None]:
    """The patients: a row for each line of `metadata.csv`, with its outcome."""
    raw.storage.require()
    if _view(config, raw, store).metadata_is_young():
        snapshot = store.tables.patients.snapshot()
        before = snapshot.select(["fingerprint", "reason"])
        # Without known rows there is nothing to keep, so the run reads the file anyway.
        if before.num_rows:
            context.log.info("metadata.csv may still be being written: left to a later run")
            reasons = Counter(before["reason"].to_pylist())
            return _patients(reasons, before["fingerprint"][0].as_py(), snapshot.version, {"new": 0, "removed": 0})
    data, mark = read_metadata(raw.storage)
    parsed = parse_metadata(data)
    rows = [
        {
            "row": f"{row.line:09}",
            "line": row.line,
            "fingerprint": mark,
            "reason": row.reason,
            "patient": row.patient,
            "age": row.age,
            "gender": row.gender,
            "mmse": row.mmse,
            "ad_status": row.ad_status,
            "split": row.split,
        }
        for row in parsed.rows
    ]
    listed = {row.patient for row in parsed.rows if row.patient is not None}
    while True:
        snapshot = store.tables.patients.snapshot()
        before = snapshot.select(["fingerprint", "patient"])
        known = {patient for patient in before["patient"].to_pylist() if patient is not None}
        removed = guard_removal(known, listed, confirmed=config.confirm_removal, what="patients")
        if before.num_rows == len(rows) and set(before["fingerprint"].to_pylist()) <= {mark}:
            break
        try:
            snapshot.overwrite(pa.Table.from_pylist(rows, schema=schemas.PATIENTS))
        except CommitConflictError:
            continue
        break
    reasons = Counter(row.reason for row in parsed.rows)
    refused = len(parsed.rows) - reasons[OK]
    context.log.info(f"{reasons[OK]} patients, {len(listed - known)} new, {removed} removed")
    if refused:
        context.log.warning(f"{refused} rows of the metadata quarantined")
    if parsed.unknown_columns:
        context.log.warning(f"{parsed.unknown_columns} unknown columns of the metadata were dropped")
    extra = {"new": len(listed - known), "removed": removed, "unknown columns": parsed.unknown_columns}
    return _patients(reasons, mark, snapshot.version, extra)


def _patients(
    reasons: Mapping[str, int], mark: str, version: int, extra: Mapping[str, int]
) -> dg.MaterializeResult[None]:
    rows = sum(reasons.values())
    return dg.MaterializeResult(
        metadata={
            **table_metadata(schemas.PATIENTS, rows),
            **extra,
            "quarantined": rows - reasons.get(OK, 0),
            "reasons": dict(reasons),
            TABLE_VERSIONS: {"patients": version},
        },
        data_version=dg.DataVersion(mark),
    )


@dg.asset(group_name=GROUP, kinds={"file", "deltalake"}, owners=OWNERS, tags=TAGS, code_version="1")
@plain_errors
def raw_transcripts(
    context: dg.AssetExecutionContext, config: RawConfig, raw: RawDataResource, store: StoreResource
) -> dg.MaterializeResult[None]:
    """The listed transcripts: a row for each transcript file below `text/`. Only the listing is read."""
    return _list_files(context, config, raw, store, "text")


@dg.asset(group_name=GROUP, kinds={"file", "deltalake"}, owners=OWNERS, tags=TAGS, code_version="1")
@plain_errors
def raw_audio(
    context: dg.AssetExecutionContext, config: RawConfig, raw: RawDataResource, store: StoreResource
) -> dg.MaterializeResult[None]:
    """The listed recordings: a row for each audio file below `audio/`. Only the listing is read."""
    return _list_files(context, config, raw, store, "audio")


RAW_ASSETS: Final = (raw_metadata, raw_transcripts, raw_audio)
RAW_NAMES: Final = tuple(asset.key.to_user_string() for asset in RAW_ASSETS)
"""The assets that take a `RawConfig`."""


def _list_files(
    context: dg.AssetExecutionContext, config: RawConfig, raw: RawDataResource, store: StoreResource, folder: str
) -> dg.MaterializeResult[None]:
    table = file_tables(store.tables)[folder]
    while True:
        # Read the table before the folder. The commit fails if another run has committed a listing since, so
        # a later version of the table is always a later listing of the folder.
        snapshot = table.snapshot()
        view = _view(config, raw, store, {folder: snapshot})
        known, listing = view.known(folder), view.folder(folder)
        sessions = {file.session for file in listing.files}
        removed = guard_removal(
            {file.session for file in known.values()}, sessions, confirmed=config.confirm_removal, what="sessions"
        )
        change = compare(known, listing.files)
        if change:
            try:
                snapshot.overwrite(_rows(listing.files))
            except CommitConflictError:
                continue
        break
    context.log.info(
        f"{len(listing.files)} files, {change.new} new, {change.changed} changed, {removed} sessions removed"
    )
    if listing.young or listing.waiting:
        context.log.info(
            f"{listing.young} files may still be being written and {listing.waiting} wait for their other half:"
            " left to a later run"
        )
    marks = sorted((file.info.path, (file.info.size, file.info.etag)) for file in listing.files)
    return dg.MaterializeResult(
        metadata={
            **table_metadata(schemas.FILES, len(listing.files)),
            "new": change.new,
            "changed": change.changed,
            "removed": change.gone,
            "unchanged": len(listing.files) - change.new - change.changed,
            "sessions": len(sessions),
            "ignored files": listing.ignored,
            "being written": listing.young,
            "waiting for their other half": listing.waiting,
            "bytes": sum(file.info.size for file in listing.files),
            TABLE_VERSIONS: {table.name: snapshot.version},
        },
        data_version=dg.DataVersion(fingerprint(*(f"{path} {mark}" for path, mark in marks))),
    )


def _view(
    config: RawConfig, raw: RawDataResource, store: StoreResource, snapshots: Mapping[str, Snapshot] | None = None
) -> RawListing:
    """Return the raw folder as this run sees it; a folder's table is read from its snapshot, if given."""
    tables = file_tables(store.tables)

    def known(folder: str) -> Known:
        snapshot = (snapshots or {}).get(folder) or tables[folder].snapshot()
        return known_files(snapshot.select())

    return RawListing(raw.storage, known, config.cutoffs, datetime.now(UTC))


def _rows(files: Sequence[SessionFile]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "path": file.info.path,
                "session": file.session,
                "size": file.info.size,
                "etag": file.info.etag,
                "modified": file.info.modified,
            }
            for file in files
        ],
        schema=schemas.FILES,
    )
