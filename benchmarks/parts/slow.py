"""A slow family, whose work should be spread over the workers even for few and short sessions."""

from typing import Final

from benchmarks.common import TWO_FAMILIES, Bench, Figures, no_speech, note
from benchmarks.corpora import write_corpus
from benchmarks.measure import child
from benchmarks.novoic import check_outcome, materialize
from benchmarks.part import Part, Target, table
from benchmarks.slow_family import SECONDS

_SECONDS: Final = 5.0
_FAMILIES: Final = f"{TWO_FAMILIES},-word_vector,benchmarks.slow_family:SLOW"


def _run(bench: Bench) -> Figures:
    sessions = 12 if bench.short else 20
    runs: dict[str, Figures] = {}
    with bench.scratch("slow") as folder:
        write_corpus(folder / "raw", bench.voices, sessions, [_SECONDS] * sessions)
        for workers in (1, 2):
            note(f"slow: {sessions} sessions, NOVOIC_WORKERS={workers}")
            with bench.scratch("slow_run") as place:
                done = materialize(folder / "raw", place / "store", place, families=_FAMILIES, workers=workers)
                check_outcome(place / "store", sessions, published=False)
                computing = child("stage_seconds", history=str(place), asset="text_features")["seconds"]
            runs[str(workers)] = {**done.figures(), "computing_s": computing}
    return {"sessions": sessions, "runs": runs}


def _ratio(figures: Figures) -> float:
    one, two = (figures["runs"][workers]["computing_s"] for workers in ("1", "2"))
    return float(two / one)


def _markdown(figures: Figures) -> str:
    rows = [
        (
            workers,
            f"{run['workers']:g}",
            f"{run['computing_s']:.1f} s",
            f"{run['wall_s']:.1f} s",
            f"{run['cpu_s']:.1f} s",
        )
        for workers, run in figures["runs"].items()
    ]
    return (
        f"Runs over {figures['sessions']} sessions of {_SECONDS:g} s, with one family that takes {SECONDS:g} s of CPU"
        f" for each. With two workers the stage, their start included, takes {_ratio(figures):.2f} of the time with"
        " one.\n\n" + table(("NOVOIC_WORKERS", "workers", "the stage", "wall of the run", "CPU"), rows)
    )


PART: Final = Part(
    "slow",
    "A slow family",
    _run,
    _markdown,
    (Target("20 sessions of a family of 0.5 s: time of two workers, times that of one", 0.65, _ratio, ""),),
    missing=no_speech,
)
