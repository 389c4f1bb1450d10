"""Configure automatic runs, and find whether a run is already in progress."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from novoic_assets.assets.raw import RAW_NAMES, RawConfig
from novoic_assets.assets.reporting import plain_errors
from novoic_assets.settings import settings
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
    config = RawConfig(
        settled_before=cutoffs.settled_before.isoformat() if cutoffs.settled_before else None,
        paired_before=cutoffs.paired_before.isoformat() if cutoffs.paired_before else None,
    )
    return dg.RunConfig(ops=dict.fromkeys(RAW_NAMES, config))


def run_sensor(name: str, job_name: str, description: str) -> Callable[[Callable[..., Any]], dg.SensorDefinition]:
    """Return the decorator of a sensor that starts runs of a job; its errors quote no data.

    Args:
        name: The sensor's name, by which NOVOIC_AUTOMATION switches it on.
        job_name: The job to run.
        description: What the sensor does.

    Raises:
        NovoicError: A setting cannot be read.
    """
    is_on = name in settings().automation

    def decorate(function: Callable[..., Any]) -> dg.SensorDefinition:
        make = dg.sensor(
            name=name,
            job_name=job_name,
            description=description,
            minimum_interval_seconds=settings().sensor_seconds,
            default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        )
        return make(plain_errors(function))

    return decorate


def run_request(cutoffs: Cutoffs) -> dg.RunRequest:
    """Return the request of an automatic run."""
    # No run key: Dagster would not start another run with the key of a failed one.
    return dg.RunRequest(run_config=run_config(cutoffs))


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
