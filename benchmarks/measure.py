"""Processes and what they take: time, memory; and the machine they run on."""

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
    """Describe the machine, the system and the versions that matter."""
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
    """The time, for the report."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def own_peak_bytes() -> int:
    """Largest resident memory of this process so far.

    Where the kernel tells it, it is that of the program alone; `ru_maxrss` would begin with the peak of the
    process that started it.
    """
    status = _status(os.getpid())
    if "VmHWM" in status:
        return status["VmHWM"]
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def child(function: str, **arguments: Any) -> Figures:  # noqa: ANN401 - whatever JSON holds
    """Run a function of `benchmarks.children` in a process of its own, with one thread for arithmetic.

    Args:
        function: Its name.
        arguments: Its arguments; they pass through JSON.

    Returns:
        What it returned.

    Raises:
        BenchmarkError: It failed.
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


@dataclass
class Peak:
    """Largest memory in bytes.

    Attributes:
        rss: Resident memory, what is shared with other processes counted in full.
        pss: What is shared counted by its share; 0 where the kernel does not tell.
        uss: What is the process's alone; 0 where the kernel does not tell.
    """

    rss: int = 0
    pss: int = 0
    uss: int = 0

    def include(self, other: "Peak") -> None:
        """Raise each to another's if that is larger."""
        self.rss, self.pss, self.uss = max(self.rss, other.rss), max(self.pss, other.pss), max(self.uss, other.uss)

    def figures(self) -> Figures:
        """For the JSON, in MB."""
        return {f"{name}_mb": round(getattr(self, name) / 1e6, 1) for name in ("rss", "pss", "uss")}


@dataclass(frozen=True)
class Finished:
    """What a command took.

    Attributes:
        wall: Seconds.
        cpu: Seconds of CPU, its own and of all processes that it started and waited for.
        parent: Peak memory of the command's own process.
        worker: Peak memory among its worker processes; 0 where it had none.
        together: Peak memory of all together.
        samples: Over time: seconds, RSS of the command in MB, RSS of its largest worker in MB.
    """

    wall: float
    cpu: float
    parent: Peak
    worker: Peak
    together: Peak
    samples: list[tuple[float, float, float]]

    def figures(self) -> Figures:
        """For the JSON."""
        return {
            "wall_s": round(self.wall, 2),
            "cpu_s": round(self.cpu, 2),
            "parent": self.parent.figures(),
            "worker": self.worker.figures(),
            "together": self.together.figures(),
        }


def run(argv: Sequence[str], *, folder: Path, env: Mapping[str, str], interval: float = 0.5) -> Finished:
    """Run a command and measure it and all processes below it.

    Args:
        argv: The command.
        folder: Where to run it; its output goes to a file there.
        env: Environment variables beside those of this process.
        interval: Seconds between two looks at memory.

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
    return Finished(wall, usage.ru_utime + usage.ru_stime, watch.parent, watch.worker, watch.together, watch.samples)


def _without_settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith(("NOVOIC_", "DAGSTER_"))}


@dataclass
class _Watch:
    """Looks at the memory of a process and its descendants, in a thread of its own.

    Peaks of resident memory are the kernel's own high-water marks, so nothing between two looks is missed but
    the last moments before a process ends.
    """

    pid: int
    interval: float
    parent: Peak = field(default_factory=Peak)
    worker: Peak = field(default_factory=Peak)
    together: Peak = field(default_factory=Peak)
    samples: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _look_on(self) -> None:
        start = time.perf_counter()
        while not self._over.wait(self.interval):
            # Where there is no /proc, memory stays unknown and reads 0.
            sums, own, largest = Peak(), 0, 0
            for pid in _family(self.pid):
                status = _status(pid)
                present = status.get("VmRSS", 0)
                pss, uss = _shares(pid)
                peak = Peak(status.get("VmHWM", 0), pss, uss)
                sums = Peak(sums.rss + present, sums.pss + pss, sums.uss + uss)
                if pid == self.pid:
                    self.parent.include(peak)
                    own = present
                elif _is_worker(pid):
                    self.worker.include(peak)
                    largest = max(largest, present)
            self.together.include(sums)
            self.samples.append((round(time.perf_counter() - start, 2), round(own / 1e6, 1), round(largest / 1e6, 1)))


def _family(root: int) -> list[int]:
    """A process and its descendants; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*/stat"):
        try:
            # After the name, which is in brackets and may hold anything: state, then the parent.
            parent = int(entry.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(int(entry.parent.name))
    found = [root] if (_PROC / str(root)).exists() else []
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def _is_worker(pid: int) -> bool:
    """Whether a process is one of a pool's: not a short-lived helper, and not a copy that is about to become one."""
    try:
        return b"spawn_main" in (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False


def _status(pid: int) -> dict[str, int]:
    """The memory lines of a process's status, in bytes; empty where there are none."""
    return _kilobytes(_PROC / str(pid) / "status")


def _shares(pid: int) -> tuple[int, int]:
    """Proportional and private memory of a process, in bytes."""
    lines = _kilobytes(_PROC / str(pid) / "smaps_rollup")
    return lines.get("Pss", 0), lines.get("Private_Clean", 0) + lines.get("Private_Dirty", 0)


def _kilobytes(path: Path) -> dict[str, int]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    fields = (line.partition(":")[::2] for line in lines if line.endswith("kB"))
    return {name: int(value.split()[0]) * 1024 for name, value in fields}
