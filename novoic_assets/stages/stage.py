"""Run an incremental stage: plan, compute in chunks, commit each chunk, until nothing is left.

Two runs may work on one store at once. Whatever the order of their commits, the tables end up matching the
newest upstream tables, because

- a commit that conflicts with another is derived again from the tables as they are then (`_commit`),
- a row is written only if it was computed from what the newest upstream tables require, and removed only
  if they do not require it,
- a stage ends only when its upstream tables have not changed since it last read them.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from more_itertools import constrained_batches

from novoic_assets.engines.contract import SessionEngine, SessionFunction
from novoic_assets.errors import NovoicError
from novoic_assets.features.values import merge_rows
from novoic_assets.fingerprints import fingerprint
from novoic_assets.progress import Pace
from novoic_assets.reasons import OK, first_code
from novoic_assets.stages.incremental import Plan, Present, Wanted, plan
from novoic_assets.storage.tables import CommitConflictError, Snapshot, Table

_CHUNK_SESSIONS: Final = 250  # sessions of a chunk for each core
_CHUNK_SECONDS: Final = 60.0  # seconds of work of a chunk for each core
_CHUNK_BYTES: Final = 256 * 2**20  # of a chunk's tasks and rows, for any number of cores: this process holds them
_ROW_BYTES: Final = 20_000  # of a row's values
_MAX_ROUNDS: Final = 20


@dataclass(frozen=True)
class Upstream:
    """What a stage reads, at one moment.

    Attributes:
        versions: Version of each upstream table.
        wanted: What each row of the stage's table should be computed from.
        tasks: Makes the tasks of some sessions: a column `session` and the columns that the function needs.
    """

    versions: Mapping[str, int]
    wanted: Mapping[str, Wanted]
    tasks: Callable[[Sequence[str]], pa.Table]


class Stage(ABC):
    """An incremental stage: where its rows go, what they are computed from, and how."""

    name: str
    table: Table

    @abstractmethod
    def versions(self) -> Mapping[str, int]:
        """Return the current versions of the upstream tables."""

    @abstractmethod
    def upstream(self) -> Upstream:
        """Return what the stage reads, as it is now."""

    @abstractmethod
    def cost(self, wanted: Wanted, families: Sequence[str]) -> float:
        """Estimate the seconds of one core that computing a row takes.

        Args:
            wanted: What the row should be computed from.
            families: The families to compute.
        """

    @abstractmethod
    def function(self) -> SessionFunction:
        """Return the function that computes rows from tasks. Tasks have a column `compute`: the families to compute."""


@dataclass
class StageReport:
    """What a stage did.

    Attributes:
        versions: Version of each table that it read, and of the table that it wrote.
        reasons: Number of rows by outcome.
        data_version: Hash of what all rows were computed from, and of their outcomes.
        new: Number of sessions computed for the first time.
        changed: Number of sessions computed again.
        removed: Number of rows removed.
        unchanged: Number of rows left unchanged.
        seconds: Seconds that computing took.
        seconds_of_audio: Total length of the decoded recordings, in seconds.
        details: Number of internal errors by exception type and place.
    """

    versions: dict[str, int]
    reasons: dict[str, int]
    data_version: str
    new: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    seconds: float = 0.0
    seconds_of_audio: float = 0.0
    details: dict[str, int] = field(default_factory=dict)

    @property
    def quarantined(self) -> int:
        """Number of refused rows."""
        return sum(count for reason, count in self.reasons.items() if reason != OK)


def run_stage(stage: Stage, engine: SessionEngine, log: Callable[[str], None]) -> StageReport:
    """Bring a stage's table up to date.

    Args:
        stage: The stage.
        engine: The engine that computes.
        log: Receives progress lines.

    Returns:
        What the stage did.

    Raises:
        NovoicError: The storage or a worker failed, or the inputs kept changing. Rows committed so far stay.
    """
    new = changed = removed = 0
    seconds = seconds_of_audio = 0.0
    for _ in range(_MAX_ROUNDS):
        upstream = stage.upstream()
        todo = plan(upstream.wanted, _present(stage.table.snapshot()))
        new += len(todo.new)
        changed += len(todo.changed)
        removed += len(todo.removed)
        costs = {key: stage.cost(upstream.wanted[key], todo.families[key]) for key in todo.pending}
        pace = Pace(stage.name, len(todo.pending), sum(costs.values()), log)
        if todo.pending and todo.unchanged:
            log(f"{todo.unchanged:,} sessions are already done, {len(todo.pending):,} are left to do")
        # Without work, do not read the engine's parallelism: Spark would start for that.
        for chunk in _chunks(costs, upstream.wanted, engine.parallelism) if todo.pending else ():
            _commit(stage, upstream, todo, _compute(stage, engine, upstream, todo, chunk, costs, pace), chunk)
        if todo.removed:
            _commit(stage, upstream, todo, stage.table.schema.empty_table(), todo.removed)
        seconds += pace.elapsed
        seconds_of_audio += pace.seconds_of_audio
        if stage.versions() == upstream.versions:
            break
    else:
        raise NovoicError(f"the inputs of {stage.name} kept changing while it ran; run again when they are stable")
    if new + changed + removed:
        stage.table.snapshot().tidy()
    report = _report(stage, upstream)
    report.new, report.changed, report.removed, report.unchanged = new, changed, removed, todo.unchanged
    report.seconds, report.seconds_of_audio = seconds, seconds_of_audio
    return report


def _compute(
    stage: Stage,
    engine: SessionEngine,
    upstream: Upstream,
    todo: Plan,
    chunk: Sequence[str],
    costs: Mapping[str, float],
    pace: Pace,
) -> pa.Table:
    tasks = upstream.tasks(chunk)
    order = tasks["session"].to_pylist()
    compute = pa.array([list(todo.families[session]) for session in order], pa.list_(pa.string()))
    left = pace.cost_left
    batches = []
    for batch in engine.map(
        stage.function(), tasks.append_column("compute", compute), [costs[session] for session in order], left
    ):
        batches.append(batch)
        cost = sum(costs[session] for session in batch["session"].to_pylist())
        audio = pc.sum(batch["seconds"]).as_py() if "seconds" in batch.schema.names else None
        pace.advance(batch.num_rows, cost, audio or 0.0)
    return pa.Table.from_batches(batches)


def _commit(stage: Stage, upstream: Upstream, todo: Plan, rows: pa.Table, keys: Sequence[str]) -> None:
    """Replace the table's rows by a chunk's rows, or drop rows whose inputs are gone."""
    while True:
        newest = upstream if stage.versions() == upstream.versions else stage.upstream()
        snapshot = stage.table.snapshot()
        fresh = _still_wanted(rows, upstream.wanted, newest.wanted)
        if "families" in stage.table.schema.names:
            fresh = _with_families(fresh, upstream.wanted, todo.families, snapshot)
        written = set(fresh["session"].to_pylist())
        replaced = [key for key in keys if key in written or key not in newest.wanted]
        if not replaced:
            return
        try:
            snapshot.replace(fresh, replaced)
        except CommitConflictError:
            continue
        return


def _still_wanted(rows: pa.Table, used: Mapping[str, Wanted], newest: Mapping[str, Wanted]) -> pa.Table:
    sessions = rows["session"].to_pylist()
    keep = [session in newest and newest[session].fingerprint == used[session].fingerprint for session in sessions]
    rows = rows.filter(pa.array(keep, pa.bool_()))
    marks = [used[session].fingerprint for session in rows["session"].to_pylist()]
    return _set_column(rows, "fingerprint", pa.array(marks, pa.string()))


def _with_families(
    rows: pa.Table, used: Mapping[str, Wanted], computed: Mapping[str, Sequence[str]], snapshot: Snapshot
) -> pa.Table:
    """Record what each row's families were computed from, and keep families that the table already has."""
    sessions = rows["session"].to_pylist()
    is_ok = pc.equal(rows["reason"], OK).to_pylist()
    # Most sessions have every family computed, so the table has nothing to keep for them.
    partly = [
        session
        for session, ok in zip(sessions, is_ok, strict=True)
        if ok and len(computed[session]) < len(used[session].families)
    ]
    present = (
        {
            row["session"]: row
            for row in snapshot.select(["session", "fingerprint", "families", "values"], partly).to_pylist()
            if row["fingerprint"] == used[row["session"]].fingerprint
        }
        if partly
        else {}
    )
    families = []
    for session, ok in zip(sessions, is_ok, strict=True):
        old = present[session]["families"] if session in present else []
        marks = {mark["family"]: mark["fingerprint"] for mark in old}
        marks.update({name: used[session].families[name] for name in computed[session]})
        families.append([{"family": name, "fingerprint": mark} for name, mark in sorted(marks.items())] if ok else [])
    rows = _set_column(rows, "families", pa.array(families, snapshot.schema.field("families").type))
    values = rows["values"]
    if present:
        merged = [
            merge_rows(present[session]["values"], own or []) if session in present else own
            for session, own in zip(sessions, values.to_pylist(), strict=True)
        ]
        values = pa.array(merged, values.type)
    # A refused row has an empty list of values, not null.
    empty = pa.scalar([], values.type)
    return _set_column(rows, "values", pc.if_else(pc.is_null(values), empty, values))


def _set_column(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    index = rows.schema.get_field_index(name)
    return rows.append_column(name, column) if index < 0 else rows.set_column(index, name, column)


def _present(snapshot: Snapshot) -> dict[str, Present]:
    has_families = "families" in snapshot.schema.names
    columns = ["session", "fingerprint", "reason", *(["families"] if has_families else [])]
    return {
        row["session"]: Present(
            fingerprint=row["fingerprint"],
            families={mark["family"]: mark["fingerprint"] for mark in row.get("families") or []},
            reason=row["reason"],
        )
        for row in snapshot.select(columns).to_pylist()
    }


def _chunks(costs: Mapping[str, float], wanted: Mapping[str, Wanted], parallelism: int) -> Iterator[tuple[str, ...]]:
    """Split the pending sessions into chunks that are committed one by one.

    A chunk limits what a killed run loses. It grows with the number of cores, since it ends when its slowest task
    ends. Its share of this process's memory is limited for any number of cores.
    """

    def share(session: str) -> int:
        """Return the millionths of a chunk that a session fills, by its cost and its memory."""
        by_cost = costs[session] / (_CHUNK_SECONDS * parallelism)
        by_bytes = (wanted[session].bytes + _ROW_BYTES) / _CHUNK_BYTES
        return round(1e6 * (by_cost + by_bytes))

    return constrained_batches(costs, 10**6, _CHUNK_SESSIONS * parallelism, get_len=share, strict=False)


def _report(stage: Stage, upstream: Upstream) -> StageReport:
    snapshot = stage.table.snapshot()
    families = ["families"] if "families" in snapshot.schema.names else []
    rows = snapshot.select(["session", "fingerprint", "reason", "detail", *families]).to_pylist()
    return StageReport(
        versions={**upstream.versions, stage.table.name: snapshot.version},
        reasons=dict(Counter(row["reason"] for row in rows)),
        data_version=fingerprint(*(repr(sorted({**row, "reason": first_code(row["reason"])}.items())) for row in rows)),
        details=dict(Counter(row["detail"] for row in rows if row["detail"])),
    )
