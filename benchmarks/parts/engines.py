"""Compare the process pool, Spark in one process and a Spark cluster on the same work."""

from statistics import median
from typing import Any, Final

from benchmarks.common import WORKERS, Bench, Figures, no_speech, note
from benchmarks.corpora import write_corpus
from benchmarks.engines import CLUSTER, LOCAL, POOL, missing
from benchmarks.measure import child
from benchmarks.novoic import parse
from benchmarks.part import Part, Target, table

_LABELS: Final = {
    POOL: f"process pool, {WORKERS} workers",
    LOCAL: f"Spark, `local[{WORKERS}]`",
    CLUSTER: f"Spark, standalone cluster of {WORKERS} one-core workers",
}


def _run(bench: Bench) -> Figures:
    hours, repeats = (0.05, 1) if bench.short else (50.0, 3)
    lengths = [60.0, 120.0] if bench.short else [60.0 * minutes for minutes in range(5, 31)]
    sessions = max(2, round(3600 * hours / (sum(lengths) / len(lengths))))
    engines: dict[str, Any] = {}
    with bench.scratch("engines") as folder:
        corpus = write_corpus(folder / "raw", bench.voices, sessions, lengths)
        places = parse(folder / "raw", folder)
        for kind in _LABELS:
            reason = missing(kind)
            if reason is not None:
                note(f"engines: {kind} is skipped: {reason}")
                engines[kind] = {"missing": reason}
                continue
            note(f"engines: {kind}, {corpus.seconds / 3600:,.1f} hours")
            one = child("engine", kind=kind, **places, repeats=repeats)
            engines[kind] = {**one, "median_s": median(one["work_s"])}
    return {
        "speech": bench.speech_label,
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
            rows.append((label, f"skipped: {one['missing']}", "", ""))
        else:
            rows.append((label, f"{one['start_up_s']:.1f} s", f"{one['median_s']:.1f} s", f"{ratio:.2f}"))
    return (
        f"MFCC of {figures['hours']:,.1f} hours in {figures['sessions']:,} sessions at 16 kHz: {figures['speech']},"
        f" linked to {figures['recordings']} recordings. Start-up, the cluster's included, ends when every worker has"
        f" answered once; work is the rest, median of {figures['repeats']}. Driver and cluster share the"
        " cores.\n\n" + table(("", "start-up", "work", "work, times the pool's"), rows)
    )


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
    missing=no_speech,
)
