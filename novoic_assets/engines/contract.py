"""The contract of engines: map a function over sessions, and survive workers that die of some sessions."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import pyarrow as pa
from threadpoolctl import threadpool_limits

from novoic_assets.reasons import Reason


class SessionFunction(Protocol):
    """A function from tasks to rows: one row for each task, in any order.

    It can be pickled. Bad input gives a row with a reason, never an exception.
    """

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows; one of them is `session`."""

    @property
    def at_once(self) -> int:
        """How many tasks one call should get, if there are as many; 1 if any number will do."""

    def __call__(self, tasks: pa.RecordBatch, /) -> pa.RecordBatch:
        """Compute a row for each task."""

    def refused(self, tasks: pa.RecordBatch, reason: Reason) -> pa.RecordBatch:
        """Make a row with a reason for each task that could not be computed."""


class SessionEngine(Protocol):
    """Maps a function over sessions."""

    @property
    def parallelism(self) -> int:
        """Number of tasks that run at once."""

    def map(
        self, function: SessionFunction, tasks: pa.Table, costs: Sequence[float], left: float = 0.0
    ) -> Iterator[pa.RecordBatch]:
        """Apply a function to tasks, slice by slice.

        Args:
            function: The function to apply.
            tasks: One row for each task, with a column `session`.
            costs: Rough cost of each task, in seconds of one core.
            left: Rough cost of all remaining work, in seconds of one core; these tasks may be a part of it. It decides
                whether starting workers pays off.

        Yields:
            The rows of a slice, as soon as the slice is done. A session whose worker dies twice has a row with the
            reason `worker_died`.

        Raises:
            NovoicError: The function raised it.
        """


class WorkerDiedError(Exception):
    """A worker process ended before it finished its work."""


def outlive_deaths(
    run: Callable[[Sequence[pa.RecordBatch]], Iterator[tuple[int, pa.RecordBatch]]],
    pieces: Sequence[pa.RecordBatch],
    function: SessionFunction,
) -> Iterator[pa.RecordBatch]:
    """Run pieces of work, even if workers die of some tasks.

    While other tasks run at the same time, nobody can know which task killed a worker. So this runs the unfinished
    tasks again in halves, until the task that kills its worker is alone. That task is refused; all others are computed.

    Args:
        run: Runs pieces, and yields the index and the rows of each finished piece. It raises `WorkerDiedError`.
        pieces: The work.
        function: The function of the work; it makes the row of a refused task.

    Yields:
        The rows of a piece, as soon as the piece is done.
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
    return [pieces[::2], pieces[1::2]]  # the most expensive pieces come first, so both halves get some


def limited(function: SessionFunction, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Apply a function with one BLAS thread.

    Sessions already run in parallel, so more threads would only compete for the cores. One thread also gives the same
    sums everywhere.
    """
    with threadpool_limits(1):
        return function(batch)


def slices(
    tasks: pa.Table, costs: Sequence[float], count: int, at_once: int = 1, workers: int = 1
) -> list[pa.RecordBatch]:
    """Cut tasks into slices of about equal cost.

    Tasks are assigned from the most to the least expensive, each to the slice with the lowest cost so far
    (longest-processing-time scheduling). So one long recording does not delay a slice full of others.

    Args:
        tasks: The tasks.
        costs: The cost of each task, in any unit.
        count: Largest number of slices.
        at_once: Tasks that a slice should have on average, if that leaves each worker a slice.
        workers: Number of workers.

    Returns:
        The slices, the most expensive first; none is empty.

    >>> tasks = pa.table({"session": ["S1", "S2", "S3"]})
    >>> [slice["session"].to_pylist() for slice in slices(tasks, costs=[1.0, 3.0, 1.0], count=2)]
    [['S2'], ['S1', 'S3']]
    """
    count = min(count, max(workers, tasks.num_rows // at_once))
    count = max(1, min(count, tasks.num_rows))
    members: list[list[int]] = [[] for _ in range(count)]
    totals = [(0.0, number) for number in range(count)]  # a heap: the cheapest slice so far is first
    for index in sorted(range(tasks.num_rows), key=lambda i: -costs[i]):
        total, cheapest = totals[0]
        members[cheapest].append(index)
        heapq.heapreplace(totals, (total + costs[index], cheapest))
    order = [number for _, number in sorted(totals, key=lambda each: (-each[0], each[1]))]
    return [tasks.take(members[i]).combine_chunks().to_batches()[0] for i in order if members[i]]
