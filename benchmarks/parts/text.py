"""Text features: words per second, beside the complete spaCy pipeline."""

from operator import itemgetter
from statistics import median
from typing import Final

from benchmarks.common import Bench, Figures, note
from benchmarks.measure import child
from benchmarks.part import Part, Target, table


def _run(bench: Bench) -> Figures:
    count, repeats = (400, 1) if bench.short else (2_500, 5)
    ours, whole = [], []
    for number in range(repeats):
        note(f"text: {number + 1} of {repeats}")
        ours.append(child("text", count=count))
        whole.append(child("whole_pipeline", count=count))
    return {
        "transcript": f"{count:,} words in sentences of the sample corpus, {ours[0]['distinct']:,} of them distinct",
        "repeats": repeats,
        **{name: median(one[name] for one in ours) for name in ("words_per_s", "unknown_words_per_s", "model_mb")},
        "each": {name: median(one["each"][name] for one in ours) for name in ours[0]["each"]},
        "pipeline_words_per_s": median(one["words_per_s"] for one in whole),
    }


def _markdown(figures: Figures) -> str:
    rows = [
        ("**all our families**", figures["words_per_s"]),
        *((f"`{name}` alone", speed) for name, speed in sorted(figures["each"].items(), key=itemgetter(1))),
        ("`word_vector` before it knows a word", figures["unknown_words_per_s"]),
        ("spaCy's `nlp(word).vector` for each word", figures["pipeline_words_per_s"]),
    ]
    return (
        f"A transcript of {figures['transcript']}; words for a second of CPU, one process, median of"
        f" {figures['repeats']}. The model takes {figures['model_mb']:,.0f} MB with spaCy.\n\n"
        + table(("", "words/s"), [(name, f"{speed:,.0f}") for name, speed in rows])
    )


PART: Final = Part(
    "text",
    "Text",
    _run,
    _markdown,
    (
        Target(
            "`word_vector`, words known, words/s of a core",
            100_000,
            lambda figures: float(figures["each"]["word_vector"]),
            "",
            at_least=True,
        ),
        Target(
            "all text families, words/s of a core",
            10_000,
            lambda figures: float(figures["words_per_s"]),
            "",
            at_least=True,
        ),
    ),
)
