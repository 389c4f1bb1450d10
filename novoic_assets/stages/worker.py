"""What runs in a worker: one function applied to each task, with bad input turned into outcomes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import pyarrow as pa

from novoic_assets.errors import NovoicError, type_and_place
from novoic_assets.features.family import Family
from novoic_assets.reasons import OK, Reason, Refused

_Family = TypeVar("_Family", bound=Family)


class SessionWorker(ABC):
    """Computes one row from each task; a session that cannot be computed gets a reason, and stops nobody else.

    A worker can be pickled, and called with a batch of tasks gives a batch of as many rows.
    """

    schema: ClassVar[pa.Schema]

    @abstractmethod
    def compute(self, task: dict[str, Any]) -> dict[str, Any]:
        """The row of one task, without its outcome.

        Raises:
            Refused: The input is bad.
            NovoicError: Something is wrong that is not the input's fault; the run stops.
        """

    def __call__(self, tasks: pa.RecordBatch) -> pa.RecordBatch:
        """One row for each task."""
        rows = [self._row(task) for task in tasks.to_pylist()]
        try:
            return pa.RecordBatch.from_pylist(rows, schema=self.schema)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            # A value that its column cannot hold costs its own session, not the batch; row by row is slower.
            return pa.RecordBatch.from_pylist([self._storable(row) for row in rows], schema=self.schema)

    def refused(self, tasks: pa.RecordBatch, reason: Reason) -> pa.RecordBatch:
        """A row with a reason for each task that could not be computed here."""
        rows = [{"session": session, "reason": str(reason)} for session in tasks["session"].to_pylist()]
        return pa.RecordBatch.from_pylist(rows, schema=self.schema)

    def _row(self, task: dict[str, Any]) -> dict[str, Any]:
        session = task["session"]
        try:
            if task.get("refusal"):
                raise Refused(Reason(task["refusal"]))  # noqa: TRY301 - one place turns refusals into rows
            return {**self.compute(task), "session": session, "reason": OK}
        except Refused as refused:
            return {"session": session, "reason": str(refused.reason)}
        except NovoicError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must cost this session only
            return {"session": session, "reason": str(Reason.INTERNAL_ERROR), "detail": type_and_place(error)}

    def _storable(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            pa.RecordBatch.from_pylist([row], schema=self.schema)
        except Exception as error:  # noqa: BLE001 - as above
            return {"session": row["session"], "reason": str(Reason.INTERNAL_ERROR), "detail": type_and_place(error)}
        return row


def pending(families: Sequence[_Family], task: dict[str, Any]) -> list[_Family]:
    """The families that a task asks for."""
    return [family for family in families if family.name in task["compute"]]
