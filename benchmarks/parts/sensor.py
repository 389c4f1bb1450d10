"""The sensor over a large raw folder: how long a tick takes, and how much memory."""

import os
import shutil
import time
from pathlib import Path
from typing import Final

from benchmarks.common import ROOT, Bench, Figures, note, require
from benchmarks.measure import child
from benchmarks.part import Part, Target, table

_SESSIONS: Final = 20_000
_NEW_SHARE: Final = 0.01
_HOUR: Final = 3600.0  # s; files that old are not taken for ones that are still being written


def _write_sessions(raw: Path, first: int, last: int) -> None:
    """Write the two files of each session: next to nothing, since a tick only lists them."""
    hour_ago = time.time() - _HOUR
    for session in range(first, last):
        for path in (raw / "text" / f"S{session:06}.xml", raw / "audio" / f"S{session:06}.wav"):
            path.write_bytes(b"x")
            os.utime(path, (hour_ago, hour_ago))


def _run(bench: Bench) -> Figures:
    sessions = 500 if bench.short else _SESSIONS
    new = round(_NEW_SHARE * sessions)
    with bench.scratch("sensor") as folder:
        raw = folder / "raw"
        for name in ("text", "audio"):
            (raw / name).mkdir(parents=True)
        note(f"sensor: {sessions:,} sessions")
        _write_sessions(raw, 0, sessions)
        rows = [f"P{patient:06},60,female,28,{patient % 2},train" for patient in range(sessions)]
        (raw / "metadata.csv").write_text("\n".join(["speakerid,age,gender,mmse,ad_status,set", *rows]) + "\n")
        os.utime(raw / "metadata.csv", (time.time() - _HOUR,) * 2)
        shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")
        places = {"raw": str(raw), "store": str(folder / "store"), "history": str(folder)}
        child("raw_stage", **places)
        nothing = child("sensor_ticks", **places)
        _write_sessions(raw, sessions, sessions + new)
        some = child("sensor_ticks", **places)
    require(nothing["files"] == 0, "a tick found something new where nothing was")
    require(some["files"] == 2 * new, f"a tick found {some['files']} new files, not {2 * new}")
    return {"sessions": sessions, "new": new, "nothing_new": nothing, "some_new": some}


def _markdown(figures: Figures) -> str:
    rows = [
        (
            label,
            f"{max(one['seconds']):.2f} s",
            f"{one['before_mb']:,.0f} MB",
            f"{one['peak_mb'] - one['before_mb']:,.0f} MB",
        )
        for label, one in (
            ("nothing new", figures["nothing_new"]),
            (f"{figures['new']:,} new sessions", figures["some_new"]),
        )
    ]
    return (
        f"Ticks of the sensor `new_data` over a folder with {figures['sessions']:,} sessions, two files each, that the"
        " tables know: the slowest of three, in a process of its own that has loaded the definitions before.\n\n"
        + table(("", "a tick", "memory before", "memory above that"), rows)
    )


def _slowest(figures: Figures) -> float:
    return float(max(*figures["nothing_new"]["seconds"], *figures["some_new"]["seconds"]))


def _memory(figures: Figures) -> float:
    return float(max(one["peak_mb"] - one["before_mb"] for one in (figures["nothing_new"], figures["some_new"])))


PART: Final = Part(
    "sensor",
    "The sensor",
    _run,
    _markdown,
    (
        Target("A tick over a folder of 20,000 sessions", 5, _slowest, "s"),
        Target("A tick over 20,000 sessions, memory above the idle code server", 200, _memory, "MB"),
    ),
)
