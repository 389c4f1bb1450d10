"""A `dagster dev` for tests: web server, daemon and code server, as on a laptop."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_REPOSITORY = Path(__file__).parents[1]
_HOST = "127.0.0.1"
_START_SECONDS = 120.0


def settings_free(environment: Mapping[str, str]) -> dict[str, str]:
    """Drop the environment variables that configure Dagster, this package or access to buckets."""
    foreign = ("NOVOIC_", "DAGSTER_", "AWS_")
    return {name: value for name, value in environment.items() if not name.startswith(foreign)}


@contextmanager
def dagster_dev(folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Run `dagster dev` with the repository's configuration while the context lasts.

    Args:
        folder: The folder where it runs, with its history and its log `dagster.log`.
        settings: Environment variables to set.

    Yields:
        The address of its web server, once it answers.

    Raises:
        TimeoutError: `dagster dev` did not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(_REPOSITORY / name, folder)
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port = str(free.getsockname()[1])
    with (folder / "dagster.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", _HOST, "-p", port],
            cwd=folder,
            env=settings_free(os.environ) | dict(settings),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that all its processes can be killed together
        )
    try:
        address = f"http://{_HOST}:{port}"
        _wait_for(address)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(address: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("dagster dev did not start")
