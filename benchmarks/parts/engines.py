"""The same work on the process pool, on Spark in one process and on a Spark cluster."""

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks.common import WORKERS, Bench, Figures, note
from benchmarks.corpora import write_corpus
from benchmarks.engines import CLUSTER, LOCAL, POOL, missing
from benchmarks.measure import child
from benchmarks.part import Part, Target, table
from benchmarks.plots import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABELS: Final = {
    POOL: f"process pool, {WORKERS} workers",
    LOCAL: f"Spark, `local[{WORKERS}]`",
    CLUSTER: f"Spark, standalone cluster of {WORKERS} one-core workers",
}


def _run(bench: Bench) -> Figures:
    hours, repeats = (0.05, 1) if bench.short else (50.0, 3)
    lengths = [60.0, 120.0] if bench.short else [60.0 * minutes for minutes in range(5, 31)]
    sessions = max(2, round(3600 * hours / (sum(lengths) / len(lengths))))
    corpus = write_corpus(bench.work / f"engines_{sessions}", sessions, lengths)
    engines: dict[str, Any] = {}
    for kind in _LABELS:
        reason = missing(kind)
        if reason is not None:
            note(f"engines: {kind} is left out: {reason}")
            engines[kind] = {"missing": reason}
            continue
        note(f"engines: {kind}, {corpus.seconds / 3600:,.1f} hours")
        one = child("engine", kind=kind, raw=str(bench.work / f"engines_{sessions}"), repeats=repeats)
        engines[kind] = {**one, "median_s": median(one["work_s"])}
    return {
        "hours": corpus.seconds / 3600,
        "sessions": corpus.sessions,
        "recordings": corpus.recordings,
        "repeats": repeats,
        "engines": engines,
    }


def _ratio(figures: Figures, kind: str) -> float | None:
    measured = figures["engines"]
    if "median_s" not in measured[kind]:
        return None
    return float(measured[kind]["median_s"] / measured[POOL]["median_s"])


def _markdown(figures: Figures) -> str:
    rows = []
    for kind, label in _LABELS.items():
        one, ratio = figures["engines"][kind], _ratio(figures, kind)
        if ratio is None:
            rows.append((label, f"left out: {one['missing']}", "", ""))
        else:
            rows.append((label, f"{one['start_up_s']:.1f} s", f"{one['median_s']:.1f} s", f"{ratio:.2f}"))
    return (
        f"Audio features of {figures['hours']:,.1f} hours in {figures['sessions']:,} sessions (hard links to"
        f" {figures['recordings']} distinct recordings at 16 kHz). Start-up, also of the cluster, ends when"
        " the workers have answered once;"
        f" work is what is left, median of {figures['repeats']}. Driver and cluster share the same cores.\n\n"
        + table(("", "start-up", "work", "work, times the pool's"), rows)
    )


def _plots(figures: Figures) -> "Mapping[str, Figure]":
    drawn, axes = figure("seconds", "")
    measured = {kind: one for kind, one in figures["engines"].items() if "median_s" in one}
    kinds = list(measured)[::-1]
    start_up = [measured[kind]["start_up_s"] for kind in kinds]
    axes.barh(kinds, start_up, color="0.7", label="start-up")
    axes.barh(kinds, [measured[kind]["median_s"] for kind in kinds], left=start_up, color="C0", label="work")
    axes.grid(visible=False, axis="y")
    axes.legend(frameon=False)
    return {"engines": drawn}


PART: Final = Part(
    "engines",
    "Engines",
    _run,
    _markdown,
    (
        Target(
            "Spark on two one-core workers, times the pool with two, start-up apart",
            1.3,
            lambda figures: _ratio(figures, CLUSTER),
            "",
        ),
    ),
    _plots,
)
