"""Whether a run is wanted now: the decision that everything which starts runs by itself shares.

It is derived anew each time from what a look finds. A cursor remembers only what was tried in vain, and may be lost.
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
    """What to do.

    Attributes:
        run: Whether to start a run.
        why: Why, or why not.
        cursor: What to remember until the next time; None: nothing.
    """

    run: bool
    why: str
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Attempts:
    """What was tried in vain for one state of the raw folder.

    Attributes:
        state: Digest of that state.
        attempts: Number of runs that were asked for.
        asked: When the last one was asked for, or last seen going; in s since 1970.
    """

    state: str
    attempts: int
    asked: int

    @classmethod
    def read(cls, cursor: str | None) -> "_Attempts | None":
        """What a cursor says, None where it is none of ours."""
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
        instance: Whose history tells what is going, and what was made from what.
        raw: The raw folder or bucket.
        tables: The tables of the store.
        cutoffs: What the run would leave to a later one; give it the same with `run_config`.
        cursor: The cursor of the last decision.
        now: The time.

    Returns:
        What to do, and the cursor to keep.

    Raises:
        NovoicError: The raw folder or the store cannot be read.
    """
    tried = _Attempts.read(cursor)
    if is_going(instance, job_name, assets, now):
        # The pause after a failure counts from the run's end: as long as it goes it is put off.
        kept = _Attempts(tried.state, tried.attempts, int(now.timestamp())) if tried else None
        return Decision(run=False, why="a run is waiting or going", cursor=kept.written() if kept else None)
    return decide_from_look(look(raw, tables, instance, assets, cutoffs, now), cursor, now)


def decide_from_look(found: Look, cursor: str | None, now: datetime) -> Decision:
    """Decide from what a look found and what was tried in vain before.

    Args:
        found: What there is.
        cursor: The cursor of the last decision.
        now: The time.
    """
    if not found.wanted:
        return Decision(run=False, why=_nothing(found), cursor=None)
    tried = _Attempts.read(cursor)
    if tried is None or tried.state != found.state or tried.attempts < 1:
        tried = _Attempts(found.state, 0, 0)
    if tried.attempts >= MAX_ATTEMPTS:
        why = (
            f"{tried.attempts} runs left work undone: no more are started until the raw folder changes or somebody"
            " starts the job by hand; the last run's log says why"
        )
        return Decision(run=False, why=why, cursor=tried.written())
    if tried.attempts:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tried.attempts - 1))
        # A time ahead of the clock is that of a clock that was put back since.
        left = tried.asked + pause - now.timestamp()
        if 0 < left <= pause:
            why = (
                f"the last run left work undone; the next one is started in {math.ceil(left)} seconds"
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
        return f"{found.young} files are still being written, {found.waiting} wait for their other half"
    return "nothing is new"
