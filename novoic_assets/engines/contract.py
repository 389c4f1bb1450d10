"""What an engine is: it maps a function over sessions, and outlives workers that die of some of them."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import pyarrow as pa
from threadpoolctl import threadpool_limits

from novoic_assets.reasons import Reason


class SessionFunction(Protocol):
    """Tasks in, one row a task out, in any order. It can be pickled, and raises for no bad input."""

    @property
    def schema(self) -> pa.Schema:
        """The rows' columns; one of them is `session`."""

    @property
    def at_once(self) -> int:
        """How many tasks it wants in one call, where there are as many; 1 where it does not matter."""

    def __call__(self, tasks: pa.RecordBatch, /) -> pa.RecordBatch:
        """A row for each task."""

    def refused(self, tasks: pa.RecordBatch, reason: Reason) -> pa.RecordBatch:
        """A row with a reason for each task that could not be computed."""


class SessionEngine(Protocol):
    """What maps a function over sessions."""

    @property
    def parallelism(self) -> int:
        """How many tasks run at once."""

    def map(
        self, function: SessionFunction, tasks: pa.Table, costs: Sequence[float], left: float = 0.0
    ) -> Iterator[pa.RecordBatch]:
        """Apply a function to tasks, slice by slice.

        Args:
            function: What to do.
            tasks: One row a task, with a column `session`.
            costs: Rough seconds of one core that each task takes.
            left: Those of all work that is left, of which these tasks may be a part: whether workers are worth
                starting follows from it.

        Yields:
            The rows of a slice, as soon as it is done. A session whose worker dies, and dies again when it is
            tried anew, has a row with the reason `worker_died`.

        Raises:
            NovoicError: What the function raised.
        """


class WorkerDiedError(Exception):
    """A worker process ended before its work did."""


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


def limited(function: SessionFunction, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Apply a function with one BLAS thread.

    The parallelism is over sessions: threads beneath it only fight for the cores, and one thread gives the
    same sums everywhere.
    """
    with threadpool_limits(1):
        return function(batch)


def slices(
    tasks: pa.Table, costs: Sequence[float], count: int, at_once: int = 1, workers: int = 1
) -> list[pa.RecordBatch]:
    """Cut tasks into slices of about equal cost, the dearest first.

    The dearest task goes to the slice that has cost least so far, and so on, so that one long recording
    does not hold up a slice full of others.

    Args:
        tasks: The tasks.
        costs: Rough seconds of one core that each takes.
        count: Most slices.
        at_once: Least tasks of a slice, on average; there may be fewer where else a worker would have no slice.
        workers: Number of workers that the slices are for.

    Returns:
        The slices; none is empty.
    """
    count = min(count, max(workers, tasks.num_rows // at_once))
    count = max(1, min(count, tasks.num_rows))
    members: list[list[int]] = [[] for _ in range(count)]
    totals = [(0.0, number) for number in range(count)]  # a heap: the slice that has cost least so far is first
    for index in sorted(range(tasks.num_rows), key=lambda i: -costs[i]):
        total, cheapest = totals[0]
        members[cheapest].append(index)
        heapq.heapreplace(totals, (total + costs[index], cheapest))
    order = [number for _, number in sorted(totals, key=lambda each: (-each[0], each[1]))]
    return [tasks.take(members[i]).combine_chunks().to_batches()[0] for i in order if members[i]]
