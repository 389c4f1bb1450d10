"""Start and time the engines: the process pool, Spark in one process, Spark's standalone cluster."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from benchmarks.common import WORKERS, Figures, require
from novoic_assets.engines.contract import SessionEngine, SessionFunction
from novoic_assets.engines.pool import PoolEngine
from novoic_assets.engines.spark import SparkEngine
from novoic_assets.reasons import OK, Reason
from novoic_assets.stages.stage import Stage
from novoic_assets_tests.spark_cluster import has_java, spark_cluster

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

POOL: Final = "pool"
LOCAL: Final = "spark local"
CLUSTER: Final = "spark cluster"

_TOTAL_COST: Final = 100.0  # seconds that tasks claim to take together: too long for the pool to work inline
_NOTHINGS: Final = 16  # tasks without work: enough for every worker
_STARTED_WITHIN: Final = 60.0  # seconds
_COMPUTE: Final = pa.field("compute", pa.list_(pa.string()))  # the families to compute for a task


def missing(kind: str) -> str | None:
    """Return why an engine cannot be measured here; None if it can."""
    return "Java is not installed" if kind != POOL and not has_java() else None


def measure(kind: str, stage: Stage, repeats: int) -> Figures:
    """Time an engine on the work of a stage.

    Args:
        kind: `POOL`, `LOCAL` or `CLUSTER`.
        stage: The audio stage, with sessions that are not computed yet.
        repeats: How often to do the work.

    Returns:
        Seconds of start-up, which ends when every worker has answered once; sorted seconds of the work; the number of
        sessions.

    Raises:
        BenchmarkError: A session was refused or lost.
    """
    upstream = stage.upstream()
    work = upstream.tasks(sorted(upstream.wanted))
    work = work.append_column(_COMPUTE, pa.array([["mfcc"]] * work.num_rows, _COMPUTE.type))
    sizes = work["size"].to_pylist()
    costs = [_TOTAL_COST * size / sum(sizes) for size in sizes]
    nothing = pa.Table.from_pylist(
        [{"session": f"N{i}", "refusal": str(Reason.NO_AUDIO)} for i in range(_NOTHINGS)], schema=work.schema
    )
    function = stage.function()
    start = time.perf_counter()
    with _started(kind) as engine:
        _map(engine, function, nothing, [_TOTAL_COST / _NOTHINGS] * _NOTHINGS)
        start_up = time.perf_counter() - start
        seconds = []
        for _ in range(repeats):
            wall, n_ok = _map(engine, function, work, costs)
            require(n_ok == work.num_rows, f"{kind}: {work.num_rows - n_ok} sessions were refused")
            seconds.append(wall)
    return {"start_up_s": start_up, "work_s": sorted(seconds), "sessions": work.num_rows}


def _map(
    engine: SessionEngine, function: SessionFunction, tasks: pa.Table, costs: Sequence[float]
) -> tuple[float, int]:
    """Return the seconds of the work and the number of ok sessions."""
    start = time.perf_counter()
    batches = list(engine.map(function, tasks, costs))
    wall = time.perf_counter() - start
    require(sum(batch.num_rows for batch in batches) == tasks.num_rows, "the engine lost sessions")
    return wall, sum(reason == OK for batch in batches for reason in batch["reason"].to_pylist())


@contextmanager
def _started(kind: str) -> Iterator[SessionEngine]:
    if kind == POOL:
        with PoolEngine(WORKERS) as pool:
            yield pool
        return
    with ExitStack() as stack:
        master = f"local[{WORKERS}]"
        if kind == CLUSTER:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            master = stack.enter_context(spark_cluster(Path(folder), WORKERS))
        yield SparkEngine(stack.enter_context(_session(master)))


@contextmanager
def _session(master: str) -> "Iterator[SparkSession]":
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = (
        SparkSession.builder.master(master)
        .appName("benchmark")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.executor.memory", "1g")
        # Spark hands out no work before every worker of the cluster has registered.
        .config("spark.cores.max", str(WORKERS))
        .config("spark.scheduler.minRegisteredResourcesRatio", "1.0")
        .config("spark.scheduler.maxRegisteredResourcesWaitingTime", f"{_STARTED_WITHIN:.0f}s")
        .getOrCreate()
    )
    try:
        yield session
    finally:
        session.stop()
