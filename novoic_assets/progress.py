"""How far long work has come: shown by whoever listens (the command line), and told in the run's log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_FIRST_LINE_AFTER: Final = 10.0  # s; shorter work needs no line
_LINES_APART: Final = 30.0  # s

Listener = Callable[[str, int, int], None]
"""Called with what is being done, how many are done and how many there are."""

_listeners: list[Listener] = []


def report(what: str, done: int, total: int) -> None:
    """Tell the listeners of this process how far the work has come."""
    for listener in _listeners:
        listener(what, done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener told while the context lasts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class Pace:
    """Tells how far a stage has come: the listeners at once, the log at a sensible pace.

    Attributes:
        seconds_of_audio: Audio worked off so far.
    """

    def __init__(self, what: str, sessions: int, cost: float, log: Callable[[str], None]) -> None:
        """Start the clock.

        Args:
            what: What is being done.
            sessions: Number of sessions to do.
            cost: Rough cost of all of them, in any unit: time left is judged by it.
            log: Takes a line for the run's log.
        """
        self._what = what
        self._sessions = sessions
        self._cost = cost
        self._log = log
        self._done = 0
        self._cost_done = 0.0
        self._started = time.monotonic()
        self._next_line = self._started + _FIRST_LINE_AFTER
        self.seconds_of_audio = 0.0
        report(what, 0, sessions)

    @property
    def cost_left(self) -> float:
        """Rough cost of what is not done, in the unit of `cost`."""
        return max(self._cost - self._cost_done, 0.0)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def advance(self, sessions: int, cost: float, seconds_of_audio: float) -> None:
        """Count some sessions as done."""
        self._done += sessions
        self._cost_done += cost
        self.seconds_of_audio += seconds_of_audio
        report(self._what, self._done, self._sessions)
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINES_APART
            self._log(self._line())

    def _line(self) -> str:
        left = self.elapsed * (self._cost - self._cost_done) / self._cost_done if self._cost_done else 0.0
        audio = f", {self.seconds_of_audio / 3600:,.1f} hours of audio" if self.seconds_of_audio else ""
        rate = self._done / self.elapsed
        return f"{self._done:,} of {self._sessions:,} sessions{audio}, {rate:,.1f} sessions/s, {left / 60:.1f} min left"
