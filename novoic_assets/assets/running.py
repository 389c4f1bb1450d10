"""Run an incremental stage as an asset; the assets of all stages are made in this one way."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from novoic_assets.assets.cluster import SPARK_POOL, pod_size
from novoic_assets.assets.reporting import OWNERS, TAGS, log_stage, plain_errors
from novoic_assets.resources.configured import EngineResource
from novoic_assets.resources.spark_session import SparkResource
from novoic_assets.stages.stage import Stage, StageReport, run_stage


def stage_asset(**settings: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:  # noqa: ANN401 - dg.asset's own
    """Return the decorator of a stage's asset: it computes on an engine, and its errors quote no data.

    Args:
        settings: What `dagster.asset` takes beside owners, tags, pool and the size of the pod.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        make = dg.asset(owners=OWNERS, tags=TAGS, pool=SPARK_POOL, op_tags=pod_size(), **settings)
        asset: dg.AssetsDefinition = make(plain_errors(function))
        return asset

    return decorate


def run_logged(
    context: dg.AssetExecutionContext, stage: Stage, engine: EngineResource, spark: SparkResource
) -> StageReport:
    """Bring a stage's table up to date, and log what was done.

    Raises:
        NovoicError: The storage or a worker failed.
    """
    with engine.on(spark) as workers:
        report = run_stage(stage, workers, context.log.info)
    log_stage(context, report)
    return report
