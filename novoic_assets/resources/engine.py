"""The engine maps a function over sessions: inline, or in worker processes of this machine.

Nothing here imports Dagster.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait

import pyarrow as pa
from threadpoolctl import threadpool_limits

from novoic_assets.errors import NovoicError

SessionFunction = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Tasks in, one row a task out, in any order. It can be pickled, and raises for no bad input."""

_INLINE_SECONDS = 15.0  # less work than this is done before worker processes have started and imported
_SLICES_PER_WORKER = 8  # enough that a slice that takes long leaves the others something to do


@dataclass(frozen=True)
class PoolEngine:
    """Runs a session function on this machine.

    Attributes:
        workers: Number of worker processes; 0 is one for each core.
    """

    workers: int = 0

    @property
    def parallelism(self) -> int:
        """How many tasks run at once."""
        return self.workers or _cores()

    def map(self, function: SessionFunction, tasks: pa.Table, costs: Sequence[float]) -> Iterator[pa.RecordBatch]:
        """Apply a function to tasks, slice by slice.

        Args:
            function: What to do.
            tasks: One row a task.
            costs: Rough seconds of one core that each task takes.

        Yields:
            The results of a slice, as soon as it is done.

        Raises:
            NovoicError: A worker process died.
        """
        if self.parallelism == 1 or sum(costs) < _INLINE_SECONDS:
            for piece in _slices(tasks, costs, _SLICES_PER_WORKER):
                yield _run(function, piece)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.parallelism, mp_context=context, initializer=_end_with_parent) as pool:
            pieces = _slices(tasks, costs, self.parallelism * _SLICES_PER_WORKER)
            try:
                futures = [pool.submit(_run, function, piece) for piece in pieces]
                for future in as_completed(futures):
                    yield future.result()
            except BrokenProcessPool:
                raise NovoicError(
                    "a worker process died, most likely for want of memory; what was done is kept."
                    " Run again, with fewer workers (NOVOIC_WORKERS) if it happens again"
                ) from None
            finally:
                pool.shutdown(cancel_futures=True)


def _cores() -> int:
    # The cores this process may use, where the system tells; a container may have fewer than its machine.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_with_parent() -> None:
    """Let this worker end when the process that started it does, even if that is killed.

    Nobody would tell it otherwise: it would compute on for nobody, and then wait for work for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(function: SessionFunction, batch: pa.RecordBatch) -> pa.RecordBatch:
    # The parallelism is over sessions: threads of BLAS beneath it only fight for the cores, and one thread
    # gives the same sums everywhere.
    with threadpool_limits(1):
        return function(batch)


def _slices(tasks: pa.Table, costs: Sequence[float], count: int) -> list[pa.RecordBatch]:
    """Cut tasks into at most `count` slices of about equal cost, the dearest first.

    The dearest task goes to the slice that has cost least so far, and so on, so that one long recording
    does not hold up a slice full of others.
    """
    count = max(1, min(count, tasks.num_rows))
    members: list[list[int]] = [[] for _ in range(count)]
    totals = [0.0] * count
    for index in sorted(range(tasks.num_rows), key=lambda i: -costs[i]):
        cheapest = min(range(count), key=totals.__getitem__)
        members[cheapest].append(index)
        totals[cheapest] += costs[index]
    order = sorted(range(count), key=lambda i: -totals[i])
    return [tasks.take(members[i]).combine_chunks().to_batches()[0] for i in order if members[i]]
