"""Define the sensor that starts a run when there is anything to do."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from novoic_assets.resources.configured import ArrivalResource, RawDataResource, StoreResource
from novoic_assets.sensors.deciding import decide
from novoic_assets.sensors.runs import run_request, run_sensor, utc_now

NEW_DATA: Final = "new_data"
_DESCRIPTION: Final = (
    "Starts a run when something in the raw folder is new, changed or gone, or an earlier run left work undone."
)


def new_data_sensor(job_name: str, assets: Sequence[dg.AssetKey]) -> dg.SensorDefinition:
    """Return the sensor of the raw folder or bucket.

    Args:
        job_name: The job to run.
        assets: What the job materializes.

    Raises:
        NovoicError: A setting cannot be read.
    """

    @run_sensor(NEW_DATA, job_name, _DESCRIPTION)
    def new_data(
        context: dg.SensorEvaluationContext, raw: RawDataResource, store: StoreResource, arrival: ArrivalResource
    ) -> dg.RunRequest | dg.SkipReason:
        """Look, and start a run or report why not."""
        now = utc_now()
        cutoffs = arrival.cutoffs(now)
        decision = decide(
            job_name=job_name,
            assets=assets,
            instance=context.instance,
            raw=raw.storage,
            tables=store.tables,
            cutoffs=cutoffs,
            cursor=context.cursor,
            now=now,
        )
        context.update_cursor(decision.cursor)
        return run_request(cutoffs) if decision.run else dg.SkipReason(decision.why)

    return new_data
