"""All feature families: seconds of CPU for a second of audio, words a second, and a run over some hours."""

from importlib.util import find_spec
from operator import itemgetter
from statistics import median
from typing import Any, Final

from benchmarks.common import WORKERS, Bench, Figures, note
from benchmarks.corpora import write_corpus, write_recording
from benchmarks.measure import child
from benchmarks.novoic import check_outcome, materialize
from benchmarks.part import Part, Target, table

_RATE: Final = 16_000
# By the name of what measures them: the package that must be there, and what they are called.
_PEERS: Final = {"opensmile": ("opensmile", "openSMILE, eGeMAPS"), "praat": ("parselmouth", "Praat, pitch to CPPS")}
_MINUTES: Final = (5.0, 30.0)


def _run(bench: Bench) -> Figures:
    seconds, repeats, hours = (20.0, 1, 0.1) if bench.short else (300.0, 3, 20.0)
    names = ["families", *(name for name, (package, _) in _PEERS.items() if find_spec(package))]
    runs: dict[str, list[Figures]] = {name: [] for name in names}
    with bench.scratch("families") as folder:
        path = folder / "recording.wav"
        write_recording(path, seconds, _RATE)
        for number in range(repeats):
            note(f"families: audio, {number + 1} of {repeats}")
            # In turn, so that whatever else the machine does meets all.
            for name in names:
                runs[name].append(child(name, path=str(path), seconds=seconds))
    text = [child("spoken", seconds=seconds) for _ in range(repeats)]
    return {
        "seconds": seconds,
        "repeats": repeats,
        "audio": {
            "rtf": median(one["rtf"] for one in runs["families"]),
            "nothing": median(one["nothing"] for one in runs["families"]),
            "voiced": runs["families"][0]["voiced"],
            "peak_mb": median(one["peak_mb"] for one in runs["families"]),
            "each": _medians(runs["families"], "each"),
        },
        "peers": {name: median(one["rtf"] for one in runs[name]) for name in names[1:]},
        "text": {
            "words": text[0]["words"],
            "words_per_s": median(one["words_per_s"] for one in text),
            "each": _medians(text, "each"),
        },
        "run": _whole_run(bench, hours),
    }


def _medians(runs: list[Figures], key: str) -> dict[str, float]:
    return {name: median(one[key][name] for one in runs) for name in runs[0][key]}


def _whole_run(bench: Bench, hours: float) -> Figures:
    shortest, longest = _MINUTES
    sessions = max(3, round(60 * hours / ((shortest + longest) / 2)))
    lengths = [60 * (shortest + (longest - shortest) * index / 11) for index in range(12)]
    if bench.short:
        lengths = [600 * hours] * 3
    raw = bench.work / f"families_{sessions}"
    note(f"families: corpus of {hours:g} hours")
    corpus = write_corpus(raw, sessions, lengths)
    with bench.scratch("families") as folder:
        note(f"families: {corpus.seconds / 3600:,.0f} hours in {sessions:,} sessions")
        done = materialize(raw, folder / "store", folder / "run", families="")
        check_outcome(folder / "store", sessions, datasets=() if bench.short else ("ad_vs_hc",))
    return {"hours": corpus.seconds / 3600, "sessions": sessions, "words": corpus.words, **done.figures()}


def _markdown(figures: Figures) -> str:
    audio, text, run = figures["audio"], figures["text"], figures["run"]
    minutes = run["wall_s"] / 60

    def row(name: str, rtf: float) -> tuple[str, str, str]:
        return name, f"{rtf:.6f}", f"{1 / rtf:,.0f}"

    rows = [row("**all our audio families**", audio["rtf"]), row("decoding and levels, no family", audio["nothing"])]
    dearest_first = sorted(audio["each"].items(), key=itemgetter(1), reverse=True)
    rows += [row(f"`{name}` alone, decoding and levels included", rtf) for name, rtf in dearest_first]
    rows += [row(_PEERS[name][1], rtf) for name, rtf in figures["peers"].items()]
    words: list[tuple[str, ...]] = [("**all our text families**", f"{text['words_per_s']:,.0f}")]
    words += [(f"`{name}` alone", f"{speed:,.0f}") for name, speed in sorted(text["each"].items(), key=itemgetter(1))]
    return (
        f"All families. Audio: {figures['seconds'] / 60:,.0f} minutes of mono PCM_16 at 16 kHz, synthetic speech with"
        f" turns, {100 * audio['voiced']:.0f} % of its frames voiced; values for three speakers; CPU seconds of one"
        f" core for a second of audio, median of {figures['repeats']}, each in a process of its own, in turn with the"
        f" peers, who look at the whole recording. Peak memory {audio['peak_mb']:,.0f} MB.\n\n"
        + table(("", "real-time factor", "times real time"), rows)
        + f"\n\nText: a transcript of {text['words']:,} words in the sample corpus's sentences, model loaded; words a"
        " second of CPU of one core.\n\n"
        + table(("", "words/s"), words)
        + f"\n\n`novoic materialize` with {WORKERS} workers and all families over {run['hours']:,.1f} hours at 16 kHz"
        f" in {run['sessions']:,} sessions (hard links to few recordings), {run['words']:,} words: {minutes:.1f} min"
        f" wall, {run['cpu_s'] / 60:.1f} min of CPU; at that rate 1,500 hours take"
        f" {1500 / run['hours'] * minutes / 60:.1f} hours."
    )


def _figure(*path: str) -> Any:  # noqa: ANN401 - a function that takes a figure out of nested ones
    def reached(figures: Figures) -> float:
        value: Any = figures
        for name in path:
            value = value[name]
        return float(value)

    return reached


PART: Final = Part(
    "families",
    "All families",
    _run,
    _markdown,
    (
        Target("all audio families at 16,000 Hz, real-time factor", 0.0035, _figure("audio", "rtf"), ""),
        Target("all text families, words/s of a core", 10_000, _figure("text", "words_per_s"), "", at_least=True),
    ),
)
