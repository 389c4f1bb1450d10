"""Dagster's history of runs: what of it may go, so that its database does not grow for ever.

Dagster keeps each run and its events until they are deleted; its own retention covers ticks alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import dagster as dg

# In these a run has ended; what waits or goes stays, however old it is.
_ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PAGE: Final = 500


@dataclass(frozen=True)
class Purge:
    """Numbers of runs.

    Attributes:
        deleted: That are gone, with their events.
        kept: That are old enough, and hold what is known last of an asset or a check.
    """

    deleted: int
    kept: int


def purge(
    instance: dg.DagsterInstance, before: datetime, checks: Iterable[dg.AssetCheckKey], *, dry: bool = False
) -> Purge:
    """Delete the runs that ended before a moment, save those that hold what is known last of an asset or a check.

    Deleting a run deletes its events: an asset whose latest materialization were among them would lose its
    metadata and its state in the UI, though its data are there.

    Args:
        instance: The instance whose history it is.
        before: The moment, with a time zone.
        checks: The asset checks that there are.
        dry: Count only.

    Returns:
        How many were deleted and how many kept.
    """
    needed = set(_holding_the_latest(instance, checks))
    old = list(_ended_before(instance, before))
    gone = [run_id for run_id in old if run_id not in needed]
    if not dry:
        for run_id in gone:
            instance.delete_run(run_id)
    return Purge(len(gone), len(old) - len(gone))


def _ended_before(instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    filters = dg.RunsFilter(statuses=_ENDED, updated_before=before)
    cursor = None
    while page := instance.get_run_ids(filters, cursor=cursor, limit=_PAGE):
        yield from page
        cursor = page[-1]


def _holding_the_latest(instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey]) -> Iterator[str]:
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
