"""Define the schedule that starts a run each night, as a safety net for what the sensors miss."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from novoic_assets.assets.reporting import plain_errors
from novoic_assets.resources.configured import ArrivalResource
from novoic_assets.sensors.runs import is_going, run_request, utc_now
from novoic_assets.settings import VARIABLES, settings

NIGHTLY: Final = "nightly"
_DESCRIPTION: Final = "Materializes everything that a sensor missed or that a change of settings or code requires."


def nightly_schedule(job_name: str, assets: Sequence[dg.AssetKey]) -> dg.ScheduleDefinition:
    """Return the schedule that materializes everything each night.

    Args:
        job_name: The job to run.
        assets: What the job materializes.

    Raises:
        NovoicError: A setting cannot be read.
    """
    is_on = NIGHTLY in settings().automation

    @plain_errors
    def nightly(context: dg.ScheduleEvaluationContext, arrival: ArrivalResource) -> dg.RunRequest | dg.SkipReason:
        """Start a run, unless one is queued or in progress."""
        now = utc_now()
        if is_going(context.instance, job_name, assets, now):
            return dg.SkipReason("a run is queued or in progress")
        return run_request(arrival.cutoffs(now))

    try:
        return dg.schedule(
            name=NIGHTLY,
            job_name=job_name,
            description=_DESCRIPTION,
            cron_schedule=settings().nightly_cron,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED,
        )(nightly)
    except dg.DagsterInvalidDefinitionError:
        raise VARIABLES["nightly_cron"].refusal from None
