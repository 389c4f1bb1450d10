"""Time and memory of a tick of the sensor over a large raw folder or bucket."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import obstore
from obstore.store import S3Store

from benchmarks.common import ROOT, Bench, Figures, environment, note, require
from benchmarks.measure import child
from benchmarks.part import Part, Target, table
from novoic_assets.storage.s3 import open_store
from novoic_assets_tests.weed import seaweedfs

_SESSIONS: Final = 20_000
_NEW_SHARE: Final = 0.01
_HOUR: Final = 3600.0  # s; the sensor takes younger files for files that may still be written
_PUTS_AT_ONCE: Final = 64
_LABELS: Final = {"folder": "folder", "bucket": "bucket (SeaweedFS on the same machine)"}

Write = Callable[[dict[str, bytes]], None]
"""Writes files below the raw root."""


def _run(bench: Bench) -> Figures:
    sessions = 500 if bench.short else _SESSIONS
    figures: Figures = {"sessions": sessions, "new": round(_NEW_SHARE * sessions)}
    with bench.scratch("sensor") as folder:
        shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")
        places = {"raw": str(folder / "raw"), "store": str(folder / "store"), "history": str(folder)}
        figures["folder"] = _measure("folder", figures, places, partial(_write_files, folder / "raw"))
    with bench.scratch("sensor") as folder, seaweedfs(folder / "seaweedfs") as server:
        server.make_bucket("lab")
        shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")
        places = {"raw": "s3://lab/raw", "store": "s3://lab/store", "history": str(folder)}
        with environment(server.environment):
            raw = open_store(places["raw"], "NOVOIC_RAW")
            figures["bucket"] = _measure("bucket", figures, places, lambda files: asyncio.run(_put_files(raw, files)))
    return figures


def _measure(kind: str, figures: Figures, places: Mapping[str, str], write: Write) -> Figures:
    sessions, new = figures["sessions"], figures["new"]
    note(f"sensor: {kind} of {sessions:,} sessions")
    rows = [f"P{patient:06},60,female,28,{patient % 2},train" for patient in range(sessions)]
    write({"metadata.csv": "\n".join(["speakerid,age,gender,mmse,ad_status,set", *rows]).encode()})
    write(_files(0, sessions))
    child("first_stages", **places, names=["raw_metadata", "raw_transcripts", "raw_audio"])
    nothing = child("sensor_ticks", **places)
    write(_files(sessions, sessions + new))
    some = child("sensor_ticks", **places)
    require(nothing["files"] == 0, "a tick found new files, though there were none")
    require(some["files"] == 2 * new, f"a tick found {some['files']} new files, not {2 * new}")
    return {"nothing_new": nothing, "some_new": some}


def _files(first: int, last: int) -> dict[str, bytes]:
    """Return the two files of each session, of one byte, since a tick only lists them."""
    names = [f"S{session:06}" for session in range(first, last)]
    return {path: b"x" for name in names for path in (f"text/{name}.xml", f"audio/{name}.wav")}


def _write_files(raw: Path, files: Mapping[str, bytes]) -> None:
    hour_ago = time.time() - _HOUR
    for path, data in files.items():
        file = raw / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        os.utime(file, (hour_ago, hour_ago))


async def _put_files(raw: S3Store, files: Mapping[str, bytes]) -> None:
    turn = asyncio.Semaphore(_PUTS_AT_ONCE)

    async def put(path: str, data: bytes) -> None:
        async with turn:
            await obstore.put_async(raw, path, data)

    await asyncio.gather(*(put(path, data) for path, data in files.items()))


def _markdown(figures: Figures) -> str:
    rows = [
        (
            f"{label}, {what}",
            f"{max(one['seconds']):.2f} s",
            f"{one['before_mb']:,.0f} MB",
            f"{one['peak_mb'] - one['before_mb']:,.0f} MB",
        )
        for kind, label in _LABELS.items()
        for what, one in (
            ("nothing new", figures[kind]["nothing_new"]),
            (f"{figures['new']:,} new sessions", figures[kind]["some_new"]),
        )
    ]
    return (
        f"`new_data` over {figures['sessions']:,} known sessions, two files each: the slowest of three ticks, in a"
        " process that has loaded the definitions.\n\n"
        + table(("", "a tick", "memory before", "memory above that"), rows)
    )


def _slowest(kind: str) -> Callable[[Figures], float]:
    return lambda figures: float(max(second for one in figures[kind].values() for second in one["seconds"]))


def _memory(figures: Figures) -> float:
    ticks = [one for kind in _LABELS for one in figures[kind].values()]
    return float(max(one["peak_mb"] - one["before_mb"] for one in ticks))


PART: Final = Part(
    "sensor",
    "The sensor",
    _run,
    _markdown,
    (
        Target("a tick over a folder of 20,000 sessions", 5, _slowest("folder"), "s"),
        Target("a tick over a bucket of 20,000 sessions", 20, _slowest("bucket"), "s"),
        Target("a tick over 20,000 sessions, memory above the idle code server", 200, _memory, "MB"),
    ),
)
