"""The runs that start by themselves: what one is started with, and whether one is going already."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from novoic_assets.assets.raw import RAW_NAMES, RawConfig
from novoic_assets.stages.listing import Cutoffs

# A run that works writes a line every half minute. One that was killed stays "started" in the history for ever.
_DEAD_AFTER: Final = 3600.0  # s

_GOING: Final = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


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


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)
