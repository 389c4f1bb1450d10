"""Progress of long work: reported to listeners, such as the command line, and in the run's log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_FIRST_LINE_AFTER: Final = 10.0  # s; shorter work logs no line
_LINES_APART: Final = 30.0  # s

Listener = Callable[[str, int, int], None]
"""Called with the name of the work, the number of items done and the total number."""

_listeners: list[Listener] = []


def report(what: str, done: int, total: int) -> None:
    """Report progress to all listeners of this process.

    Args:
        what: The name of the work.
        done: Number of items done.
        total: Number of all items.
    """
    for listener in _listeners:
        listener(what, done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call a listener at each report while the context lasts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class Pace:
    """Progress of a stage: reported to listeners at once, and to the log every 30 s after the first 10 s.

    Attributes:
        seconds_of_audio: Seconds of audio processed so far.
    """

    def __init__(self, what: str, sessions: int, cost: float, log: Callable[[str], None]) -> None:
        """Start the clock.

        Args:
            what: The name of the work.
            sessions: Number of sessions to process.
            cost: Rough cost of all sessions, in any unit. The estimate of the time left uses it.
            log: Writes a line to the run's log.
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
        """Rough cost of the remaining sessions, in the unit of `cost`."""
        return max(self._cost - self._cost_done, 0.0)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def advance(self, sessions: int, cost: float, seconds_of_audio: float) -> None:
        """Count sessions as done.

        Args:
            sessions: Number of sessions.
            cost: Their cost, in the unit of the total cost.
            seconds_of_audio: Their audio, in seconds.
        """
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
