"""Configure automatic runs, and find whether a run is already in progress."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from novoic_assets.assets.raw import RAW_NAMES, RawConfig
from novoic_assets.stages.listing import Cutoffs

# A working run logs a line every half minute. A killed run stays "started" in the history for ever.
_DEAD_AFTER: Final = 3600.0  # s

_GOING: Final = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def run_config(cutoffs: Cutoffs) -> dg.RunConfig:
    """Return the run config of an automatic run."""
    settings = RawConfig(
        settled_before=cutoffs.settled_before.isoformat() if cutoffs.settled_before else None,
        paired_before=cutoffs.paired_before.isoformat() if cutoffs.paired_before else None,
    )
    return dg.RunConfig(ops=dict.fromkeys(RAW_NAMES, settings))


def is_going(instance: dg.DagsterInstance, job_name: str, assets: Collection[dg.AssetKey], now: datetime) -> bool:
    """Return whether a run of a job, or another run of its assets, is queued or in progress.

    A queued run counts at any age. Any other run without an event for an hour is dead and does not count.

    Args:
        instance: The instance with the history.
        job_name: The job.
        assets: What the job materializes, since runs of the UI's "Materialize" have another job name.
        now: The current time.
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


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
