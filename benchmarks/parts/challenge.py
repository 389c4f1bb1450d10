"""Fixed costs of a run: the speech-challenge corpus in its delivered form, with little to compute."""

from statistics import median
from typing import Final

from benchmarks.common import Bench, Figures, note
from benchmarks.novoic import check_outcome, materialize
from benchmarks.part import Part, Target, table
from novoic_assets_tests.corpora import write_challenge

_SESSIONS: Final = 156
_RUNS: Final = {"nothing": "from nothing", "again": "nothing to do"}


def _run(bench: Bench) -> Figures:
    repeats = 1 if bench.short else 5
    runs: dict[str, list[Figures]] = {name: [] for name in _RUNS}
    for number in range(repeats):
        with bench.scratch("challenge") as folder:
            raw = folder / "raw"
            raw.mkdir()
            write_challenge(raw)
            for name, label in _RUNS.items():
                note(f"challenge: {label}, {number + 1} of {repeats}")
                runs[name].append(materialize(raw, folder / "store", folder / "run").figures())
            outcome = check_outcome(folder / "store", _SESSIONS)
    medians = {name: {what: median(one[what] for one in each) for what in each[0]} for name, each in runs.items()}
    return {"sessions": _SESSIONS, "repeats": repeats, "outcome": outcome, **medians}


def _markdown(figures: Figures) -> str:
    rows = [
        (
            label,
            f"{figures[name]['workers']:g}",
            f"{figures[name]['wall_s']:.1f} s",
            f"{figures[name]['cpu_s']:.1f} s",
            f"{figures[name]['parent_mb']:,.0f} MB",
        )
        for name, label in _RUNS.items()
    ]
    return (
        f"Runs over the speech-challenge corpus, {figures['sessions']} equal tones of two seconds, show fixed costs,"
        f" never speed. Median of {figures['repeats']}.\n\n"
        + table(("", "workers", "wall", "CPU", "peak memory"), rows)
    )


PART: Final = Part(
    "challenge",
    "Fixed costs",
    _run,
    _markdown,
    (
        Target("156 equal tones, from nothing", 15, lambda figures: figures["nothing"]["wall_s"], "s"),
        Target("156 equal tones, nothing to do", 8, lambda figures: figures["again"]["wall_s"], "s"),
    ),
)
