"""The engine maps a function over sessions: inline, or in worker processes of this machine.

Nothing here imports Dagster.
"""

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, Self

import pyarrow as pa

from novoic_assets.engines.contract import SessionFunction, WorkerDiedError, limited, outlive_deaths, slices

# Worker processes take some two seconds to start and import, each on a core of its own: with two of them, less work
# than this is done sooner in this process.
_INLINE_SECONDS = 5.0
_SLICES_PER_WORKER = 8  # enough that a slice that takes long leaves the others something to do


class PoolEngine:
    """Runs session functions on this machine; a context whose end stops the worker processes.

    Little work is done in this process. More starts worker processes, which stay for the next map, so that
    each loads its models once.
    """

    def __init__(self, workers: int = 0) -> None:
        """Start nothing yet.

        Args:
            workers: Number of worker processes; 0 is one for each core.
        """
        self._workers = workers or _cores()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def parallelism(self) -> int:
        """How many tasks run at once."""
        return self._workers

    def map(
        self, function: SessionFunction, tasks: pa.Table, costs: Sequence[float], left: float = 0.0
    ) -> Iterator[pa.RecordBatch]:
        """Apply a function to tasks, as `SessionEngine.map` says."""
        if self._workers == 1 or (self._pool is None and max(left, sum(costs)) < _INLINE_SECONDS):
            for piece in slices(tasks, costs, _SLICES_PER_WORKER, function.at_once):
                yield limited(function, piece)
            return

        def run(pieces: Sequence[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
            return self._run(function, pieces)

        pieces = slices(tasks, costs, self._workers * _SLICES_PER_WORKER, function.at_once, self._workers)
        yield from outlive_deaths(run, pieces, function)

    def _run(self, function: SessionFunction, pieces: Sequence[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_end_with_parent)
        indices: dict[Future[Any], int] = {}
        try:
            for index, piece in enumerate(pieces):
                indices[self._pool.submit(limited, function, piece)] = index
            for future in as_completed(indices):
                yield indices[future], future.result()
        except BrokenProcessPool:
            _unblock(self._pool)
            self._stop()
            raise WorkerDiedError from None
        finally:
            for future in indices:
                future.cancel()

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _unblock(pool: ProcessPoolExecutor) -> None:
    """Let a pool whose worker died end, though tasks that fill a pipe wait for a worker to read them.

    Before Python 3.11.5 it waited for ever (python/cpython#94777); this is how that was mended.
    """
    if sys.version_info < (3, 11, 5):
        queue = pool._call_queue  # type: ignore[attr-defined]  # public in no version
        if queue is not None:
            queue._reader.close()


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
