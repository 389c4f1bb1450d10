"""The family `lexical`: how rich a speaker's vocabulary is.

N is the number of words, V the number of different words and V1 the number of words that occur once; `word_type`
decides which words are the same. Fillers, unintelligible words, retraced words and punctuation do not count.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from novoic_assets.features.family import Computed, Cost, Flag, Speaker, Undefined, Value
from novoic_assets.features.text.conversation import LEAST_WORDS, Conversation
from novoic_assets.features.text.session import TextFamily
from novoic_assets.features.text.utterances import word_type

NAME: Final = "lexical"
VERSION: Final = "1"

BRUNET_EXPONENT: Final = 0.165
"""Brunet's exponent (1978). Some software uses 0.172; compare values only under the same exponent."""
MATTR_WINDOW: Final = 50

_GROWS: Final = frozenset({Flag.GROWS_WITH_LENGTH})
_LEAST: Final = f"{LEAST_WORDS} words"

_MEMBERS: Final = (
    Value(
        name="n_words",
        unit="words",
        formula="N, the words without fillers, unintelligible and retraced ones, and punctuation",
        source="count",
        typical=(50, 2_000),
        flags=_GROWS,
    ),
    Value(
        name="ttr",
        unit="ratio",
        formula="V/N, V the number of different words",
        source="type-token ratio; Templin 1957",
        typical=(0.3, 0.8),
        undefined=(Undefined.TOO_SHORT,),
        least=_LEAST,
        flags=_GROWS,
    ),
    Value(
        name="mattr_50",
        unit="ratio",
        formula=f"mean of V/{MATTR_WINDOW} over all windows of {MATTR_WINDOW} consecutive words",
        source="Covington & McFall 2010",
        typical=(0.6, 0.85),
        undefined=(Undefined.TOO_SHORT,),
        least=f"{MATTR_WINDOW} words",
    ),
    Value(
        name="brunet",
        unit="1",
        formula=f"N^(V^-{BRUNET_EXPONENT})",
        source="Brunet 1978",
        typical=(9, 17),
        undefined=(Undefined.TOO_SHORT,),
        least=_LEAST,
        flags=_GROWS,
    ),
    Value(
        name="honore",
        unit="1",
        formula="100 ln(N) / (1 - V1/V), V1 the number of words that come once",
        source="Honoré 1979",
        typical=(700, 2_500),
        undefined=(Undefined.TOO_SHORT, Undefined.ZERO_DENOMINATOR),
        least=f"{_LEAST}, one of them twice",
        flags=_GROWS,
    ),
    Value(
        name="hapax_ratio",
        unit="ratio",
        formula="V1/N",
        source="Tweedie & Baayen 1998",
        typical=(0.1, 0.6),
        undefined=(Undefined.TOO_SHORT,),
        least=_LEAST,
        flags=_GROWS,
    ),
    Value(
        name="mean_word_len",
        unit="characters",
        formula="characters of all words / N",
        source="Fraser et al. 2016",
        typical=(3.2, 4.6),
        undefined=(Undefined.TOO_SHORT,),
        least=_LEAST,
    ),
)


def lexical(_model: str) -> TextFamily:
    """Make the family; it needs no model."""
    return TextFamily(
        name=NAME,
        version=VERSION,
        cost=Cost(session=1e-3, word=3e-06),
        description="Vocabulary: how many words, how many different ones, and how long they are.",
        members=_MEMBERS,
        compute=_compute,
    )


def mean_types(words: Sequence[str], window: int) -> float:
    """Return the mean number of different words in a window that slides over a text, word by word.

    Args:
        words: The text, at least `window` words.
        window: Length of the window in words.

    Returns:
        The mean over all windows, between 1 and `window`.

    Example:
        >>> mean_types(["the", "cookie", "the", "the"], window=2)  # 2, 2 and 1 different words
        1.6666666666666667
    """
    counts = Counter(words[:window])
    total = len(counts)
    for leaving, entering in zip(words, words[window:], strict=False):
        counts[entering] += 1
        counts[leaving] -= 1
        if not counts[leaving]:
            del counts[leaving]
        total += len(counts)
    return total / (len(words) - window + 1)


def _compute(conversation: Conversation, speaker: Speaker) -> Computed:
    words = [word_type(word) for word in conversation.lexical_words(speaker)]
    n = len(words)
    if n < LEAST_WORDS:
        return [n, *[Undefined.TOO_SHORT] * (len(_MEMBERS) - 1)]
    counts = Counter(words)
    v = len(counts)
    v1 = sum(count == 1 for count in counts.values())
    return [
        n,
        v / n,
        mean_types(words, MATTR_WINDOW) / MATTR_WINDOW if n >= MATTR_WINDOW else Undefined.TOO_SHORT,
        n ** (v**-BRUNET_EXPONENT),
        100 * math.log(n) / (1 - v1 / v) if v1 < v else Undefined.ZERO_DENOMINATOR,
        v1 / n,
        sum(map(len, words)) / n,
    ]
