"""Tables and session functions for the tests of engines and storage; worker processes can import the functions."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_info

from novoic_assets.errors import NovoicError
from novoic_assets.reasons import Reason
from novoic_assets.storage.files import Storage
from novoic_assets.storage.tables import Table

SCHEMA: Final = pa.schema([pa.field("session", pa.string()), pa.field("n", pa.int64())])


REFUSED: Final = -1


@dataclass(frozen=True)
class Function:
    """Makes a session function from a plain function."""

    call: Callable[[pa.RecordBatch], pa.RecordBatch]
    at_once: int = 1
    schema: ClassVar[pa.Schema] = SCHEMA

    def __call__(self, tasks: pa.RecordBatch, /) -> pa.RecordBatch:
        return self.call(tasks)

    def refused(self, tasks: pa.RecordBatch, reason: Reason) -> pa.RecordBatch:
        assert reason is Reason.WORKER_DIED
        return pa.RecordBatch.from_pydict({"session": tasks["session"], "n": [REFUSED] * len(tasks)}, schema=SCHEMA)


def table_in(root: Path, name: str = "demo") -> Table:
    return Table(Storage(str(root), "NOVOIC_STORE"), name, SCHEMA, "session")


def rows(content: dict[str, int]) -> pa.Table:
    return pa.table({"session": list(content), "n": list(content.values())}, schema=SCHEMA)


def content(table: Table) -> dict[str, int]:
    found = table.snapshot().select().to_pylist()
    assert len({row["session"] for row in found}) == len(found)
    return {row["session"]: row["n"] for row in found}


def squares(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Square the number of each task."""
    numbers = np.array(batch["n"].to_pylist(), dtype=np.int64)
    return pa.RecordBatch.from_pydict({"session": batch["session"], "n": numbers**2}, schema=SCHEMA)


def process_ids(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give the id of the process that runs each task."""
    return pa.RecordBatch.from_pydict({"session": batch["session"], "n": [os.getpid()] * len(batch)}, schema=SCHEMA)


def slow_process_ids(batch: pa.RecordBatch) -> pa.RecordBatch:
    """As above, slowly enough that another worker has its turn."""
    time.sleep(0.1)
    return process_ids(batch)


def blas_threads(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give the number of threads that BLAS may use."""
    threads = max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
    return pa.RecordBatch.from_pydict({"session": batch["session"], "n": [threads] * len(batch)}, schema=SCHEMA)


def read_sizes(batch: pa.RecordBatch, storage: Storage) -> pa.RecordBatch:
    """Give the size of the file that each task names, in bytes."""
    sizes = [len(storage.read(path)) for path in batch["session"].to_pylist()]
    return pa.RecordBatch.from_pydict({"session": batch["session"], "n": sizes}, schema=SCHEMA)


def fail(batch: pa.RecordBatch) -> pa.RecordBatch:
    raise NovoicError("the storage does not answer")


def die_of_seven(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Kill the worker process if a task's number is seven, as the kernel does when memory runs out."""
    if 7 in batch["n"].to_pylist():
        os._exit(137)
    return squares(batch)


def die_slowly_of_seven(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Do the same after a delay, while the other workers are busy."""
    time.sleep(0.2)
    return die_of_seven(batch)


def die_once(batch: pa.RecordBatch, folder: Path) -> pa.RecordBatch:
    """Kill the first worker process that calls this."""
    try:
        (folder / "died").touch(exist_ok=False)
    except FileExistsError:
        return squares(batch)
    os._exit(137)
