"""Whether a run is wanted now: the decision that everything which starts runs by itself shares.

It is derived anew each time, from the raw folder, the tables and Dagster's history. A cursor remembers only
what was tried in vain, and may be lost.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from novoic_assets.assets.raw import RAW_NAMES, RawConfig
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

MAX_ATTEMPTS: Final = 6
_FIRST_PAUSE: Final = 60.0  # s, doubled with each attempt
_LONGEST_PAUSE: Final = 3600.0  # s
# A run that works writes a line every half minute. One that was killed stays "started" in the history for ever.
_DEAD_AFTER: Final = 3600.0  # s
# Dagster ends a tick after a minute, and says no more than that. The next tick asks again anyway.
_PATIENCE: Final = 20  # s

_GOING: Final = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


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


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do.

    Attributes:
        run: Whether to start a run.
        why: Why, or why not.
        cursor: What to remember until the next time; None: nothing.
    """

    run: bool
    why: str
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Attempts:
    """What was tried in vain for one state of the raw folder.

    Attributes:
        state: Digest of that state.
        attempts: Number of runs that were asked for.
        asked: When the last one was asked for, or last seen going; in s since 1970.
    """

    state: str
    attempts: int
    asked: int

    @classmethod
    def read(cls, cursor: str | None) -> "_Attempts | None":
        """What a cursor says, None where it is none of ours."""
        try:
            content = json.loads(cursor or "")
            return cls(str(content["state"]), int(content["attempts"]), int(content["asked"]))
        except (ValueError, TypeError, KeyError, OverflowError):
            return None

    def written(self) -> str:
        return json.dumps({"state": self.state, "attempts": self.attempts, "asked": self.asked})


def decide(
    *,
    job_name: str,
    assets: Sequence[dg.AssetKey],
    instance: dg.DagsterInstance,
    raw: Storage,
    tables: StoreTables,
    cutoffs: Cutoffs,
    cursor: str | None,
    now: datetime,
) -> Decision:
    """Decide whether to start a run of a job now.

    Args:
        job_name: The job.
        assets: What the job materializes.
        instance: Whose history tells what is going, and what was made from what.
        raw: The raw folder or bucket.
        tables: The tables of the store.
        cutoffs: What the run would leave to a later one; give it the same with `run_config`.
        cursor: The cursor of the last decision.
        now: The time.

    Returns:
        What to do, and the cursor to keep.

    Raises:
        NovoicError: The raw folder or the store cannot be read.
    """
    tried = _Attempts.read(cursor)
    if is_going(instance, job_name, assets, now):
        # The pause after a failure counts from the run's end: as long as it goes it is put off.
        kept = _Attempts(tried.state, tried.attempts, int(now.timestamp())) if tried else None
        return Decision(run=False, why="a run is waiting or going", cursor=kept.written() if kept else None)
    return judge(look(raw, tables, instance, assets, cutoffs, now), cursor, now)


def judge(found: Look, cursor: str | None, now: datetime) -> Decision:
    """Decide by what a look found and what was tried in vain before.

    Args:
        found: What there is.
        cursor: The cursor of the last decision.
        now: The time.
    """
    if not found.wanted:
        return Decision(run=False, why=_nothing(found), cursor=None)
    tried = _Attempts.read(cursor)
    if tried is None or tried.state != found.state or tried.attempts < 1:
        tried = _Attempts(found.state, 0, 0)
    if tried.attempts >= MAX_ATTEMPTS:
        why = (
            f"{tried.attempts} runs left work undone: no more are started until the raw folder changes or somebody"
            " starts the job by hand; the last run's log says why"
        )
        return Decision(run=False, why=why, cursor=tried.written())
    if tried.attempts:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tried.attempts - 1))
        # A time ahead of the clock is that of a clock that was put back since.
        left = tried.asked + pause - now.timestamp()
        if 0 < left <= pause:
            why = (
                f"the last run left work undone; the next one is started in {math.ceil(left)} seconds"
                f" (number {tried.attempts + 1} of {MAX_ATTEMPTS})"
            )
            return Decision(run=False, why=why, cursor=tried.written())
    asked = _Attempts(found.state, tried.attempts + 1, int(now.timestamp()))
    why = (
        f"{found.new} files are new, {found.changed} changed, {found.gone} gone,"
        f" {found.undone} assets are not up to date"
    )
    return Decision(run=True, why=why, cursor=asked.written())


def _nothing(found: Look) -> str:
    if found.young or found.waiting:
        return f"{found.young} files are still being written, {found.waiting} wait for their other half"
    return "nothing is new"


def run_config(cutoffs: Cutoffs) -> dg.RunConfig:
    """The run config of a run that starts by itself."""
    settings = RawConfig(
        settled_before=cutoffs.settled_before.isoformat() if cutoffs.settled_before else None,
        paired_before=cutoffs.paired_before.isoformat() if cutoffs.paired_before else None,
    )
    return dg.RunConfig(ops=dict.fromkeys(RAW_NAMES, settings))


def is_going(instance: dg.DagsterInstance, job_name: str, assets: Collection[dg.AssetKey], now: datetime) -> bool:
    """Whether a run of a job, or another one of its assets, is waiting or going.

    One that waits in the queue counts however old it is. Any other that has said nothing for an hour is dead.

    Args:
        instance: The history.
        job_name: The job.
        assets: What the job materializes; the UI's "Materialize" starts runs of no job.
        now: The time.
    """
    ours = [
        record
        for record in instance.get_run_records(dg.RunsFilter(statuses=list(_GOING)))
        if record.dagster_run.job_name == job_name or set(assets) & set(record.dagster_run.asset_selection or ())
    ]
    for record in ours:
        if record.dagster_run.status == dg.DagsterRunStatus.QUEUED:
            return True
        last = instance.get_records_for_run(record.dagster_run.run_id, limit=1, ascending=False).records
        seen = max([record.create_timestamp.timestamp(), *(event.timestamp for event in last)])
        if now.timestamp() - seen < _DEAD_AFTER:
            return True
    return False


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


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)
