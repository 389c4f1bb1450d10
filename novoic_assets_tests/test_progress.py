"""Progress while work runs: occasional lines in the run's log, and a bar in a terminal."""

import os
import pty
import re
import subprocess

import pytest

from novoic_assets import progress
from novoic_assets_tests.lab import Lab
from novoic_assets_tests.processes import NOVOIC


class Clock:
    """A clock that tests advance by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_line_says_what_is_done_how_fast_and_how_long_the_rest_will_take(clock: Clock) -> None:
    lines: list[str] = []
    pace = progress.Pace("audio_features", 2_000, 1_000.0, lines.append)
    clock.now += 100.0
    # A quarter of the work, but half of the sessions: the long recordings are still to come.
    pace.advance(1_000, 250.0, 9_000.0)
    assert lines == ["1,000 of 2,000 sessions, 2.5 hours of audio, 10.0 sessions/s, 5.0 min left"]


def test_work_without_audio_reports_no_hours(clock: Clock) -> None:
    lines: list[str] = []
    pace = progress.Pace("text_features", 4, 4.0, lines.append)
    clock.now += 60.0
    pace.advance(3, 3.0, 0.0)
    assert lines == ["3 of 4 sessions, 0.1 sessions/s, 0.3 min left"]


def test_lines_come_after_a_while_and_then_twice_a_minute(clock: Clock) -> None:
    lines: list[str] = []
    pace = progress.Pace("audio_features", 1_000, 1_000.0, lines.append)
    seen = []
    for second in range(1, 101):
        clock.now += 1.0
        pace.advance(10, 10.0, 0.0)
        if len(lines) > len(seen):
            seen.append(second)
    assert seen == [10, 40, 70, 100]
    assert pace.elapsed == 100.0


def test_listeners_get_reports_at_once_and_only_while_they_listen() -> None:
    told: list[tuple[str, int, int]] = []
    with progress.listening(lambda *what: told.append(what)):
        pace = progress.Pace("text_features", 3, 3.0, lambda _: None)
        pace.advance(1, 1.0, 0.0)
        pace.advance(2, 2.0, 0.0)
    pace.advance(1, 1.0, 0.0)
    assert told == [("text_features", done, 3) for done in (0, 1, 3)]


@pytest.mark.slow
def test_on_a_terminal_a_bar_shows_each_stage_and_nothing_of_a_session(lab: Lab) -> None:
    lab.fill(3)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [NOVOIC, "materialize", "--raw", lab.raw, "--store", lab.store],
        cwd=lab.folder,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = read_all(ours)
    assert process.returncode == 0, shown
    for stage in ("parsed_transcripts", "text_features", "audio_features"):
        assert re.search(rf"{stage} .*3/3", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)), shown
    assert "S1" not in shown


def read_all(terminal: int) -> str:
    """Read everything written to a terminal until no process has it open."""
    written = b""
    with os.fdopen(terminal, "rb", buffering=0) as file:
        while True:
            try:
                part = file.read(1 << 16)
            except OSError:  # Linux raises this once it is closed
                part = b""
            if not part:
                return written.decode()
            written += part
