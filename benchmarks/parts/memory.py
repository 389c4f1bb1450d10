"""Memory of one very long recording, which hardly grows with the length."""

from typing import Final

from benchmarks.common import Bench, Figures, no_speech, note
from benchmarks.corpora import write_recording
from benchmarks.measure import child
from benchmarks.part import Part, Target, table

_RATE: Final = 48_000
_CHANNELS: Final = 2


def _run(bench: Bench) -> Figures:
    lengths = (60.0, 300.0) if bench.short else (600.0, 4 * 3600.0)
    measured = []
    for seconds in lengths:
        with bench.scratch("memory") as folder:
            path = folder / "long.wav"
            note(f"memory: {seconds / 60:,.0f} minutes")
            write_recording(path, bench.voices, seconds, _RATE, _CHANNELS)
            one = child("audio", path=str(path), choices=[None])
            measured.append(
                {
                    "seconds": one["seconds"],
                    "file_mb": path.stat().st_size / 1e6,
                    "before_mb": one["before_mb"],
                    "peak_mb": one["peak_mb"],
                    "rtf": one["cpu_s"][0] / one["seconds"],
                }
            )
    return {"speech": bench.speech_label, "recordings": measured}


def _markdown(figures: Figures) -> str:
    rows = [
        (
            f"{one['seconds'] / 60:,.0f} min",
            f"{one['file_mb']:,.0f} MB",
            f"{one['before_mb']:,.0f} MB",
            f"{one['peak_mb']:,.0f} MB",
            f"{one['rtf']:.6f}",
        )
        for one in figures["recordings"]
    ]
    return f"All audio families, one process: 48 kHz, stereo, PCM_16, {figures['speech']}.\n\n" + table(
        ("length", "file", "memory before", "peak memory", "real-time factor"), rows
    )


PART: Final = Part(
    "memory",
    "A long recording",
    _run,
    _markdown,
    (
        Target(
            "all audio families of 4 hours, 48,000 Hz, stereo: memory",
            500,
            lambda figures: float(figures["recordings"][-1]["peak_mb"]),
            "MB",
        ),
    ),
    missing=no_speech,
)
