"""The engine maps a function over sessions: inline, or in worker processes of this machine.

Nothing here imports Dagster.
"""

import heapq
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, Protocol, Self

import pyarrow as pa
from threadpoolctl import threadpool_limits

from novoic_assets.sessions.reasons import Reason

_INLINE_SECONDS = 15.0  # less work than this is done before worker processes have started and imported
_SLICES_PER_WORKER = 8  # enough that a slice that takes long leaves the others something to do


class SessionFunction(Protocol):
    """Tasks in, one row a task out, in any order. It can be pickled, and raises for no bad input."""

    @property
    def schema(self) -> pa.Schema:
        """The rows' columns; one of them is `session`."""

    def __call__(self, tasks: pa.RecordBatch, /) -> pa.RecordBatch:
        """A row for each task."""

    def refused(self, tasks: pa.RecordBatch, reason: Reason) -> pa.RecordBatch:
        """A row with a reason for each task that could not be computed."""


class SessionEngine(Protocol):
    """What maps a function over sessions."""

    @property
    def parallelism(self) -> int:
        """How many tasks run at once."""

    def map(self, function: SessionFunction, tasks: pa.Table, costs: Sequence[float]) -> Iterator[pa.RecordBatch]:
        """Apply a function to tasks, slice by slice.

        Args:
            function: What to do.
            tasks: One row a task, with a column `session`.
            costs: Rough seconds of one core that each task takes.

        Yields:
            The rows of a slice, as soon as it is done. A session whose worker dies, and dies again when it is
            tried anew, has a row with the reason `worker_died`.

        Raises:
            NovoicError: What the function raised.
        """


class WorkerDiedError(Exception):
    """A worker process ended before its work did."""


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

    def map(self, function: SessionFunction, tasks: pa.Table, costs: Sequence[float]) -> Iterator[pa.RecordBatch]:
        """Apply a function to tasks, as `SessionEngine.map` says."""
        if self._workers == 1 or sum(costs) < _INLINE_SECONDS:
            for piece in slices(tasks, costs, _SLICES_PER_WORKER):
                yield limited(function, piece)
            return

        def run(pieces: Sequence[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
            return self._run(function, pieces)

        yield from outlive_deaths(run, slices(tasks, costs, self._workers * _SLICES_PER_WORKER), function)

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


def outlive_deaths(
    run: Callable[[Sequence[pa.RecordBatch]], Iterator[tuple[int, pa.RecordBatch]]],
    pieces: Sequence[pa.RecordBatch],
    function: SessionFunction,
) -> Iterator[pa.RecordBatch]:
    """Run pieces of work though workers may die of some of them.

    Which task a worker died of cannot be told while others run beside it. So what is left undone is run
    again in halves, until a task that kills its worker stands alone: it is refused, the others are done.

    Args:
        run: Runs pieces, and gives the rows of each with its index. It raises `WorkerDiedError`.
        pieces: The work.
        function: Makes the rows of who is refused.

    Yields:
        The rows of a piece, as soon as it is done.
    """
    waiting = [(list(pieces), 0)]
    while waiting:
        batch, deaths = waiting.pop()
        left = dict(enumerate(batch))
        try:
            for index, rows in run(batch):
                del left[index]
                yield rows
        except WorkerDiedError:
            rest = list(left.values())
            if sum(piece.num_rows for piece in rest) > 1:
                waiting += [(half, deaths + 1) for half in _halves(rest)]
            elif deaths:
                yield function.refused(rest[0], Reason.WORKER_DIED)
            else:
                waiting.append((rest, deaths + 1))


def _halves(pieces: list[pa.RecordBatch]) -> list[list[pa.RecordBatch]]:
    if len(pieces) == 1:
        middle = pieces[0].num_rows // 2
        return [[pieces[0].slice(0, middle)], [pieces[0].slice(middle)]]
    return [pieces[::2], pieces[1::2]]  # both with dear ones, which come first


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


def limited(function: SessionFunction, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Apply a function with one BLAS thread.

    The parallelism is over sessions: threads beneath it only fight for the cores, and one thread gives the
    same sums everywhere.
    """
    with threadpool_limits(1):
        return function(batch)


def slices(tasks: pa.Table, costs: Sequence[float], count: int) -> list[pa.RecordBatch]:
    """Cut tasks into at most `count` slices of about equal cost, the dearest first.

    The dearest task goes to the slice that has cost least so far, and so on, so that one long recording
    does not hold up a slice full of others.
    """
    count = max(1, min(count, tasks.num_rows))
    members: list[list[int]] = [[] for _ in range(count)]
    totals = [(0.0, number) for number in range(count)]  # a heap: the slice that has cost least so far is first
    for index in sorted(range(tasks.num_rows), key=lambda i: -costs[i]):
        total, cheapest = totals[0]
        members[cheapest].append(index)
        heapq.heapreplace(totals, (total + costs[index], cheapest))
    order = [number for _, number in sorted(totals, key=lambda each: (-each[0], each[1]))]
    return [tasks.take(members[i]).combine_chunks().to_batches()[0] for i in order if members[i]]
