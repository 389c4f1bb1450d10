"""The raw stage: the metadata, and what transcripts and recordings there are."""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence

import dagster as dg
import pyarrow as pa

from novoic_assets.assets.reporting import OWNERS, TAGS, plain_errors, table_metadata
from novoic_assets.errors import NovoicError
from novoic_assets.resources.configured import RawData, Store
from novoic_assets.resources.storage import Storage
from novoic_assets.resources.tables import CommitConflictError, Table
from novoic_assets.sessions import schemas
from novoic_assets.sessions.incremental import fingerprint, guard_removal
from novoic_assets.sessions.listing import TRANSCRIPT_EXTENSIONS, SessionFile, session_files
from novoic_assets.sessions.metadata import METADATA_VERSION, parse_metadata
from novoic_assets.sessions.reasons import OK
from novoic_assets.sessions.recording import AUDIO_EXTENSIONS

GROUP = "raw"


class RawConfig(dg.Config):
    """Settings of one run of the raw stage."""

    confirm_removal: bool = False
    """Whether inputs may go in numbers: more than 5 and more than 20 % of those known."""


@dg.asset(group_name=GROUP, kinds={"csv", "deltalake"}, owners=OWNERS, tags=TAGS, code_version=METADATA_VERSION)
@plain_errors
def raw_metadata(
    context: dg.AssetExecutionContext, config: RawConfig, raw: RawData, store: Store
) -> dg.MaterializeResult[None]:
    """The patients: a row for each line of `metadata.csv`, with its outcome."""
    raw.storage.require()
    try:
        data = raw.storage.read("metadata.csv")
    except FileNotFoundError:
        raise NovoicError("the folder that NOVOIC_RAW names has no metadata.csv") from None
    mark = fingerprint(METADATA_VERSION, hashlib.sha256(data).hexdigest())
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
        if set(before["fingerprint"].to_pylist()) == {mark} and before.num_rows == len(rows):
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
        context.log.warning(f"{parsed.unknown_columns} unknown columns of the metadata were left out")
    return dg.MaterializeResult(
        metadata={
            **table_metadata(schemas.PATIENTS, len(rows)),
            "new": len(listed - known),
            "removed": removed,
            "quarantined": refused,
            "reasons": dict(reasons),
            "unknown columns": parsed.unknown_columns,
        },
        data_version=dg.DataVersion(mark),
    )


@dg.asset(group_name=GROUP, kinds={"xml", "deltalake"}, owners=OWNERS, tags=TAGS, code_version="1")
@plain_errors
def raw_transcripts(
    context: dg.AssetExecutionContext, config: RawConfig, raw: RawData, store: Store
) -> dg.MaterializeResult[None]:
    """What transcripts there are: a row for each XML file below `text/`. Nothing but the listing is read."""
    return _list_files(
        context,
        raw.storage,
        store.tables.transcript_files,
        "text",
        TRANSCRIPT_EXTENSIONS,
        confirmed=config.confirm_removal,
    )


@dg.asset(group_name=GROUP, kinds={"file", "deltalake"}, owners=OWNERS, tags=TAGS, code_version="1")
@plain_errors
def raw_audio(
    context: dg.AssetExecutionContext, config: RawConfig, raw: RawData, store: Store
) -> dg.MaterializeResult[None]:
    """What recordings there are: a row for each audio file below `audio/`. Nothing but the listing is read."""
    return _list_files(
        context, raw.storage, store.tables.audio_files, "audio", AUDIO_EXTENSIONS, confirmed=config.confirm_removal
    )


def _list_files(
    context: dg.AssetExecutionContext,
    raw: Storage,
    table: Table,
    folder: str,
    extensions: Collection[str],
    *,
    confirmed: bool,
) -> dg.MaterializeResult[None]:
    while True:
        # The table is looked at before the folder: a listing is committed only if nobody committed one
        # that was made meanwhile, so a later version is always a later look at the folder.
        snapshot = table.snapshot()
        before = snapshot.select(["path", "session", "size", "etag"])
        files, ignored = session_files(raw.list(folder), extensions)
        sessions = {file.session for file in files}
        removed = guard_removal(set(before["session"].to_pylist()), sessions, confirmed=confirmed, what="sessions")
        known = {row["path"]: (row["size"], row["etag"]) for row in before.to_pylist()}
        now = {file.info.path: (file.info.size, file.info.etag) for file in files}
        if known != now:
            try:
                snapshot.overwrite(_rows(files))
            except CommitConflictError:
                continue
        break
    new = len(now.keys() - known.keys())
    changed = sum(known[path] != now[path] for path in now.keys() & known.keys())
    context.log.info(f"{len(files)} files, {new} new, {changed} changed, {removed} sessions removed")
    return dg.MaterializeResult(
        metadata={
            **table_metadata(schemas.FILES, len(files)),
            "new": new,
            "changed": changed,
            "removed": len(known.keys() - now.keys()),
            "unchanged": len(now) - new - changed,
            "sessions": len(sessions),
            "ignored files": ignored,
            "bytes": sum(file.info.size for file in files),
        },
        data_version=dg.DataVersion(fingerprint(*(f"{path} {mark}" for path, mark in sorted(now.items())))),
    )


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
