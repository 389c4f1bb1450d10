"""The volume of a large study: 1,500 hours through `novoic materialize`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from benchmarks.common import Bench, Figures, no_speech, note
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
    corpus = write_corpus(raw, bench.voices, sessions, lengths)
    model = child("text", count=10)["model_mb"]
    with bench.scratch("volume") as folder:
        note(f"volume: {corpus.seconds / 3600:,.0f} hours in {sessions:,} sessions")
        done = materialize(raw, folder / "store", folder / "run")
        outcome = check_outcome(folder / "store", sessions)
        note("volume: nothing to do")
        again = materialize(raw, folder / "store", folder / "run")
    return {
        "speech": bench.speech_label,
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
    return float(figures["run"]["worker_mb"] - figures["model_mb"])


def _markdown(figures: Figures) -> str:
    run = figures["run"]
    minutes = run["wall_s"] / 60
    return (
        f"A run over {figures['sessions']:,} sessions of 5 to 30 minutes: {figures['speech']}, **linked** to"
        f" {figures['recordings']} recordings of {figures['recordings_mb']:,.0f} MB.\n\n"
        + table(
            ("", ""),
            [
                ("hours of audio, and words", f"{figures['hours']:,.0f} and {figures['words']:,}"),
                ("workers", f"{run['workers']:g}"),
                ("wall time", f"{minutes:.1f} min"),
                ("CPU time of all processes", f"{run['cpu_s'] / 60:.1f} min"),
                ("again, nothing to do", f"{figures['again']['wall_s']:.1f} s"),
                ("peak memory of the command", f"{run['parent_mb']:,.0f} MB"),
                ("peak memory of the largest worker", f"{run['worker_mb']:,.0f} MB"),
                ("of which the spaCy model", f"{figures['model_mb']:,.0f} MB"),
                ("peak memory of all processes together", f"{run['together_mb']:,.0f} MB"),
            ],
        )
    )


def _plots(figures: Figures) -> "Mapping[str, Figure]":
    drawn, axes = figure("minutes", "resident memory, MB")
    minutes = [at / 60 for at, *_ in figures["samples"]]
    axes.plot(minutes, [own for _, own, _ in figures["samples"]], label="command")
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
        Target("1,500 hours, memory of the parent", 1_500, lambda figures: figures["run"]["parent_mb"], "MB"),
        Target("1,500 hours, memory of a worker beyond the spaCy model", 500, _beyond_model, "MB"),
    ),
    _plots,
    missing=no_speech,
)
