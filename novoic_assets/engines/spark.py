"""The Spark engine: session functions on the executors of a Spark cluster, or of a local Spark.

What Spark carries is opaque to it. A slice of tasks travels as one binary value, an Arrow stream, and its
rows come back as another. So a slice is always one Spark task; Arrow types that Spark does not know or would
change arrive as they were sent; and no plan, job description, event log or exception of Spark can quote a
column of a session.

Nothing here imports Dagster.
"""

import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import pyarrow as pa

from novoic_assets.engines.contract import SessionFunction, WorkerDiedError, limited, outlive_deaths, slices
from novoic_assets.errors import NovoicError, type_and_place

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_T = TypeVar("_T")

_SLICES_PER_CORE: Final = 8  # enough that a slice that takes long leaves the others something to do
_MAX_JOBS: Final = 64  # at once: each has a thread of the driver
_FIRST_EXECUTOR: Final = 300.0  # s; a cluster may have to start a machine for it
_YOUNG: Final = 20.0  # s; the executors of an older session are there
_MORE_EXECUTORS: Final = 2.0  # s without a new executor, after which no more are waited for
_POLL: Final = 0.1  # s

_TASKS: Final = pa.schema([pa.field("slice", pa.int32(), nullable=False), pa.field("tasks", pa.binary())])
_ANSWERS: Final = "slice int, rows binary, error string"
_ANSWER_TYPES: Final = pa.schema(
    [pa.field("slice", pa.int32()), pa.field("rows", pa.binary()), pa.field("error", pa.string())]
)

# How Spark says that a Python worker ended before its task did, or that a whole executor did.
_DEATHS: Final = ("Python worker exited unexpectedly", "ExecutorLostFailure")

_SETTINGS: Final[Mapping[str, str]] = {
    # Each batch of a table of tasks is a partition: one row a batch is one slice a partition.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1",
    # A small table would become part of the query's plan, and be cut by the number of cores instead.
    "spark.sql.execution.arrow.localRelationThreshold": "0",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
}


class SparkEngine:
    """Runs session functions on Spark, with the contract of `SessionEngine`.

    Each slice, or few of them, is a Spark job of its own, and all are under way at once. So rows are there
    as soon as their slice is done, and a worker that dies costs its own slice and not the others.
    """

    def __init__(self, session: "SparkSession | Callable[[], SparkSession]") -> None:
        """Start nothing yet.

        Args:
            session: A Spark session, or what gives one when there is work. The engine does not stop it.
        """
        self._source = session
        self._started: SparkSession | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the session to who made it."""

    @property
    def parallelism(self) -> int:
        """How many tasks run at once: the cores of the executors that are there.

        Raises:
            NovoicError: Spark does not start, or no executor comes.
        """
        session = self._session
        return _scrubbed(lambda: _cores(session))

    def map(
        self,
        function: SessionFunction,
        tasks: pa.Table,
        costs: Sequence[float],
        left: float = 0.0,  # noqa: ARG002 - Spark's executors are there, however little is left
    ) -> Iterator[pa.RecordBatch]:
        """Apply a function to tasks, as `SessionEngine.map` says."""
        if tasks.num_rows == 0:
            return
        cores = self.parallelism
        pieces = slices(tasks, costs, cores * _SLICES_PER_CORE, function.at_once, cores)
        session = self._session

        def run(pieces: Sequence[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
            return _run(session, function, pieces)

        yield from outlive_deaths(run, pieces, function)

    @property
    def _session(self) -> "SparkSession":
        if self._started is None:
            source = self._source
            session = source() if callable(source) else source
            self._started = _scrubbed(lambda: _own_session(session))
        return self._started


def _own_session(session: "SparkSession") -> "SparkSession":
    """A session on the same executors, whose settings are nobody else's."""
    own = session.newSession()
    for name, value in _SETTINGS.items():
        own.conf.set(name, value)
    return own


def _cores(session: "SparkSession") -> int:
    """The cores of the executors, which on a cluster come some seconds after the session."""
    context = session.sparkContext
    master = context.master or ""
    is_local = master == "local" or master.startswith("local[")
    if is_local or context.getConf().get("spark.dynamicAllocation.enabled") == "true":
        return context.defaultParallelism  # with dynamic allocation executors come when there is work
    began = changed = time.monotonic()
    known = 0
    while known == 0 or (_age(session) < _YOUNG and time.monotonic() - changed < _MORE_EXECUTORS):
        count = _executors(session)
        if count > known:
            known, changed = count, time.monotonic()
            continue
        if known == 0 and time.monotonic() - began > _FIRST_EXECUTOR:
            # A cluster that is full, or can start no executor, keeps a job waiting for ever and tells only its log.
            raise NovoicError(
                f"Spark gave no executor in {_FIRST_EXECUTOR:.0f} s; see whether the cluster that NOVOIC_SPARK_MASTER "
                "names has free cores and memory, and can start an executor"
            )
        time.sleep(_POLL)
    return context.defaultParallelism


def _age(session: "SparkSession") -> float:
    return time.time() - session.sparkContext.startTime / 1000


def _executors(session: "SparkSession") -> int:
    context: Any = session.sparkContext
    return int(context._jsc.sc().getExecutorMemoryStatus().size()) - 1  # one of them is the driver


def _run(
    session: "SparkSession", function: SessionFunction, pieces: Sequence[pa.RecordBatch]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Run pieces in jobs, and give their rows as the jobs end.

    Raises:
        WorkerDiedError: A worker died of some pieces, once the others are done.
        NovoicError: The function or Spark failed.
    """
    group = f"novoic_assets {uuid.uuid4()}"
    numbered = list(enumerate(pieces))
    per_job = math.ceil(len(numbered) / _MAX_JOBS)
    died = False
    futures: list[Future[list[tuple[int, pa.RecordBatch]]]] = []
    with ThreadPoolExecutor(_MAX_JOBS, thread_name_prefix="spark-job") as threads:
        try:
            for start in range(0, len(numbered), per_job):
                part = numbered[start : start + per_job]
                futures.append(threads.submit(_run_job, session, function, part, group))
            for future in as_completed(futures):
                try:
                    answers = future.result()
                except WorkerDiedError:
                    died = True
                    continue
                yield from answers
        finally:
            _cancel(session, group, futures)
    if died:
        raise WorkerDiedError


def _cancel(session: "SparkSession", group: str, futures: Sequence[Future[Any]]) -> None:
    """End the jobs of a group that nobody will read any more."""
    for future in futures:
        future.cancel()
    # Again and again, for a job that was just being sent when the others were ended.
    while wait(futures, timeout=0).not_done:
        with suppress(Exception):  # Spark itself may be what ended
            session.sparkContext.cancelJobGroup(group)
        wait(futures, timeout=1.0)


def _run_job(
    session: "SparkSession", function: SessionFunction, pieces: Sequence[tuple[int, pa.RecordBatch]], group: str
) -> list[tuple[int, pa.RecordBatch]]:
    answers = _scrubbed(lambda: _answers(session, function, pieces, group))
    for message in answers["error"].drop_null().to_pylist():
        raise NovoicError(message)
    return list(zip(answers["slice"].to_pylist(), map(_unpack, answers["rows"].to_pylist()), strict=True))


def _answers(
    session: "SparkSession", function: SessionFunction, pieces: Sequence[tuple[int, pa.RecordBatch]], group: str
) -> pa.Table:
    session.sparkContext.setJobGroup(group, "novoic_assets")
    tasks = pa.table([[index for index, _ in pieces], [_pack(piece) for _, piece in pieces]], schema=_TASKS)

    def answer(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            outcomes = [_outcome(function, packed) for packed in batch["tasks"].to_pylist()]
            columns = [
                batch["slice"],
                pa.array([rows for rows, _ in outcomes], pa.binary()),
                pa.array([error for _, error in outcomes], pa.string()),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=_ANSWER_TYPES)

    return session.createDataFrame(tasks).mapInArrow(answer, _ANSWERS).toArrow()


def _outcome(function: SessionFunction, packed: bytes) -> tuple[bytes | None, str | None]:
    """In a worker: the rows of a slice, or why there are none.

    An exception would be quoted in the logs and the event log of Spark, and the job tried again.
    """
    try:
        return _pack(limited(function, _unpack(packed))), None
    except NovoicError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001 - as above
        return None, f"a Spark worker failed with {type_and_place(error)}; please report it"


def _pack(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _unpack(packed: bytes) -> pa.RecordBatch:
    with pa.ipc.open_stream(packed) as stream:
        return stream.read_next_batch()


def _scrubbed(call: Callable[[], _T]) -> _T:
    """Call Spark. Its exceptions quote rows and paths, so none of them leaves, nor is the context of one that does."""
    try:
        return call()
    except NovoicError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its text stays here
        failure = _failure(error)
    raise failure


def _failure(error: Exception) -> Exception:
    """What to raise for an exception of Spark; its text is looked at, and not passed on."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the text comes from the JVM, which may be gone
        text = ""
    if any(sign in text for sign in _DEATHS):
        return WorkerDiedError()
    condition = None
    with suppress(Exception):  # as above
        condition = error.getCondition()  # type: ignore[attr-defined]  # the exceptions of Spark have it
    name = f"{type(error).__name__} {condition}" if condition else type(error).__name__
    return NovoicError(
        f"Spark failed ({name}); see whether its executors run, and have the Python and the packages of this machine"
    )
