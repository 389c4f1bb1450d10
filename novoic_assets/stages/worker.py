"""What a stage's function is in a worker: rows from tasks, with bad input turned into outcomes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import pyarrow as pa
from more_itertools import chunked

from novoic_assets.errors import NovoicError, type_and_place
from novoic_assets.features import catalogue
from novoic_assets.features.family import Batches, Family
from novoic_assets.reasons import OK, Reason, Refused

Task = dict[str, Any]
Row = dict[str, Any]


class SessionWorker(ABC):
    """Computes one row from each task; a session that cannot be computed gets a reason, and stops nobody else.

    A worker can be pickled, and called with a batch of tasks gives a batch of as many rows.
    """

    schema: ClassVar[pa.Schema]

    @property
    def at_once(self) -> int:
        """How many sessions it wants at once."""
        return 1

    @abstractmethod
    def rows(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """The rows of some tasks, with their outcomes.

        Raises:
            NovoicError: Something is wrong that is not the input's fault; the run stops.
        """

    def __call__(self, tasks: pa.RecordBatch) -> pa.RecordBatch:
        """One row for each task."""
        rows = list(self.rows(tasks.to_pylist()))
        try:
            return pa.RecordBatch.from_pylist(rows, schema=self.schema)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            # A value that its column cannot hold costs its own session, not the batch; row by row is slower.
            return pa.RecordBatch.from_pylist([self._storable(row) for row in rows], schema=self.schema)

    def refused(self, tasks: pa.RecordBatch, reason: Reason) -> pa.RecordBatch:
        """A row with a reason for each task that could not be computed here."""
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
        """The row of one task, without its outcome.

        Raises:
            Refused: The input is bad.
            NovoicError: Something is wrong that is not the input's fault; the run stops.
        """

    def rows(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """The rows of some tasks, with their outcomes."""
        for task in tasks:
            columns = attempt(task, self.compute)
            yield columns.row if isinstance(columns, Failed) else done(task, columns)


_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Failed:
    """The row of a session of which something could not be computed."""

    row: Row


def attempt(task: Task, compute: Callable[[Task], _Result]) -> _Result | Failed:
    """Compute something of one session; what goes wrong with it becomes its row.

    Raises:
        NovoicError: Something is wrong that is not the input's fault; the run stops.
    """
    try:
        if task.get("refusal"):
            raise Refused(Reason(task["refusal"]))  # noqa: TRY301 - one place turns refusals into rows
        return compute(task)
    except Refused as refused:
        return Failed({"session": task["session"], "reason": str(refused.reason)})
    except NovoicError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it must cost this session only
        return Failed(failed(task["session"], error))


def failed(session: str, error: BaseException) -> Row:
    """The row of a session on which the platform or a family failed."""
    return {"session": session, "reason": str(Reason.INTERNAL_ERROR), "detail": type_and_place(error)}


def done(task: Task, columns: Row) -> Row:
    """The row of a session that was computed."""
    return {**columns, "session": task["session"], "reason": OK}


def check_identity(families: Sequence[Family], identity: str) -> None:
    """See that a worker has the families that its stage counts on; an empty identity is any.

    Raises:
        NovoicError: It has others, so that values would be kept under a version that they are not of.
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
    """Computes the families that a task asks for: one session at a time, then those that want batches.

    Attributes:
        device: Where families that want batches compute.
    """

    device: str

    @abstractmethod
    def families(self) -> Sequence[_Family]:
        """All families. They are made once in each process: that takes a fifth of a short session's time.

        Raises:
            NovoicError: This process has other families than the stage counts on.
        """

    @abstractmethod
    def open(self, task: Task, families: Sequence[_Family]) -> _Opened:
        """Compute families of one session, and keep of it what those need that want batches.

        Raises:
            Refused: The input is bad.
        """

    @abstractmethod
    def batch(self, family: _Family, compute: Any, sessions: Sequence[_Opened]) -> None:  # noqa: ANN401 - see start
        """Compute a family that wants batches, of some sessions, and add its values to them."""

    @abstractmethod
    def columns(self, task: Task, session: _Opened) -> Row:
        """The columns of a session's row, without its outcome."""

    @property
    def at_once(self) -> int:
        """As many sessions as the largest batch takes."""
        return max((batches.sessions for _, batches in self._batched()), default=1)

    def rows(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """The rows of some tasks; only the sessions of one batch are held in memory at once."""
        for group in chunked(tasks, self.at_once):
            yield from self._rows(group)

    def start(self, family: _Family, batches: Batches[Any]) -> Any:  # noqa: ANN401 - the function of a batch, whatever its sessions are
        """What computes a batch of a family; it is started once in each process.

        Raises:
            NovoicError: It does not start, so that no session can have the family.
        """
        key = (family.name, batches, self.device)
        if key not in _started:
            failure = ""
            try:
                _started[key] = batches.start(self.device)
            except NovoicError:
                raise
            except Exception as error:  # noqa: BLE001 - a family of a site may raise anything
                failure = type_and_place(error)
            if failure:
                raise NovoicError(
                    f"the family {family.name} does not start on the device {self.device} ({failure}); mend it, set"
                    f" NOVOIC_DEVICE, or switch the family off with NOVOIC_FAMILIES=-{family.name}"
                )
        return _started[key]

    def _batched(self) -> list[tuple[_Family, Batches[Any]]]:
        return [(family, family.batches) for family in self.families() if family.batches is not None]

    def _rows(self, tasks: Sequence[Task]) -> Iterator[Row]:
        def opened(task: Task) -> _Opened:
            return self.open(task, [family for family in self.families() if family.name in task["compute"]])

        sessions = [attempt(task, opened) for task in tasks]
        for family, batches in self._batched():
            asking = [
                index
                for index, session in enumerate(sessions)
                if not isinstance(session, Failed) and family.name in tasks[index]["compute"]
            ]
            for indices in chunked(asking, batches.sessions):
                self._batch(family, self.start(family, batches), tasks, sessions, indices)
        for task, session in zip(tasks, sessions, strict=True):
            yield session.row if isinstance(session, Failed) else done(task, self.columns(task, session))

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
        except NovoicError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must cost no more than one session
            if len(indices) == 1:
                sessions[indices[0]] = Failed(failed(tasks[indices[0]]["session"], error))
                return
            for index in indices:  # one by one, since which session it was cannot be told from outside
                self._batch(family, compute, tasks, sessions, [index])
