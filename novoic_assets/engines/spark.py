"""The Spark engine: session functions on the executors of a Spark cluster, or of a local Spark.

Spark carries only opaque values. A slice of tasks travels as one binary value, an Arrow stream, and its rows come back
as another. So a slice is always one Spark task. Arrow types that Spark lacks or would change arrive as they were sent.
No plan, job description, event log or exception of Spark can quote a column of a session.

This module does not import Dagster.
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

_SLICES_PER_CORE: Final = 8  # enough slices to keep all cores busy while one slice takes long
_MAX_JOBS: Final = 64  # at once; each needs a thread in the driver
_FIRST_EXECUTOR: Final = 300.0  # s to wait for an executor; a cluster may have to start a machine for it
_YOUNG: Final = 20.0  # s; all executors of an older session have arrived
_MORE_EXECUTORS: Final = 2.0  # s without a new executor after which waiting ends
_POLL: Final = 0.1  # s

_TASKS: Final = pa.schema([pa.field("slice", pa.int32(), nullable=False), pa.field("tasks", pa.binary())])
_ANSWERS: Final = "slice int, rows binary, error string"
_ANSWER_TYPES: Final = pa.schema(
    [pa.field("slice", pa.int32()), pa.field("rows", pa.binary()), pa.field("error", pa.string())]
)

# What Spark reports if a Python worker, or a whole executor, ends before its task.
_DEATHS: Final = ("Python worker exited unexpectedly", "ExecutorLostFailure")

_SETTINGS: Final[Mapping[str, str]] = {
    # Each batch of the table of tasks becomes a partition, so one row per batch gives one slice per partition.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1",
    # Otherwise a small table becomes part of the query plan, and is split by the number of cores.
    "spark.sql.execution.arrow.localRelationThreshold": "0",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
}


class SparkEngine:
    """Runs session functions on Spark, following the contract of `SessionEngine`.

    Each Spark job computes one or a few slices, and all jobs run at once. So rows arrive as soon as their job is done,
    and a worker that dies fails only its own job.
    """

    def __init__(self, session: "SparkSession | Callable[[], SparkSession]") -> None:
        """Prepare the engine; `map` and `parallelism` start Spark.

        Args:
            session: A Spark session, or a function that returns one when needed. The engine never stops it.
        """
        self._source = session
        self._started: SparkSession | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Keep the session running; whoever made it stops it."""

    @property
    def parallelism(self) -> int:
        """Number of tasks that run at once: the cores of the executors that have arrived.

        Raises:
            NovoicError: Spark does not start, or no executor arrives.
        """
        session = self._session
        return _scrubbed(lambda: _cores(session))

    def map(
        self,
        function: SessionFunction,
        tasks: pa.Table,
        costs: Sequence[float],
        left: float = 0.0,  # noqa: ARG002 - Spark's executors run already, however little is left
    ) -> Iterator[pa.RecordBatch]:
        """Apply a function to tasks; see `SessionEngine.map`."""
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
    """Make a session on the same executors with its own settings."""
    own = session.newSession()
    for name, value in _SETTINGS.items():
        own.conf.set(name, value)
    return own


def _cores(session: "SparkSession") -> int:
    """Count the cores of the executors; on a cluster they arrive some seconds after the session."""
    context = session.sparkContext
    master = context.master or ""
    is_local = master == "local" or master.startswith("local[")
    if is_local or context.getConf().get("spark.dynamicAllocation.enabled") == "true":
        return context.defaultParallelism  # with dynamic allocation executors start when there is work
    began = changed = time.monotonic()
    known = 0
    while known == 0 or (_age(session) < _YOUNG and time.monotonic() - changed < _MORE_EXECUTORS):
        count = _executors(session)
        if count > known:
            known, changed = count, time.monotonic()
            continue
        if known == 0 and time.monotonic() - began > _FIRST_EXECUTOR:
            # A cluster that is full, or cannot start executors, keeps a job waiting forever. Only its log says so.
            raise NovoicError(
                f"Spark gave no executor in {_FIRST_EXECUTOR:.0f} s; check that the cluster that NOVOIC_SPARK_MASTER "
                "names has free cores and memory, and can start an executor"
            )
        time.sleep(_POLL)
    return context.defaultParallelism


def _age(session: "SparkSession") -> float:
    return time.time() - session.sparkContext.startTime / 1000


def _executors(session: "SparkSession") -> int:
    context: Any = session.sparkContext
    return int(context._jsc.sc().getExecutorMemoryStatus().size()) - 1  # the driver counts as one


def _run(
    session: "SparkSession", function: SessionFunction, pieces: Sequence[pa.RecordBatch]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Run pieces in jobs, and yield their rows as the jobs end.

    Raises:
        WorkerDiedError: A worker died of some pieces; raised after the other jobs are done.
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
    """Cancel the jobs of a group whose rows nobody needs any more."""
    for future in futures:
        future.cancel()
    # Repeat this: a job may still have been on its way to Spark when the others were cancelled.
    while wait(futures, timeout=0).not_done:
        with suppress(Exception):  # Spark itself may have ended
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
    """Compute the rows of a slice in a worker, or an error message.

    Raise nothing: Spark would quote an exception in its logs and its event log, and retry the job.
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
    """Call Spark, and replace its exceptions, which quote rows and paths.

    Raise the replacement outside the handler, so that it has no context.
    """
    try:
        return call()
    except NovoicError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever Spark raises, its text must not leave
        failure = _failure(error)
    raise failure


def _failure(error: Exception) -> Exception:
    """Choose the error for an exception of Spark; its text is read but not passed on."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the text comes from the JVM, which may be gone
        text = ""
    if any(sign in text for sign in _DEATHS):
        return WorkerDiedError()
    condition = None
    with suppress(Exception):  # as above
        condition = error.getCondition()  # type: ignore[attr-defined]  # exceptions of Spark have it
    name = f"{type(error).__name__} {condition}" if condition else type(error).__name__
    return NovoicError(
        f"Spark failed ({name}); check that its executors run, and have the same Python and packages as this machine"
    )
