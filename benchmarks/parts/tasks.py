"""Time and memory of making the tasks of many long sessions, for which the workers wait."""

from statistics import median
from typing import Final

from benchmarks.common import Bench, Figures, no_speech, note
from benchmarks.corpora import write_corpus
from benchmarks.measure import child
from benchmarks.novoic import parse
from benchmarks.part import Part, Target, table

_SECONDS: Final = 1020.0
_STAGES: Final = {"text_features": "text", "audio_features": "audio"}


def _run(bench: Bench) -> Figures:
    sessions, repeats = (30, 1) if bench.short else (1_000, 3)
    with bench.scratch("tasks") as folder:
        note(f"tasks: corpus of {sessions:,} sessions")
        # One recording for all sessions, since nothing reads it.
        corpus = write_corpus(folder / "raw", bench.voices, sessions, [_SECONDS])
        places = parse(folder / "raw", folder)
        runs = {name: [child("tasks", name=name, **places) for _ in range(repeats)] for name in _STAGES}
    return {
        "sessions": sessions,
        "seconds": _SECONDS,
        "words": corpus.words,
        "repeats": repeats,
        "stages": {name: {what: median(one[what] for one in each) for what in each[0]} for name, each in runs.items()},
    }


def _markdown(figures: Figures) -> str:
    rows = [
        (
            label,
            f"{figures['stages'][name]['wall_s']:.2f} s",
            f"{figures['stages'][name]['extra_mb']:,.0f} MB",
            f"{figures['stages'][name]['tasks_mb']:,.0f} MB",
        )
        for name, label in _STAGES.items()
    ]
    return (
        f"One chunk of {figures['sessions']:,} sessions of {figures['seconds'] / 60:g} minutes, {figures['words']:,}"
        " words: one process reads transcripts from the store and makes the tasks of a stage, median of"
        f" {figures['repeats']}. Memory is what this adds to the process.\n\n"
        + table(("stage", "seconds", "peak of memory", "of which the tasks"), rows)
    )


def _largest(figures: Figures, what: str) -> float:
    return max(float(figures["stages"][name][what]) for name in _STAGES)


PART: Final = Part(
    "tasks",
    "Making tasks",
    _run,
    _markdown,
    (
        Target("tasks of 1,000 sessions of 17 minutes, seconds", 0.5, lambda figures: _largest(figures, "wall_s"), "s"),
        Target("the same, memory", 200, lambda figures: _largest(figures, "extra_mb"), "MB"),
    ),
    missing=no_speech,
)
