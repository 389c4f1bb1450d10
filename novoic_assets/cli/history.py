"""Open Dagster's history of runs, and provide the command that keeps its database from growing for ever.

Dagster keeps each run and its events until somebody deletes them; its own retention covers ticks alone.
"""

import fcntl
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from novoic_assets.cli.console import OUT
from novoic_assets.errors import NovoicError
from novoic_assets.settings import VARIABLES, settings

if TYPE_CHECKING:
    import dagster as dg

_PAGE: Final = 500


def purge_history(
    older_than_days: Annotated[
        int, typer.Option(min=1, help="Delete runs that ended more than this many days ago.")
    ] = 90,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Delete old runs and their events from Dagster's history; keep runs with the latest event of an asset or check."""
    if _home() is None:
        raise NovoicError("no history found; change to the folder of dagster.yaml, or set DAGSTER_HOME")
    warnings.filterwarnings("ignore")
    from novoic_assets.definitions import defs

    before = datetime.now(UTC) - timedelta(days=older_than_days)
    with open_instance() as instance:
        done = purge(instance, before, defs.resolve_asset_graph().asset_check_keys, dry=dry_run)
    OUT.print(
        f"{'Would delete' if dry_run else 'Deleted'} {done.deleted} runs that ended more than {older_than_days} days"
        f" ago, and {'would keep' if dry_run else 'kept'} {done.kept} that hold the latest event of an asset or check.",
        soft_wrap=True,
    )


@dataclass(frozen=True)
class Purge:
    """Numbers of old runs.

    Attributes:
        deleted: Runs that were deleted with their events, or would be.
        kept: Runs that hold the latest event of an asset or a check, and so were kept.
    """

    deleted: int
    kept: int


def purge(
    instance: "dg.DagsterInstance", before: datetime, checks: "Iterable[dg.AssetCheckKey]", *, dry: bool = False
) -> Purge:
    """Delete the runs that ended before a moment, except those that hold the latest event of an asset or a check.

    Deleting a run deletes its events. If they included an asset's latest materialization, the UI would lose the asset's
    metadata and state, although its data exist.

    Args:
        instance: The instance with the history.
        before: The moment, with a time zone.
        checks: All asset checks.
        dry: Only count, and delete nothing.

    Returns:
        How many runs were deleted and how many kept.
    """
    needed = set(_holding_the_latest(instance, checks))
    old = list(_ended_before(instance, before))
    gone = [run_id for run_id in old if run_id not in needed]
    if not dry:
        for run_id in gone:
            instance.delete_run(run_id)
    return Purge(len(gone), len(old) - len(gone))


def _ended_before(instance: "dg.DagsterInstance", before: datetime) -> Iterator[str]:
    import dagster as dg

    # A queued or running run stays at any age.
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    filters = dg.RunsFilter(statuses=ended, updated_before=before)
    cursor = None
    while page := instance.get_run_ids(filters, cursor=cursor, limit=_PAGE):
        yield from page
        cursor = page[-1]


def _holding_the_latest(instance: "dg.DagsterInstance", checks: "Iterable[dg.AssetCheckKey]") -> Iterator[str]:
    for record in instance.get_asset_records():
        entry = record.asset_entry
        for event in (entry.last_materialization_record, entry.last_observation_record):
            if event is not None:
                yield event.run_id
    summaries = instance.event_log_storage.get_asset_check_summary_records(list(checks))
    for summary in summaries.values():
        for execution in (summary.last_check_execution_record, summary.last_completed_check_execution_record):
            if execution is not None:
                yield execution.run_id


def _home() -> str | None:
    """Return the folder whose dagster.yaml locates the history; None without a history."""
    home = settings().dagster_home
    if not home:
        return "." if Path("dagster.yaml").exists() else None
    if not (Path(home).is_absolute() and Path(home).is_dir()):
        raise VARIABLES["dagster_home"].refusal
    return home


@contextmanager
def open_instance() -> "Iterator[dg.DagsterInstance]":
    """Open the instance that `dagster dev` uses when started here, so that its UI shows the run.

    Yields:
        The instance; an ephemeral one without a history.

    Raises:
        NovoicError: DAGSTER_HOME is not an absolute path of a folder.
    """
    import dagster as dg

    home = _home()
    if home is None:
        opened = dg.DagsterInstance.ephemeral()
    else:
        with _alone_in(home):
            opened = dg.DagsterInstance.from_config(home) if home == "." else dg.DagsterInstance.get()
    with opened as instance:
        yield instance


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Keep other commands out of a folder: if two create Dagster's tables there at once, at least one fails."""
    try:
        file = os.open(folder, os.O_RDONLY)
    except OSError:  # the folder cannot be read, which Dagster reports
        yield
        return
    try:
        with suppress(OSError):  # some disks have no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
