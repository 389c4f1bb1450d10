"""The command `python -m benchmarks --short` or `--full`.

`--only sessions --only tasks` measures these parts again and keeps the figures of the others.
"""

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.common import ROOT, SPEECH, Bench, BenchmarkError, note
from benchmarks.part import Part
from benchmarks.parts import (
    arrivals,
    audio,
    challenge,
    end_to_end,
    engines,
    memory,
    sensor,
    sessions,
    slow,
    tasks,
    text,
    volume,
)
from benchmarks.report import Report

PARTS: Final[tuple[Part, ...]] = (
    sessions.PART,
    slow.PART,
    tasks.PART,
    challenge.PART,
    audio.PART,
    text.PART,
    end_to_end.PART,
    volume.PART,
    engines.PART,
    memory.PART,
    sensor.PART,
    arrivals.PART,
)
_NAMES: Final = ", ".join(part.name for part in PARTS)


def main(
    *,
    short: Annotated[bool, typer.Option("--short/--full", help="Small sizes, or the published ones.")],
    page: Annotated[bool, typer.Option("--page", help="Measure nothing; write the page from its JSON.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"A part to measure; repeat it for more: {_NAMES}.")] = None,
    speech: Annotated[
        Path, typer.Option(help="Folder of real utterances: WAV or FLAC files that are named by their speakers.")
    ] = SPEECH,
    work: Annotated[
        Path | None, typer.Option(help="Folder for corpora, which keeps those of volume; a temporary one by default.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results; by default docs/ for the full form, and below --work for the short one."
        ),
    ] = None,
) -> None:
    """Measure speed and memory, and write the results as a page, JSON and pictures.

    The parts are independent: each replaces its own results only.
    """
    unknown = set(only or ()) - {part.name for part in PARTS}
    if unknown:
        raise typer.BadParameter(f"unknown part {', '.join(sorted(unknown))}; choose from {_NAMES}")
    with ExitStack() as stack:
        if work is None:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        bench = Bench(work.resolve(), short, speech.resolve())
        report = Report((out or (bench.work / "results" if short else ROOT / "docs")).resolve(), PARTS)
        if page:
            report.write()
            return
        failed = [part.name for part in PARTS if only is None or part.name in only if not _measure(part, bench, report)]
        if short:
            sys.stdout.write(report.markdown())
    if failed:
        note(f"failed: {', '.join(failed)}")
        raise typer.Exit(1)


def _measure(part: Part, bench: Bench, report: Report) -> bool:
    """Run a part, write its results, and return whether it succeeded; a missing requirement is no failure."""
    reason = part.missing(bench)
    if reason is None and bench.short and report.is_full(part):
        reason = "short results would replace full ones"
    if reason is not None:
        note(f"{part.name} is skipped: {reason}")
        return True
    load = os.getloadavg()[0]
    note(f"{part.name}, load {load:.1f}")
    start = time.perf_counter()
    try:
        figures = part.run(bench)
    except BenchmarkError as error:
        note(f"{part.name}: {error}")
        return False
    seconds = time.perf_counter() - start
    report.add(part, figures, short=bench.short, seconds=seconds, load=load)
    note(f"{part.name}: done in {seconds:.0f} s")
    return True


if __name__ == "__main__":
    typer.run(main)
