"""Complete runs with all families over sessions of real speech, with one worker and with two."""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from benchmarks.common import Bench, Figures, no_speech, note
from benchmarks.corpora import write_corpus
from benchmarks.novoic import check_outcome, materialize
from benchmarks.part import Part, Target, table

_WORKERS: Final = (1, 2)
# Seconds of a session, and the number of sessions at full size and in the short form.
_SESSIONS: Final = ((5.0, 1_000, 30), (60.0, 100, 4), (1020.0, 24, 1))


def _run(bench: Bench) -> Figures:
    repeats, asked = (1, _WORKERS[-1:]) if bench.short else (3, _WORKERS)
    lengths = []
    for seconds, full, short in _SESSIONS:
        sessions = short if bench.short else full
        runs: dict[str, list[Figures]] = {str(workers): [] for workers in asked}
        with bench.scratch("sessions") as folder:
            note(f"sessions: corpus of {sessions:,} sessions of {seconds:g} s")
            corpus = write_corpus(folder / "raw", bench.voices, sessions, [seconds] * sessions)
            for number in range(repeats):
                for workers in asked:
                    note(
                        f"sessions: {sessions:,} of {seconds:g} s, NOVOIC_WORKERS={workers}, {number + 1} of {repeats}"
                    )
                    with bench.scratch("sessions_run") as place:
                        done = materialize(folder / "raw", place / "store", place, families="", workers=workers)
                        check_outcome(place / "store", sessions, published=False)
                    runs[str(workers)].append(done.figures())
        summary = {workers: _medians(each) for workers, each in runs.items()}
        lengths.append({"seconds": seconds, "sessions": sessions, "words": corpus.words, "runs": summary})
    return {"speech": bench.speech_label, "repeats": repeats, "lengths": lengths}


def _medians(runs: Sequence[Figures]) -> Figures:
    return {name: median(one[name] for one in runs) for name in runs[0]}


def wall_per_cpu(run: Figures) -> float:
    """Return wall time over CPU time: 1 if one process works at a time, 0.5 if two always do."""
    return float(run["wall_s"] / run["cpu_s"])


def _markdown(figures: Figures) -> str:
    rows = [
        (
            f"{length['sessions']:,} of {_length(length['seconds'])}",
            workers,
            f"{run['workers']:g}",
            f"{run['wall_s']:.1f} s",
            f"{run['cpu_s']:.1f} s",
            f"{wall_per_cpu(run):.2f}",
            f"{1000 * run['cpu_s'] / length['sessions']:,.0f} ms",
            f"{run['parent_mb']:,.0f} MB",
            f"{run['worker_mb']:,.0f} MB" if run["workers"] else "",
        )
        for length in figures["lengths"]
        for workers, run in length["runs"].items()
    ]
    longest: dict[str, Any] = figures["lengths"][-1]
    hours = longest["sessions"] * longest["seconds"] / 3600
    run = longest["runs"][str(_WORKERS[-1])]
    return (
        f"Runs with all families from an empty store, median of {figures['repeats']}: {figures['speech']}. Each session"
        " has its own recording and transcript, 150 words a minute. CPU is that of all processes, with some five"
        " seconds of start-up; wall/CPU is 1 if one process works at a time, and 0.5 if two always do.\n\n"
        + table(
            (
                "sessions",
                "NOVOIC_WORKERS",
                "workers",
                "wall",
                "CPU",
                "wall/CPU",
                "CPU a session",
                "peak of the command",
                "peak of a worker",
            ),
            rows,
        )
        + f"\n\nAt the rate of the last line, {hours:.1f} hours of audio, 1,500 hours take"
        f" {1500 / hours * run['wall_s'] / 3600:.1f} hours and {1500 / hours * run['cpu_s'] / 3600:.1f} core-hours."
    )


def _length(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"


def _ratio(figures: Figures) -> float:
    return wall_per_cpu(figures["lengths"][0]["runs"]["2"])


PART: Final = Part(
    "sessions",
    "Sessions of real speech",
    _run,
    _markdown,
    (Target("1,000 sessions of 5 s, two workers: wall for a second of CPU", 0.7, _ratio, "s"),),
    missing=no_speech,
)
