"""The family `discourse`: fillers, repetition, questions, and the similarity of a speaker's utterances."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from novoic_assets.features.family import Computed, Cost, Flag, Speaker, Undefined, Value
from novoic_assets.features.text.conversation import LEAST_WORDS, Conversation
from novoic_assets.features.text.grammar import Parse
from novoic_assets.features.text.lexical import mean_types
from novoic_assets.features.text.session import grammar_family
from novoic_assets.features.text.utterances import TokenKind, word_type

NAME: Final = "discourse"
VERSION: Final = "1"

REPEAT_WINDOW: Final = 10

_SPOKEN: Final = f"{LEAST_WORDS} words"
_MEMBERS: Final = (
    Value(
        name="n_utterances",
        unit="utterances",
        formula="number of utterances, each a run of the speaker's words",
        source="count",
        typical=(2, 200),
        flags=frozenset({Flag.GROWS_WITH_LENGTH}),
    ),
    Value(
        name="filler_rate",
        unit="per 100 words",
        formula="100 fillers (uh, um, er, erm, mm, and what CHAT marks as one) / words, retraced ones counted",
        source="Yuan et al. 2021",
        typical=(0, 12),
        undefined=(Undefined.TOO_SHORT,),
        least=_SPOKEN,
    ),
    Value(
        name="um_share",
        unit="ratio",
        formula="um / (um + uh)",
        source="Yuan et al. 2021",
        typical=(0, 1),
        undefined=(Undefined.ZERO_DENOMINATOR,),
        least="1 uh or um",
    ),
    Value(
        name="word_repeat_pct",
        unit="%",
        formula=f"100 (1 - V/{REPEAT_WINDOW}), mean over all windows of {REPEAT_WINDOW} consecutive words, retraced"
        " ones counted; V the number of different words in the window",
        source="repetition within a window, as in OpenWillis",
        typical=(3, 30),
        undefined=(Undefined.TOO_SHORT,),
        least=f"{REPEAT_WINDOW} words",
    ),
    Value(
        name="utt_cos_sim",
        unit="ratio",
        formula="mean over all pairs of utterances of the cosine of their counts of lemmas",
        source="Fraser et al. 2016",
        typical=(0.05, 0.6),
        undefined=(Undefined.TOO_SHORT,),
        least="2 utterances with a word",
    ),
    Value(
        name="question_rate",
        unit="ratio",
        formula="utterances that end in a question mark / utterances",
        source="Thomas et al. 2017",
        typical=(0, 0.3),
        undefined=(Undefined.TOO_SHORT, Undefined.UNMARKED),
        least="1 utterance, in a transcript with punctuation",
    ),
    Value(
        name="unintelligible_rate",
        unit="per 100 words",
        formula="100 unintelligible (xxx, yyy, www) / (words, retraced ones counted, + unintelligible)",
        source="CHAT; MacWhinney 2000",
        typical=(0, 8),
        undefined=(Undefined.TOO_SHORT, Undefined.UNMARKED),
        least=f"{_SPOKEN}, unintelligible ones counted, in a CHAT transcript",
    ),
    Value(
        name="retracing_rate",
        unit="per 100 words",
        formula="100 retraced words ([/], [//], [///], [/-], [e]) / words, retraced ones counted",
        source="CHAT; MacWhinney 2000",
        typical=(0, 15),
        undefined=(Undefined.TOO_SHORT, Undefined.UNMARKED),
        least=f"{_SPOKEN}, in a CHAT transcript",
    ),
)


def mean_cosine(parses: Sequence[Parse]) -> float | Undefined:
    """Return the mean cosine between the lemma counts of all pairs of utterances.

    Args:
        parses: The grammar of the utterances; those without words are ignored.

    Returns:
        A number between 0 and 1; `too_short` if fewer than two utterances have words.
    """
    # The sum of the unit vectors gives the sum over all pairs: |sum|^2 = n + 2 (sum over pairs).
    weights: dict[str, list[float]] = {}
    n = 0
    for parse in parses:
        counts = Counter(lemma for lemma, is_word in zip(parse.lemma, parse.is_word, strict=True) if is_word)
        if counts:
            n += 1
            length = math.sqrt(sum(count * count for count in counts.values()))
            for lemma, count in counts.items():
                weights.setdefault(lemma, []).append(count / length)
    if n < 2:
        return Undefined.TOO_SHORT
    square = math.fsum(math.fsum(each) ** 2 for each in weights.values())
    # Rounding may leave 1e-17 below 0, or above 1.
    return min(max((square - n) / (n * (n - 1)), 0.0), 1.0)


def _compute(model: str, conversation: Conversation, speaker: Speaker) -> Computed:
    utterances = conversation.said_by(speaker)
    tokens = list(conversation.tokens(speaker))
    spoken = [word_type(word) for word in conversation.spoken_words(speaker)]
    fillers = Counter(token.text for token in tokens if token.kind is TokenKind.FILLER)
    unintelligible = sum(token.kind is TokenKind.UNINTELLIGIBLE for token in tokens)
    retraced = sum(token.is_retraced for token in tokens if token.kind is TokenKind.WORD)
    n = len(spoken)
    is_long_enough = n >= LEAST_WORDS
    hesitations = fillers["um"] + fillers["uh"]
    return [
        len(utterances),
        100 * fillers.total() / n if is_long_enough else Undefined.TOO_SHORT,
        fillers["um"] / hesitations if hesitations else Undefined.ZERO_DENOMINATOR,
        100 * (1 - mean_types(spoken, REPEAT_WINDOW) / REPEAT_WINDOW) if n >= REPEAT_WINDOW else Undefined.TOO_SHORT,
        mean_cosine(conversation.parses(model, speaker)),
        _question_rate(conversation, speaker),
        _of_chat(conversation, unintelligible, n + unintelligible),
        _of_chat(conversation, retraced, n),
    ]


def _question_rate(conversation: Conversation, speaker: Speaker) -> float | Undefined:
    utterances = conversation.said_by(speaker)
    if not utterances:
        return Undefined.TOO_SHORT
    if not any(utterance.is_terminated for utterance in conversation.utterances):
        return Undefined.UNMARKED
    return sum(utterance.is_question for utterance in utterances) / len(utterances)


def _of_chat(conversation: Conversation, marked: int, of_words: int) -> float | Undefined:
    """Marked words per 100 words; `unmarked` if the transcript is not in CHAT."""
    if not conversation.is_chat:
        return Undefined.UNMARKED
    return 100 * marked / of_words if of_words >= LEAST_WORDS else Undefined.TOO_SHORT


discourse: Final = grammar_family(
    name=NAME,
    version=VERSION,
    description="Fillers, repetition, questions, and how alike a speaker's utterances are.",
    members=_MEMBERS,
    cost=Cost(session=1e-3, word=5e-06),
    compute=_compute,
)
"""Makes the family for a spaCy model."""
