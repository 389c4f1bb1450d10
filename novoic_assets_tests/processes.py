"""Runs of `novoic materialize` in separate processes, which tests kill, hold and wait for."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from novoic_assets_tests.conftest import KEY
from novoic_assets_tests.lab import Lab

NOVOIC = Path(sys.executable).with_name("novoic")
PATIENCE = 120.0  # s until a test gives up waiting
ATTEMPTS = 5  # to kill a run before it ends

_DAGSTER_YAML = Path(__file__).parents[1] / "dagster.yaml"


@contextmanager
def materialize(
    lab: Lab, raw: Path | str, *arguments: str, home: Path | None = None, **settings: str
) -> Iterator[subprocess.Popen[str]]:
    """Run `novoic materialize` in a new process group while the context lasts; its end kills a run that has not ended.

    Args:
        lab: The lab whose store it fills.
        raw: The raw folder.
        arguments: Further arguments of the command.
        home: The folder with its Dagster history; None is the lab's folder.
        settings: Further environment variables; by default it computes in one process.
    """
    home = home or lab.folder
    home.mkdir(exist_ok=True)
    shutil.copy(_DAGSTER_YAML, home)
    foreign = ("NOVOIC_", "DAGSTER_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    with subprocess.Popen(
        [NOVOIC, "materialize", "--raw", raw, "--store", lab.store_root, *arguments],
        cwd=home,
        env=environment | {"NOVOIC_PSEUDONYM_KEY": KEY, "NOVOIC_WORKERS": "1"} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                kill(process)


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a running process and everything it started, as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def was_killed(process: subprocess.Popen[str]) -> bool:
    return process.returncode == -signal.SIGKILL


def commit(lab: Lab, table: str, number: int) -> Path:
    """The file that appears with a version of a table; version 0 is the empty table."""
    return lab.store / "restricted" / "tables" / table / "_delta_log" / f"{number:020}.json"


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until a condition holds or the process ends."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if process is not None and process.poll() is not None:
            return
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def workers_of(leader: subprocess.Popen[str]) -> dict[int, float]:
    """The running worker processes of a process group, and the seconds of processor time that each has used."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pgid=,pid=,stat=,time=,args="], capture_output=True, text=True, check=True
    )
    found = {}
    for line in listing.stdout.splitlines():
        pgid, pid, state, computed, command = line.split(maxsplit=4)
        if int(pgid) == leader.pid and not state.startswith("Z") and "multiprocessing.spawn" in command:
            *_, minutes, seconds = computed.split(":")
            found[int(pid)] = 60 * float(minutes) + float(seconds)
    return found
