"""Decoding, resampling and MFCC: seconds of CPU for a second of audio, beside librosa."""

from collections.abc import Mapping
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks.common import Bench, Figures, note, require
from benchmarks.corpora import write_recording
from benchmarks.measure import child
from benchmarks.part import Part, Target, table
from benchmarks.plots import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RATES: Final = (16_000, 44_100)
_LARGEST_DIFFERENCE: Final = 0.01  # dB between our means and librosa's
_MOST: Final = 0.0004
_LEAST_FACTOR: Final = 2.0


def _run(bench: Bench) -> Figures:
    seconds, repeats = (120.0, 1) if bench.short else (3600.0, 5)
    compare = find_spec("librosa") is not None
    rates: dict[str, Any] = {}
    with bench.scratch("audio") as folder:
        for rate in _RATES:
            path = folder / f"{rate}.wav"
            write_recording(path, seconds, rate)
            runs: dict[str, list[Figures]] = {"ours": [], "librosa": []}
            for number in range(repeats):
                note(f"audio: {rate} Hz, {number + 1} of {repeats}")
                # In turn, so that whatever else the machine does meets both.
                for name in ("ours", "librosa") if compare else ("ours",):
                    runs[name].append(child(name, path=str(path), seconds=seconds))
            path.unlink()
            rates[str(rate)] = _summary(runs, seconds)
    return {"seconds": seconds, "repeats": repeats, "rates": rates}


def _summary(runs: Mapping[str, list[Figures]], seconds: float) -> Figures:
    figures: Figures = {}
    for name, each in runs.items():
        if each:
            figures[name] = {
                "cpu_s": [round(one["cpu_s"], 4) for one in each],
                "rtf": median(one["cpu_s"] for one in each) / seconds,
                "peak_mb": median(one["peak_mb"] for one in each),
            }
    if "librosa" in figures:
        pairs = zip(runs["ours"][0]["mfcc"], runs["librosa"][0]["mfcc"], strict=True)
        figures["difference_db"] = max(abs(mine - theirs) for mine, theirs in pairs)
        require(figures["difference_db"] <= _LARGEST_DIFFERENCE, "our MFCC and librosa's are not the same")
        figures["factor"] = figures["librosa"]["rtf"] / figures["ours"]["rtf"]
    return figures


def _markdown(figures: Figures) -> str:
    rows = []
    for rate, one in figures["rates"].items():
        for name in ("ours", "librosa"):
            if name in one:
                rtf = one[name]["rtf"]
                rows.append(
                    (f"{int(rate):,} Hz, {name}", f"{rtf:.6f}", f"{1 / rtf:,.0f}", f"{one[name]['peak_mb']:,.0f} MB")
                )
    factors = [f"{one['factor']:.1f} at {int(rate):,} Hz" for rate, one in figures["rates"].items() if "factor" in one]
    return (
        f"{figures['seconds'] / 60:,.0f} minutes of mono PCM_16, synthetic speech with turns: read, resampled to"
        " 16 kHz, 13 MFCC and their means for three speakers; ours finds the levels besides. One thread. CPU seconds"
        f" for a second of audio, median of {figures['repeats']}, each in a process of its own, in turn; both give the"
        " same values.\n\n"
        + table(("", "real-time factor", "times real time", "peak memory"), rows)
        + (f"\n\nlibrosa takes longer by a factor of {', '.join(factors)}." if factors else "")
    )


def _plots(figures: Figures) -> "Mapping[str, Figure]":
    drawn, axes = figure("", "CPU seconds per hour of audio")
    rates = list(figures["rates"])
    for shift, name, colour in ((-0.2, "ours", "C0"), (0.2, "librosa", "C1")):
        there = [index for index, rate in enumerate(rates) if name in figures["rates"][rate]]
        heights = [3600 * figures["rates"][rates[index]][name]["rtf"] for index in there]
        if there:
            bars = axes.bar([index + shift for index in there], heights, 0.36, label=name, color=colour)
            axes.bar_label(bars, fmt="%.2f", padding=2)
    axes.axhline(3600 * _MOST, color="0.4", linestyle="--", linewidth=1, label="target at 16,000 Hz")
    axes.set_xticks(range(len(rates)), [f"{int(rate):,} Hz" for rate in rates])
    axes.legend(frameon=False)
    return {"audio": drawn}


def _times_librosa(rate: int) -> Target:
    def factor(figures: Figures) -> float | None:
        found: float | None = figures["rates"][str(rate)].get("factor")
        return found

    return Target(f"the same at {rate:,} Hz, times librosa's speed", _LEAST_FACTOR, factor, "", at_least=True)


PART: Final = Part(
    "audio",
    "Audio",
    _run,
    _markdown,
    (
        Target(
            f"decoding and MFCC at {_RATES[0]:,} Hz, real-time factor",
            _MOST,
            lambda figures: float(figures["rates"][str(_RATES[0])]["ours"]["rtf"]),
            "",
        ),
        *map(_times_librosa, _RATES),
    ),
    _plots,
)
