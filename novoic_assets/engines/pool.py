"""The pool engine: session functions in this process, or in worker processes of this machine.

This module does not import Dagster.
"""

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.synchronize import Event
from typing import Any, Self

import pyarrow as pa

from novoic_assets.engines.contract import SessionFunction, WorkerDiedError, limited, outlive_deaths, slices
from novoic_assets.errors import NovoicError

# A worker process takes about two seconds of its own core to start and import. Compared with two of them, this process
# finishes less work than this sooner.
_INLINE_SECONDS = 5.0
_NO_START = (
    "the worker processes end before they start work; a script that runs the job must do so below"
    ' `if __name__ == "__main__":`, since every worker process imports the script'
)
_SLICES_PER_WORKER = 8  # enough slices to keep all workers busy while one slice takes long


class PoolEngine:
    """Runs session functions on this machine. It is a context manager; its exit stops the worker processes.

    This process does small amounts of work itself. Larger ones start worker processes, which stay for the next `map`,
    so each worker loads its models once.
    """

    def __init__(self, workers: int = 0) -> None:
        """Prepare the engine; `map` starts workers.

        Args:
            workers: Number of worker processes; 0 means one for each core.
        """
        self._workers = workers or _cores()
        self._pool: ProcessPoolExecutor | None = None
        self._started: Event | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def parallelism(self) -> int:
        """Number of tasks that run at once."""
        return self._workers

    def map(
        self, function: SessionFunction, tasks: pa.Table, costs: Sequence[float], left: float = 0.0
    ) -> Iterator[pa.RecordBatch]:
        """Apply a function to tasks; see `SessionEngine.map`."""
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
            self._started = context.Event()
            self._pool = ProcessPoolExecutor(self._workers, context, initializer=_begin, initargs=(self._started,))
        indices: dict[Future[Any], int] = {}
        try:
            for index, piece in enumerate(pieces):
                indices[self._pool.submit(limited, function, piece)] = index
            for future in as_completed(indices):
                yield indices[future], future.result()
        except BrokenProcessPool:
            _unblock(self._pool)
            self._stop()
            if self._started is not None and not self._started.is_set():
                raise NovoicError(_NO_START) from None
            raise WorkerDiedError from None
        except RuntimeError:
            # Python refuses to start processes in one that is still importing its main script.
            if getattr(multiprocessing.current_process(), "_inheriting", False):
                raise NovoicError(_NO_START) from None
            raise
        finally:
            for future in indices:
                future.cancel()

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _unblock(pool: ProcessPoolExecutor) -> None:
    """Let a pool end whose worker died while queued tasks fill the pipe to the workers.

    Before Python 3.11.5 such a pool waits forever (python/cpython#94777). This does what the fix in Python does.
    """
    if sys.version_info < (3, 11, 5):
        queue = pool._call_queue  # type: ignore[attr-defined]  # private in every version
        if queue is not None:
            queue._reader.close()


def _cores() -> int:
    # The cores that this process may use, if the system reports them: a container may have fewer than its machine.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin(started: Event) -> None:
    """Say that a worker process is there, and let it end with its parent."""
    started.set()
    _end_with_parent()


def _end_with_parent() -> None:
    """End this worker when its parent process ends, even if the parent is killed.

    Otherwise the worker finishes its tasks for nobody, and then waits for work forever.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
