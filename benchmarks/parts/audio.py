"""Audio features: seconds of CPU for a second of audio, beside librosa, openSMILE and Praat."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.common import Bench, Figures, no_speech, note, require
from benchmarks.corpora import RATE, write_recording
from benchmarks.measure import child
from benchmarks.part import Part, Target, table
from novoic_assets.features.catalogue import AUDIO_FAMILIES

_RATES: Final = (RATE, 44_100)
# By the name of the function that measures it: the package that it needs, and its label.
_PEERS: Final = {"opensmile": ("opensmile", "openSMILE, eGeMAPS"), "praat": ("parselmouth", "Praat, pitch to CPPS")}
_LARGEST_DIFFERENCE: Final = 0.01  # dB between our means and librosa's


def _run(bench: Bench) -> Figures:
    seconds, of_families, repeats = (120.0, 20.0, 1) if bench.short else (3600.0, 300.0, 5)
    rates: dict[str, Any] = {}
    with bench.scratch("audio") as folder:
        for rate in _RATES:
            path = folder / f"{rate}.wav"
            write_recording(path, bench.voices, seconds, rate)
            rates[str(rate)] = _mfcc(path, seconds, repeats)
            path.unlink()
        path = folder / "families.wav"
        write_recording(path, bench.voices, of_families, RATE)
        families = _families(path, of_families, repeats)
    return {"speech": bench.speech_label, "seconds": seconds, "repeats": repeats, "rates": rates, "families": families}


def _mfcc(path: Path, seconds: float, repeats: int) -> Figures:
    """Measure MFCC alone, which librosa computes, too."""
    ours, theirs = [], []
    for number in range(repeats):
        note(f"audio: {path.stem} Hz, {number + 1} of {repeats}")
        # Take turns, so that other load on the machine affects both.
        ours.append(child("audio", path=str(path), choices=[["mfcc"]]))
        if find_spec("librosa"):
            theirs.append(child("librosa", path=str(path)))
    figures: Figures = {"ours": _summary(ours, seconds)}
    if theirs:
        figures["librosa"] = _summary(theirs, seconds)
        pairs = zip(ours[0]["values"].values(), theirs[0]["mean"], strict=True)
        figures["difference_db"] = max(abs(mine - their) for mine, their in pairs)
        require(figures["difference_db"] <= _LARGEST_DIFFERENCE, "our MFCC differ from librosa's")
        figures["factor"] = figures["librosa"]["rtf"] / figures["ours"]["rtf"]
    return figures


def _summary(runs: Sequence[Figures], seconds: float) -> Figures:
    return {
        "rtf": median(one["cpu_s"][0] for one in runs) / seconds,
        "peak_mb": median(one["peak_mb"] for one in runs),
    }


def _families(path: Path, seconds: float, repeats: int) -> Figures:
    """Measure all families, none, and each alone."""
    peers = [name for name, (package, _) in _PEERS.items() if find_spec(package)]
    ours: list[Figures] = []
    theirs: dict[str, list[Figures]] = {name: [] for name in peers}
    choices = [None, [], *([name] for name in AUDIO_FAMILIES)]
    for number in range(repeats):
        note(f"audio: families, {number + 1} of {repeats}")
        ours.append(child("audio", path=str(path), choices=choices))
        for name in peers:
            theirs[name].append(child(name, path=str(path)))
    rtf = [median(cpus) / seconds for cpus in zip(*(one["cpu_s"] for one in ours), strict=True)]
    return {
        "seconds": seconds,
        "all": rtf[0],
        "nothing": rtf[1],
        "each": dict(zip(AUDIO_FAMILIES, rtf[2:], strict=True)),
        "peers": {name: median(one["cpu_s"][0] for one in runs) / seconds for name, runs in theirs.items()},
        "voiced": ours[0]["values"]["voiced_frac"],
        "peak_mb": median(one["peak_mb"] for one in ours),
    }


def _markdown(figures: Figures) -> str:
    families = figures["families"]
    mfcc = [
        (
            f"{int(rate):,} Hz, {name}",
            f"{measured[name]['rtf']:.6f}",
            f"{1 / measured[name]['rtf']:,.0f}",
            f"{measured[name]['peak_mb']:,.0f} MB",
        )
        for rate, measured in figures["rates"].items()
        for name in ("ours", "librosa")
        if name in measured
    ]

    def row(name: str, rtf: float) -> tuple[str, str, str]:
        return name, f"{rtf:.6f}", f"{1 / rtf:,.0f}"

    rows = [row("**all our families**", families["all"]), row("decoding and levels, no family", families["nothing"])]
    dearest_first = sorted(families["each"].items(), key=itemgetter(1), reverse=True)
    rows += [row(f"`{name}` alone", rtf) for name, rtf in dearest_first]
    rows += [row(_PEERS[name][1], rtf) for name, rtf in families["peers"].items()]
    return (
        f"Mono PCM_16, {figures['speech']}; seconds of CPU for a second of audio, one thread, median of"
        f" {figures['repeats']}, in turn with the peers.\n\nMFCC of {figures['seconds'] / 60:,.0f} minutes (read,"
        " resample to 16 kHz, 13 MFCC, means of three speakers; ours also finds levels), with the same values:\n\n"
        + table(("", "real-time factor", "times real time", "peak memory"), mfcc)
        + f"\n\nAll families of {families['seconds'] / 60:g} minutes at 16 kHz, {100 * families['voiced']:.0f} % of the"
        f" frames voiced; peak memory {families['peak_mb']:,.0f} MB. A family alone includes decoding and levels; the"
        " peers process the complete recording.\n\n" + table(("", "real-time factor", "times real time"), rows)
    )


def _times_librosa(rate: int) -> Target:
    def factor(figures: Figures) -> float | None:
        found: float | None = figures["rates"][str(rate)].get("factor")
        return found

    return Target(f"the same at {rate:,} Hz, times librosa's speed", 2, factor, "", at_least=True)


def _rtf(figures: Mapping[str, Any]) -> float:
    return float(figures["rates"][str(RATE)]["ours"]["rtf"])


PART: Final = Part(
    "audio",
    "Audio",
    _run,
    _markdown,
    (
        Target(f"decoding and MFCC at {RATE:,} Hz, real-time factor", 0.0004, _rtf, ""),
        *map(_times_librosa, _RATES),
        Target(
            f"all audio families at {RATE:,} Hz, real-time factor",
            0.0035,
            lambda figures: float(figures["families"]["all"]),
            "",
        ),
    ),
    missing=no_speech,
)
