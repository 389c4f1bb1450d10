"""A Spark cluster on this machine's loopback: a master and workers of one core, each in its own process."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pyspark

from novoic_assets_tests.needs import find

_START_SECONDS = 60.0
_END_SECONDS = 10.0
_ATTEMPTS = 3
_HOST = "127.0.0.1"


@contextmanager
def spark_cluster(folder: Path, workers: int = 2) -> Iterator[str]:
    """Run a standalone cluster while the context lasts.

    Args:
        folder: The folder for files and logs of its processes.
        workers: Number of workers, each with one core.

    Yields:
        The address of its master, once all workers are registered.

    Raises:
        TimeoutError: The cluster did not start.
    """
    for attempt in range(_ATTEMPTS):
        with ExitStack() as stack:
            address = _start_cluster(stack, folder / str(attempt), workers)
            if address is not None:
                yield address
                return
    raise TimeoutError("the Spark cluster did not start")


def _start_cluster(stack: ExitStack, folder: Path, workers: int) -> str | None:
    """Start a master and workers; return None if they do not find each other.

    Another process may take the port between the search for a free one and the master's start. The master then listens
    at the next port, and this function looks for it at the wrong one.
    """
    port, web_port = _free_port(), _free_port()
    address = f"spark://{_HOST}:{port}"
    arguments = ["--host", _HOST, "--port", str(port), "--webui-port", str(web_port)]
    _start(stack, folder / "master", "org.apache.spark.deploy.master.Master", arguments)
    for number in range(workers):
        work = folder / f"worker {number}"
        arguments = ["--host", _HOST, "--webui-port", "0", "-c", "1", "-m", "1g", "-d", str(work), address]
        _start(stack, work, "org.apache.spark.deploy.worker.Worker", arguments)
    return address if _workers_register(web_port, workers) else None


def _start(stack: ExitStack, folder: Path, name: str, arguments: list[str]) -> None:
    folder.mkdir(parents=True)
    home = Path(pyspark.__file__).parent
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": _HOST,
        "SPARK_NO_DAEMONIZE": "1",
        "SPARK_DAEMON_MEMORY": "256m",
    }
    log = stack.enter_context((folder / "log").open("wb"))
    process = subprocess.Popen(
        [str(home / "bin" / "spark-class"), name, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,  # so that its executors can be killed with it
    )
    stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # so that it deletes its temporary files
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _workers_register(web_port: int, workers: int) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{_HOST}:{web_port}/json/", timeout=5) as answer:
                if json.load(answer)["aliveworkers"] == workers:
                    return True
        except (OSError, ValueError):
            pass  # not listening yet, or not answering with JSON yet
        time.sleep(0.2)
    return False


def executors(driver_port: int) -> list[int]:
    """Find the processes of executors on this machine that work for the driver at a port."""
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True)
    found = []
    for line in listing.stdout.splitlines():
        pid, command = line.split(maxsplit=1)
        if "CoarseGrainedExecutorBackend" in command and f"@{_HOST}:{driver_port} " in command:
            found.append(int(pid))
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def has_java() -> bool:
    """Whether Java, which Spark needs, is installed."""
    return find("java") is not None
