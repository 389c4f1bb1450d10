"""The safety net: a run each night, whatever the sensor has seen."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from novoic_assets.assets.reporting import plain_errors
from novoic_assets.resources.configured import ArrivalResource
from novoic_assets.sensors.runs import is_going, run_config, utc_now
from novoic_assets.settings import VARIABLES, settings

NIGHTLY: Final = "nightly"
_DESCRIPTION: Final = "Materializes everything: what the sensor missed, and what a change of settings or code asks for."


def nightly_schedule(job_name: str, assets: Sequence[dg.AssetKey]) -> dg.ScheduleDefinition:
    """The schedule that materializes everything each night.

    Args:
        job_name: What to run.
        assets: What the job materializes.

    Raises:
        NovoicError: A setting cannot be read.
    """
    is_on = NIGHTLY in settings().automation

    @plain_errors
    def nightly(context: dg.ScheduleEvaluationContext, arrival: ArrivalResource) -> dg.RunRequest | dg.SkipReason:
        """Start a run, unless one is going."""
        now = utc_now()
        if is_going(context.instance, job_name, assets, now):
            return dg.SkipReason("a run is waiting or going")
        return dg.RunRequest(run_config=run_config(arrival.cutoffs(now)))

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
