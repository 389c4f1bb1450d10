"""A Dagster run with work for Spark, as a program for the run pods of the tests, which are processes.

It imports nothing from the tests, so it needs the package alone.
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import dagster as dg
import pyarrow as pa

from novoic_assets.resources.spark_session import SparkResource

SCHEMA = pa.schema(
    [pa.field("session", pa.string()), pa.field("host", pa.string()), pa.field("environment", pa.string())]
)


@dataclass(frozen=True)
class Look:
    """A session function that returns where it ran."""

    at_once: int = 1
    schema: ClassVar[pa.Schema] = SCHEMA

    def __call__(self, tasks: pa.RecordBatch, /) -> pa.RecordBatch:
        time.sleep(0.2)  # so that the other executor gets its share
        host = os.environ["SPARK_EXECUTOR_POD_NAME"]
        environment = json.dumps(dict(os.environ))
        columns = [tasks["session"], [host] * len(tasks), [environment] * len(tasks)]
        return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=SCHEMA)

    def refused(self, tasks: pa.RecordBatch, reason: object) -> pa.RecordBatch:
        raise AssertionError(reason)


def wait_for_executors(spark: SparkResource, number: int) -> None:
    """Wait for a number of executors: on a busy machine the first could do all the work before the second comes."""
    context: Any = spark.session.sparkContext
    end = time.monotonic() + 120
    while context._jsc.sc().getExecutorMemoryStatus().size() - 1 < number:  # one of them is the driver
        if time.monotonic() > end:
            raise TimeoutError(f"{number} executors did not start in time")
        time.sleep(0.1)


def main(image: str, settings: str) -> None:
    """Run, and write the findings.

    Args:
        image: The image of the run's pod, which the launcher notes in the run's tags.
        settings: Spark's settings from the launchpad, as JSON.
    """
    found: dict[str, object] = {}

    @dg.asset
    def looked_at(spark: SparkResource) -> None:
        engine = spark.engine
        wait_for_executors(spark, 2)
        cores = engine.parallelism
        tasks = pa.table({"session": [f"S{number}" for number in range(40)]})
        rows = pa.Table.from_batches(engine.map(Look(), tasks, [1.0] * tasks.num_rows)).to_pylist()
        conf = dict(spark.session.sparkContext.getConf().getAll())
        found.update(cores=cores, rows=rows, conf=conf)

    result = dg.materialize(
        [looked_at],
        resources={"spark": SparkResource(settings=json.loads(settings))},
        tags={"dagster/image": image},
        run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
    )
    sys.stdout.write(json.dumps({"success": result.success, **found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
