"""The family `word_vector`: words per second, beside the whole spaCy pipeline."""

from statistics import median
from typing import Final

from benchmarks.common import Bench, Figures, note
from benchmarks.measure import child
from benchmarks.part import Part, Target, table


def _run(bench: Bench) -> Figures:
    count, repeats, least = (400, 1, 0.5) if bench.short else (2_500, 5, 2.0)
    ours, whole = [], []
    for number in range(repeats):
        note(f"text: {number + 1} of {repeats}")
        ours.append(child("words", count=count, least_seconds=least))
        whole.append(child("whole_pipeline", count=count))
    names = ("cold_words_per_s", "cold_distinct_per_s", "warm_words_per_s", "model_mb")
    return {
        "words": count,
        "distinct": ours[0]["distinct"],
        "repeats": repeats,
        **{name: median(one[name] for one in ours) for name in names},
        "pipeline_words_per_s": median(one["words_per_s"] for one in whole),
    }


def _markdown(figures: Figures) -> str:
    pipeline = figures["pipeline_words_per_s"]

    def row(name: str, speed: float) -> tuple[str, str, str]:
        return name, f"{speed:,.0f}", f"{speed / pipeline:,.1f}"

    return (
        f"A transcript of {figures['words']:,} words, {figures['distinct']:,} of them distinct; values for three"
        f" speakers. CPU time of one core, model loaded, median of {figures['repeats']}. Loading the model takes"
        f" {figures['model_mb']:,.0f} MB, spaCy included.\n\n"
        + table(
            ("", "words/s", "factor"),
            [
                row("`word_vector`, all words known", figures["warm_words_per_s"]),
                row("`word_vector`, no word known", figures["cold_words_per_s"]),
                row("`nlp(word).vector` for each word", pipeline),
            ],
        )
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
            lambda figures: figures["warm_words_per_s"],
            "",
            at_least=True,
        ),
    ),
)
