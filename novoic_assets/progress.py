"""How far long work has come: reported by the stages, shown by whoever listens (the command line)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
