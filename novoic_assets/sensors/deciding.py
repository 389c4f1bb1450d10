"""Decide whether to start a run now; the sensors share this decision.

Each decision follows from a new look. The cursor remembers only failed attempts, and may be lost.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import dagster as dg

from novoic_assets.sensors.looking import Look, look
from novoic_assets.sensors.runs import is_going
from novoic_assets.stages.listing import Cutoffs
from novoic_assets.storage.files import Storage
from novoic_assets.storage.store_tables import StoreTables

MAX_ATTEMPTS: Final = 6
_FIRST_PAUSE: Final = 60.0  # s, doubled with each attempt
_LONGEST_PAUSE: Final = 3600.0  # s


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to start a run now.

    Attributes:
        run: Whether to start a run.
        why: Why, or why not.
        cursor: The cursor to keep until the next decision; None if there is nothing to remember.
    """

    run: bool
    why: str
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Attempts:
    """The failed attempts for one state of the raw folder.

    Attributes:
        state: Digest of that state.
        attempts: Number of requested runs.
        asked: When the last run was requested, or last seen in progress, in seconds since 1970.
    """

    state: str
    attempts: int
    asked: int

    @classmethod
    def read(cls, cursor: str | None) -> "_Attempts | None":
        """Read a cursor; None if `written` did not make it."""
        try:
            content = json.loads(cursor or "")
            return cls(str(content["state"]), int(content["attempts"]), int(content["asked"]))
        except (ValueError, TypeError, KeyError, OverflowError):
            return None

    def written(self) -> str:
        return json.dumps({"state": self.state, "attempts": self.attempts, "asked": self.asked})


def decide(
    *,
    job_name: str,
    assets: Sequence[dg.AssetKey],
    instance: dg.DagsterInstance,
    raw: Storage,
    tables: StoreTables,
    cutoffs: Cutoffs,
    cursor: str | None,
    now: datetime,
) -> Decision:
    """Decide whether to start a run of a job now.

    Args:
        job_name: The job.
        assets: What the job materializes.
        instance: Its history shows which runs are in progress, and from which table versions assets were made.
        raw: The raw folder or bucket.
        tables: The tables of the store.
        cutoffs: Which files the run would leave to a later one; start it with the same cutoffs, by `run_config`.
        cursor: The cursor of the last decision.
        now: The current time.

    Returns:
        What to do, and the cursor to keep.

    Raises:
        NovoicError: The raw folder or the store cannot be read.
    """
    tried = _Attempts.read(cursor)
    if is_going(instance, job_name, assets, now):
        # The pause after a failure counts from the run's end, so move its start while the run is in progress.
        kept = _Attempts(tried.state, tried.attempts, int(now.timestamp())) if tried else None
        return Decision(run=False, why="a run is queued or in progress", cursor=kept.written() if kept else None)
    return decide_from_look(look(raw, tables, instance, assets, cutoffs, now), cursor, now)


def decide_from_look(found: Look, cursor: str | None, now: datetime) -> Decision:
    """Decide from the result of a look and from earlier failed attempts.

    Args:
        found: The result of the look.
        cursor: The cursor of the last decision.
        now: The current time.

    Returns:
        What to do, and the cursor to keep.
    """
    if not found.wanted:
        return Decision(run=False, why=_nothing(found), cursor=None)
    tried = _Attempts.read(cursor)
    if tried is None or tried.state != found.state or tried.attempts < 1:
        tried = _Attempts(found.state, 0, 0)
    if tried.attempts >= MAX_ATTEMPTS:
        why = (
            f"{tried.attempts} runs left work undone: no more start until the raw folder changes or somebody starts"
            " the job by hand; the last run's log says why"
        )
        return Decision(run=False, why=why, cursor=tried.written())
    if tried.attempts:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tried.attempts - 1))
        # If the last request is ahead of the clock, the clock was set back since: do not wait for it.
        left = tried.asked + pause - now.timestamp()
        if 0 < left <= pause:
            why = (
                f"the last run left work undone; the next one starts in {math.ceil(left)} seconds"
                f" (number {tried.attempts + 1} of {MAX_ATTEMPTS})"
            )
            return Decision(run=False, why=why, cursor=tried.written())
    asked = _Attempts(found.state, tried.attempts + 1, int(now.timestamp()))
    why = (
        f"{found.new} files are new, {found.changed} changed, {found.gone} gone,"
        f" {found.undone} assets are not up to date"
    )
    return Decision(run=True, why=why, cursor=asked.written())


def _nothing(found: Look) -> str:
    if found.young or found.waiting:
        return f"{found.young} files may still be being written, {found.waiting} wait for their other half"
    return "nothing is new"
