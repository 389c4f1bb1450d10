"""The volume of a large study: 1,500 hours through `novoic materialize`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from benchmarks.common import WORKERS, Bench, Figures, note
from benchmarks.corpora import write_corpus
from benchmarks.measure import child
from benchmarks.novoic import check_outcome, materialize
from benchmarks.part import Part, Target, table
from benchmarks.plots import figure, thinned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RECORDINGS: Final = 36
_MINUTES: Final = (5.0, 30.0)


def _run(bench: Bench) -> Figures:
    hours = 1.0 if bench.short else 1_500.0
    shortest, longest = _MINUTES
    sessions = round(60 * hours / ((shortest + longest) / 2))
    count = min(_RECORDINGS, sessions)
    lengths = [60 * (shortest + (longest - shortest) * index / (count - 1)) for index in range(count)]
    raw = bench.work / f"volume_{sessions}"
    note(f"volume: corpus of {hours:,.0f} hours")
    corpus = write_corpus(raw, sessions, lengths)
    model = child("words", count=10, least_seconds=0.01)["model_mb"]
    with bench.scratch("volume") as folder:
        note(f"volume: {corpus.seconds / 3600:,.0f} hours in {sessions:,} sessions")
        done = materialize(raw, folder / "store", folder / "run")
        outcome = check_outcome(folder / "store", sessions)
        note("volume: nothing to do")
        again = materialize(raw, folder / "store", folder / "run")
    return {
        "hours": corpus.seconds / 3600,
        "sessions": sessions,
        "words": corpus.words,
        "recordings": corpus.recordings,
        "recordings_mb": corpus.audio_bytes / 1e6,
        "model_mb": model,
        "run": done.figures(),
        "again": again.figures(),
        "outcome": outcome,
        "samples": thinned(done.samples),
    }


def _beyond_model(figures: Figures) -> float:
    return float(figures["run"]["worker"]["rss_mb"] - figures["model_mb"])


def _markdown(figures: Figures) -> str:
    run, again = figures["run"], figures["again"]
    minutes = run["wall_s"] / 60
    memory = [
        (label, *(f"{run[who][kind]:,.0f}" if run[who][kind] else "none" for kind in ("rss_mb", "pss_mb", "uss_mb")))
        for who, label in (("parent", "parent"), ("worker", "largest worker"), ("together", "all together"))
    ]
    return (
        f"`novoic materialize` with {WORKERS} workers over {figures['hours']:,.0f} hours at 16 kHz in"
        f" {figures['sessions']:,} sessions of 5 to 30 minutes, {figures['words']:,} words. Each session has a"
        f" transcript of its own. **The recordings are hard links** to {figures['recordings']} distinct ones of"
        f" {figures['recordings_mb']:,.0f} MB together, so that the disk is hardly read: what is measured is the"
        " work, not the disk. Every session was ok and the datasets were published.\n\n"
        + table(
            ("", ""),
            [
                ("wall time", f"{minutes:.1f} min"),
                ("CPU time of all processes", f"{run['cpu_s'] / 60:.1f} min"),
                ("sessions per second", f"{figures['sessions'] / run['wall_s']:.1f}"),
                ("hours of audio per minute", f"{figures['hours'] / minutes:,.1f}"),
                ("again, nothing to do", f"{again['wall_s']:.1f} s"),
            ],
        )
        + "\n\nPeak memory in MB: resident (RSS), with shared pages counted by share (PSS), private (USS). RSS of a"
        " process is the kernel's high-water mark; all else was looked at every 0.5 s. The spaCy model takes"
        f" {figures['model_mb']:,.0f} MB of a worker.\n\n" + table(("", "RSS", "PSS", "USS"), memory)
    )


def _plots(figures: Figures) -> "Mapping[str, Figure]":
    drawn, axes = figure("minutes", "resident memory, MB")
    minutes = [at / 60 for at, *_ in figures["samples"]]
    axes.plot(minutes, [own for _, own, _ in figures["samples"]], label="parent")
    axes.plot(minutes, [other for *_, other in figures["samples"]], label="largest worker")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return {"volume": drawn}


PART: Final = Part(
    "volume",
    "Volume",
    _run,
    _markdown,
    (
        Target("1,500 hours on two cores", 30, lambda figures: figures["run"]["wall_s"] / 60, "min"),
        Target("1,500 hours, memory of the parent", 1_500, lambda figures: figures["run"]["parent"]["rss_mb"], "MB"),
        Target("1,500 hours, memory of a worker beyond the spaCy model", 500, _beyond_model, "MB"),
    ),
    _plots,
)
