"""Complete runs over more and more sessions: from nothing, with nothing to do, with 1 % changed."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from benchmarks.common import Bench, Figures, no_speech, note
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
            corpus = write_corpus(raw, bench.voices, sessions, [_SECONDS] * _RECORDINGS)
            one: Figures = {}
            for name, label in _RUNS.items():
                if name == "changed":
                    one["changed_sessions"] = change(raw, corpus, _CHANGED)
                note(f"end_to_end: {sessions:,} sessions, {label}")
                one[name] = materialize(raw, store, folder / "run").figures()
                one["outcome"] = check_outcome(store, sessions)
            measured[str(sessions)] = one
    small, large = list(measured.items())[-2:]
    growth = {
        what: _exponent(*((int(size), one["nothing"][what]) for size, one in (small, large)))
        for what in ("wall_s", "cpu_s")
    }
    return {
        "speech": bench.speech_label,
        "seconds": _SECONDS,
        "recordings": _RECORDINGS,
        "sizes": measured,
        "growth": growth,
    }


def _exponent(small: tuple[float, float], large: tuple[float, float]) -> float:
    """Return the b of y = a x^b through two points."""
    return math.log(large[1] / small[1]) / math.log(large[0] / small[0])


def _markdown(figures: Figures) -> str:
    rows = [
        (
            f"{int(size):,}",
            f"{one['nothing']['workers']:g}",
            f"{one['nothing']['wall_s']:.1f} s",
            f"{one['nothing']['cpu_s']:.1f} s",
            f"{one['again']['wall_s']:.1f} s",
            f"{one['changed']['wall_s']:.1f} s",
            f"{max(one[name]['parent_mb'] for name in _RUNS):,.0f} MB",
        )
        for size, one in figures["sizes"].items()
    ]
    small, large = list(figures["sizes"])[-2:]
    growth = figures["growth"]
    return (
        f"Runs over sessions of {figures['seconds']:g} s: {figures['speech']}, linked to {figures['recordings']}"
        " recordings.\n\n"
        + table(
            (
                "sessions",
                "workers",
                "from nothing",
                "its CPU",
                "nothing to do",
                "1 % changed",
                "peak of the command",
            ),
            rows,
        )
        + f"\n\nFrom {int(small):,} to {int(large):,} sessions CPU grows by the power {growth['cpu_s']:.2f} of their"
        f" number, wall time by {growth['wall_s']:.2f}."
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
    "More and more sessions",
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
    missing=no_speech,
)
