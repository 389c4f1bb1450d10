"""Compute a stage's rows in a worker process: rows from tasks, with bad input turned into outcomes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, Generic, TypeVar

import pyarrow as pa
from more_itertools import chunked

from novoic_assets.errors import ModelError, NovoicError, SettingError, StorageError, type_and_place
from novoic_assets.features import catalogue
from novoic_assets.features.family import Batches, Family
from novoic_assets.reasons import OK, Reason, Refused

Task = dict[str, Any]
Row = dict[str, Any]


class SessionWorker(ABC):
    """Compute one row from each task; a session that fails gets a reason and does not stop the others.

    A worker can be pickled. Called with a batch of tasks, it returns a batch with one row for each.
    """

    schema: ClassVar[pa.Schema]

    @property
    def at_once(self) -> int:
        """How many sessions it wants at once."""
        return 1

    @abstractmethod
    def rows(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """Yield the rows of some tasks, with their outcomes.

        Raises:
            NovoicError: A failure that is not the input's fault. It stops the run.
        """

    def __call__(self, tasks: pa.RecordBatch) -> pa.RecordBatch:
        """Return one row for each task."""
        rows = list(self.rows(tasks.to_pylist()))
        try:
            return pa.RecordBatch.from_pylist(rows, schema=self.schema)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            # A value that its column cannot hold costs its own session, not the batch. Only now go row by row,
            # which is slower.
            return pa.RecordBatch.from_pylist([self._storable(row) for row in rows], schema=self.schema)

    def refused(self, tasks: pa.RecordBatch, reason: Reason) -> pa.RecordBatch:
        """Return a row with the reason for each task; an engine calls this for tasks that it could not compute."""
        rows = [{"session": session, "reason": str(reason)} for session in tasks["session"].to_pylist()]
        return pa.RecordBatch.from_pylist(rows, schema=self.schema)

    def _storable(self, row: Row) -> Row:
        try:
            pa.RecordBatch.from_pylist([row], schema=self.schema)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must cost this session only
            return failed(row["session"], error)
        return row


class SingleSessionWorker(SessionWorker):
    """A worker that computes one session at a time."""

    @abstractmethod
    def compute(self, task: Task) -> Row:
        """Return the row of one task, without its outcome.

        Raises:
            Refused: The input is bad.
            NovoicError: A failure that is not the input's fault. It stops the run.
        """

    def rows(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """Yield the rows of some tasks, with their outcomes."""
        for task in tasks:
            columns = attempt(task, self.compute)
            yield columns.row if isinstance(columns, Failed) else done(task, columns)


STOPPING: Final = (StorageError, SettingError, ModelError)
"""Errors that are not one input's fault: they stop the run. The text of any other error may quote the input."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Failed:
    """The row of a session that was refused or failed."""

    row: Row


def attempt(task: Task, compute: Callable[[Task], _Result]) -> _Result | Failed:
    """Compute a result for one session; a refusal or failure becomes the session's row.

    Raises:
        NovoicError: A failure that is not the input's fault. It stops the run.
    """
    try:
        if task.get("refusal"):
            raise Refused(Reason(task["refusal"]))  # noqa: TRY301 - one place turns refusals into rows
        return compute(task)
    except Refused as refused:
        return Failed({"session": task["session"], "reason": str(refused.reason)})
    except STOPPING:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it must cost this session only
        return Failed(failed(task["session"], error))


def failed(session: str, error: BaseException) -> Row:
    """Return the row of a session for which the platform or a family failed."""
    return {"session": session, "reason": str(Reason.INTERNAL_ERROR), "detail": type_and_place(error)}


def done(task: Task, columns: Row) -> Row:
    """Return the row of a computed session."""
    return {**columns, "session": task["session"], "reason": OK}


def check_identity(families: Sequence[Family], identity: str) -> None:
    """Check that a worker has the families that its stage expects.

    Args:
        families: The worker's families.
        identity: The expected `catalogue.identity`; empty accepts any families.

    Raises:
        NovoicError: The families differ, so values would be stored under a wrong version.
    """
    if identity and catalogue.identity(families) != identity:
        raise NovoicError(
            "a worker has other versions of the feature families or of the spaCy model than the run that started it;"
            " install the same packages on every machine"
        )


_Opened = TypeVar("_Opened")
_Family = TypeVar("_Family", bound=Family)
_started: dict[tuple[str, Batches[Any], str], Any] = {}


class FeatureWorker(SessionWorker, Generic[_Family, _Opened]):
    """Compute the families that a task requests: first one session at a time, then the families that want batches.

    Attributes:
        device: The device of families that want batches.
    """

    device: str

    @abstractmethod
    def families(self) -> Sequence[_Family]:
        """Return all families. Each process makes them once, since that takes a fifth of a short session's time.

        Raises:
            NovoicError: This process has other families than the stage expects.
        """

    @abstractmethod
    def open(self, task: Task, families: Sequence[_Family]) -> _Opened:
        """Compute families of one session, and keep what the families that want batches need.

        Raises:
            Refused: The input is bad.
        """

    @abstractmethod
    def batch(self, family: _Family, compute: Any, sessions: Sequence[_Opened]) -> None:  # noqa: ANN401 - see start
        """Compute a family that wants batches for some sessions, and add its values to them."""

    @abstractmethod
    def columns(self, task: Task, session: _Opened) -> Row:
        """Return the columns of a session's row, without its outcome."""

    @property
    def at_once(self) -> int:
        """As many sessions as the largest batch takes."""
        return max((batches.sessions for _, batches in self._batched()), default=1)

    def rows(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """Yield the rows of some tasks; only the sessions of one batch are in memory at once."""
        for group in chunked(tasks, self.at_once):
            yield from self._rows(group)

    def start(self, family: _Family, batches: Batches[Any]) -> Any:  # noqa: ANN401 - the function of a batch, whatever its sessions are
        """Return the function that computes a batch of a family. Each process starts it once.

        Raises:
            NovoicError: It does not start, so no session can have the family.
        """
        key = (family.name, batches, self.device)
        if key not in _started:
            failure = ""
            try:
                _started[key] = batches.start(self.device)
            except STOPPING:
                raise
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a family of a site may raise anything
                failure = type_and_place(error)
            if failure:
                raise NovoicError(
                    f"the family {family.name} does not start on the device {self.device} ({failure}); fix it, change"
                    f" NOVOIC_DEVICE, or switch the family off with NOVOIC_FAMILIES=-{family.name}"
                )
        return _started[key]

    def _batched(self) -> list[tuple[_Family, Batches[Any]]]:
        return [(family, family.batches) for family in self.families() if family.batches is not None]

    def _rows(self, tasks: Sequence[Task]) -> Iterator[Row]:
        families = self.families()

        def opened(task: Task) -> _Opened:
            return self.open(task, [family for family in families if family.name in task["compute"]])

        sessions = [attempt(task, opened) for task in tasks]
        for family, batches in self._batched():
            requesting = [
                index
                for index, session in enumerate(sessions)
                if not isinstance(session, Failed) and family.name in tasks[index]["compute"]
            ]
            for indices in chunked(requesting, batches.sessions):
                self._batch(family, self.start(family, batches), tasks, sessions, indices)
        for task, session in zip(tasks, sessions, strict=True):
            row = session if isinstance(session, Failed) else attempt(task, partial(self.columns, session=session))
            yield row.row if isinstance(row, Failed) else done(task, row)

    def _batch(
        self,
        family: _Family,
        compute: Any,  # noqa: ANN401 - as above
        tasks: Sequence[Task],
        sessions: list[_Opened | Failed],
        indices: Sequence[int],
    ) -> None:
        batch = [session for index in indices if not isinstance(session := sessions[index], Failed)]
        try:
            self.batch(family, compute, batch)
        except STOPPING:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it must cost no more than one session
            if len(indices) == 1:
                sessions[indices[0]] = Failed(failed(tasks[indices[0]]["session"], error))
                return
            for index in indices:  # one by one, to find the session that fails
                self._batch(family, compute, tasks, sessions, [index])
