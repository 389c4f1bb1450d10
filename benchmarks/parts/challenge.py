"""The speech-challenge corpus in its delivered form, where it lies beside the repository."""

from collections.abc import Mapping
from statistics import median
from typing import Final

from benchmarks.common import ROOT, WORKERS, Bench, Figures, note
from benchmarks.novoic import check_outcome, materialize
from benchmarks.part import Part, Target, table

_CORPUS: Final = ROOT.parent / "shared" / "corpus" / "challenge"
_RUNS: Final = {"nothing": "from nothing", "again": "nothing to do"}


def _missing() -> str | None:
    return None if (_CORPUS / "metadata.csv").exists() else "the challenge corpus is not here"


def _run(bench: Bench) -> Figures:
    repeats = 1 if bench.short else 5
    sessions = sum(1 for _ in (_CORPUS / "text").glob("*.xml"))
    runs: dict[str, list[Figures]] = {name: [] for name in _RUNS}
    for number in range(repeats):
        with bench.scratch("challenge") as folder:
            for name, label in _RUNS.items():
                note(f"challenge: {label}, {number + 1} of {repeats}")
                runs[name].append(materialize(_CORPUS, folder / "store", folder / "run", interval=0.2).figures())
            outcome = check_outcome(folder / "store", sessions)
    return {"sessions": sessions, "repeats": repeats, "outcome": outcome, **_summary(runs)}


def _summary(runs: Mapping[str, list[Figures]]) -> Figures:
    return {
        name: {
            "wall_s": median(one["wall_s"] for one in each),
            "cpu_s": median(one["cpu_s"] for one in each),
            "peak_mb": max(one["parent"]["rss_mb"] for one in each),
        }
        for name, each in runs.items()
    }


def _markdown(figures: Figures) -> str:
    rows = [
        (
            label,
            f"{figures[name]['wall_s']:.1f} s",
            f"{figures[name]['cpu_s']:.1f} s",
            f"{figures[name]['peak_mb']:,.0f} MB",
        )
        for name, label in _RUNS.items()
    ]
    return (
        f"`novoic materialize` with {WORKERS} workers over the {figures['sessions']} sessions of a speech challenge,"
        f" median of {figures['repeats']}.\n\n" + table(("", "wall", "CPU", "peak memory"), rows)
    )


PART: Final = Part(
    "challenge",
    "Real sessions",
    _run,
    _markdown,
    (
        Target("156 real sessions, from nothing", 15, lambda figures: figures["nothing"]["wall_s"], "s"),
        Target("156 real sessions, nothing to do", 8, lambda figures: figures["again"]["wall_s"], "s"),
    ),
    missing=_missing,
)
