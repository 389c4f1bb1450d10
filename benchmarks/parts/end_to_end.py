"""Whole runs over more and more sessions: from nothing, with nothing to do, with a hundredth changed."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from benchmarks.common import WORKERS, Bench, Figures, note
from benchmarks.corpora import change, write_corpus
from benchmarks.novoic import check_outcome, materialize
from benchmarks.part import Part, Target, table
from benchmarks.plots import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SECONDS: Final = 5.0
_RECORDINGS: Final = 40
_CHANGED: Final = 0.01
_RUNS: Final = {"nothing": "from nothing", "again": "nothing to do", "changed": "1 % changed"}
_LARGEST: Final = "10000"


def _run(bench: Bench) -> Figures:
    sizes = (20, 60) if bench.short else (100, 1_000, 10_000)
    measured: dict[str, Any] = {}
    for sessions in sizes:
        with bench.scratch(f"end_to_end_{sessions}") as folder:
            raw, store = folder / "raw", folder / "store"
            corpus = write_corpus(raw, sessions, [_SECONDS] * _RECORDINGS)
            one: Figures = {}
            for name, label in _RUNS.items():
                if name == "changed":
                    one["changed_sessions"] = change(raw, corpus, _SECONDS, _CHANGED)
                note(f"end_to_end: {sessions:,} sessions, {label}")
                one[name] = materialize(raw, store, folder / "run", interval=0.2).figures()
                one["outcome"] = check_outcome(store, sessions)
            measured[str(sessions)] = one
    growth = {
        what: _slope([(int(size), one["nothing"][what]) for size, one in measured.items()])
        for what in ("wall_s", "cpu_s")
    }
    last = {
        what: _slope([(int(size), one["nothing"][what]) for size, one in list(measured.items())[-2:]])
        for what in ("wall_s", "cpu_s")
    }
    return {"seconds": _SECONDS, "recordings": _RECORDINGS, "sizes": measured, "growth": growth, "last_step": last}


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Exponent of y = a x^b, by least squares of the logarithms."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    products = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return products / sum((x - mean_x) ** 2 for x in xs)


def _markdown(figures: Figures) -> str:
    rows = [
        (
            f"{int(size):,}, {label}",
            f"{one[name]['wall_s']:.1f} s",
            f"{one[name]['cpu_s']:.1f} s",
            f"{one[name]['parent']['rss_mb']:,.0f} MB",
            f"{one[name]['worker']['rss_mb']:,.0f} MB" if one[name]["worker"]["rss_mb"] else "",
        )
        for size, one in figures["sizes"].items()
        for name, label in _RUNS.items()
    ]
    growth, last = figures["growth"], figures["last_step"]
    return (
        f"`novoic materialize` with {WORKERS} workers over sessions of {figures['seconds']:g} s. Each session has a"
        f" transcript of its own; the recordings are hard links to {figures['recordings']} distinct ones. Every"
        " session was ok and the datasets were published. CPU: of all processes.\n\n"
        + table(("sessions", "wall", "CPU", "peak of the parent", "peak of a worker"), rows)
        + f"\n\nFrom nothing, CPU time grows with the sessions to the power of {growth['cpu_s']:.2f}, wall time with"
        f" {growth['wall_s']:.2f} (least squares of the logarithms); from the last size but one to the last with"
        f" {last['cpu_s']:.2f} and {last['wall_s']:.2f}."
    )


def _plots(figures: Figures) -> "Mapping[str, Figure]":
    drawn, axes = figure("sessions", "seconds")
    sizes = [int(size) for size in figures["sizes"]]
    for colour, (name, label) in zip(("C0", "C1", "C2"), _RUNS.items(), strict=True):
        for what, style in (("wall_s", "o-"), ("cpu_s", "o:")):
            ys = [one[name][what] for one in figures["sizes"].values()]
            axes.plot(sizes, ys, style, color=colour, label=f"{label}, {'wall' if what == 'wall_s' else 'CPU'}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize="small")
    return {"end_to_end": drawn}


PART: Final = Part(
    "end_to_end",
    "Whole runs",
    _run,
    _markdown,
    (
        Target(
            "10,000 sessions, nothing to do",
            15,
            lambda figures: figures["sizes"].get(_LARGEST, {}).get("again", {}).get("wall_s"),
            "s",
        ),
        Target("exponent of growth, CPU time", 1.05, lambda figures: figures["growth"]["cpu_s"], ""),
        Target("exponent of growth, wall time", 1.05, lambda figures: figures["growth"]["wall_s"], ""),
    ),
    _plots,
)
