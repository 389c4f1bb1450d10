"""Measure time and memory of processes, and describe the machine."""

import datetime as dt
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.common import ROOT, BenchmarkError, Figures, require

_PACKAGES: Final = ("numpy", "scipy", "soundfile", "soxr", "librosa", "spacy", "pyspark", "deltalake")
_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
_PROC: Final = Path("/proc")
_LINES_OF_A_FAILURE: Final = 20


def machine() -> Figures:
    """Describe the machine, the system and the versions of the packages."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "os": f"{_system()}, kernel {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        "packages": versions,
    }


def _cpu_model() -> str:
    try:
        for line in (_PROC / "cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def now() -> str:
    """Return the current time for the report, such as `2026-11-27 09:45 UTC`."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def own_peak_bytes() -> int:
    """Return the largest resident memory of this process so far, or since `forget_peak`, in bytes.

    Linux counts the program alone (`VmHWM`); elsewhere `ru_maxrss` begins with the peak of the parent process.
    """
    status = _kilobytes(_PROC / "self" / "status")
    if "VmHWM" in status:
        return status["VmHWM"]
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def forget_peak() -> int:
    """Reset the peak of this process to its current memory, and return that in bytes; Linux only."""
    (_PROC / "self" / "clear_refs").write_text("5", "ascii")
    return own_peak_bytes()


def child(function: str, **arguments: Any) -> Figures:  # noqa: ANN401 - whatever JSON holds
    """Run a function of `benchmarks.children` in a process of its own, with one thread for arithmetic.

    Args:
        function: Its name.
        arguments: Its arguments; they pass through JSON.

    Returns:
        Its result.

    Raises:
        BenchmarkError: The function failed.
    """
    command = [sys.executable, "-m", "benchmarks.children", function, json.dumps(arguments)]
    done = subprocess.run(  # noqa: S603 - our own module
        command, cwd=ROOT, env={**os.environ, **_ONE_THREAD}, capture_output=True, text=True, check=False
    )
    require(done.returncode == 0, f"{function} failed:\n{_tail(done.stderr)}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-_LINES_OF_A_FAILURE:])


@dataclass(frozen=True)
class Finished:
    """The time and memory of a command.

    Attributes:
        wall: Seconds.
        cpu: Seconds of CPU, including all processes that it started and waited for.
        workers: Most worker processes at one time; 0 if the command did all the work.
        workers_cpu: Seconds of CPU of all worker processes together.
        parent: Largest resident memory of the command's own process, in bytes.
        worker: The same of its largest worker process; 0 if it had none.
        together: Largest memory of all processes together, in bytes; shared pages count once.
        samples: Over time: seconds, resident MB of the command, resident MB of its largest worker.
    """

    wall: float
    cpu: float
    workers: int
    workers_cpu: float
    parent: int
    worker: int
    together: int
    samples: list[tuple[float, float, float]]

    def figures(self) -> Figures:
        """Return the figures for the JSON; 1 MB is 1,000,000 bytes."""
        return {
            "wall_s": round(self.wall, 2),
            "cpu_s": round(self.cpu, 2),
            "workers": self.workers,
            "workers_cpu_s": round(self.workers_cpu, 2),
            "parent_mb": round(self.parent / 1e6, 1),
            "worker_mb": round(self.worker / 1e6, 1),
            "together_mb": round(self.together / 1e6, 1),
        }


def run(argv: Sequence[str], *, folder: Path, env: Mapping[str, str], interval: float = 0.5) -> Finished:
    """Run a command and measure it and all processes below it.

    Args:
        argv: The command.
        folder: The working folder; the output goes to a file there.
        env: Environment variables to add to those of this process.
        interval: Seconds between two samples of memory.

    Raises:
        BenchmarkError: The command failed.
    """
    log = folder / "output.log"
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own command
            argv, cwd=folder, env={**_without_settings(os.environ), **env}, stdout=output, stderr=subprocess.STDOUT
        )
        watch = _Watch(process.pid, interval)
        watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.terminate()
            raise
        finally:
            wall = time.perf_counter() - start
            watch.stop()
    if process.returncode:
        raise BenchmarkError(f"{Path(argv[0]).name} failed:\n{_tail(log.read_text('utf-8', 'replace'))}")
    cpu = usage.ru_utime + usage.ru_stime
    workers_cpu = sum(watch.cpu.values())
    return Finished(wall, cpu, watch.workers, workers_cpu, watch.parent, watch.worker, watch.together, watch.samples)


def _without_settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith(("NOVOIC_", "DAGSTER_"))}


@dataclass
class _Watch:
    """Samples a process and its descendants in a thread.

    Peaks of resident memory are the kernel's own high-water marks, so only the last moments of a process are missed.
    """

    pid: int
    interval: float
    workers: int = 0
    parent: int = 0
    worker: int = 0
    together: int = 0
    cpu: dict[int, float] = field(default_factory=dict)
    samples: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def start(self) -> None:
        """Start to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _look_on(self) -> None:
        start = time.perf_counter()
        while not self._over.wait(self.interval):
            # Where there is no /proc, everything stays unknown and reads 0.
            together, own, largest, workers = 0, 0, 0, 0
            for pid, cpu in _processes(self.pid).items():
                status = _kilobytes(_PROC / str(pid) / "status")
                present, peak = status.get("VmRSS", 0), status.get("VmHWM", 0)
                together += _kilobytes(_PROC / str(pid) / "smaps_rollup").get("Pss", present)
                if pid == self.pid:
                    self.parent, own = max(self.parent, peak), present
                elif _is_worker(pid):
                    self.worker, largest = max(self.worker, peak), max(largest, present)
                    self.cpu[pid] = cpu
                    workers += 1
            self.together = max(self.together, together)
            self.workers = max(self.workers, workers)
            self.samples.append((round(time.perf_counter() - start, 2), round(own / 1e6, 1), round(largest / 1e6, 1)))


def _processes(root: int) -> dict[int, float]:
    """Return the seconds of CPU of a process and its descendants, by id; empty without /proc."""
    children: dict[int, list[int]] = {}
    cpu: dict[int, float] = {}
    for entry in _PROC.glob("[0-9]*/stat"):
        try:
            # After the name in brackets, which may hold anything: state, parent, nine more, user and system time.
            fields = entry.read_text("utf-8", "replace").rpartition(")")[2].split()
            parent, ticks = int(fields[1]), int(fields[11]) + int(fields[12])
        except (OSError, IndexError, ValueError):
            continue
        pid = int(entry.parent.name)
        children.setdefault(parent, []).append(pid)
        cpu[pid] = ticks / os.sysconf("SC_CLK_TCK")
    found = [root] if root in cpu else []
    for pid in found:
        found.extend(children.get(pid, []))
    return {pid: cpu[pid] for pid in found}


def _is_worker(pid: int) -> bool:
    """Whether a process is a worker of a pool: no short-lived helper, nor a copy that is about to become a worker."""
    try:
        return b"spawn_main" in (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False


def _kilobytes(path: Path) -> dict[str, int]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    fields = (line.partition(":")[::2] for line in lines if line.endswith("kB"))
    return {name: int(value.split()[0]) * 1024 for name, value in fields}
