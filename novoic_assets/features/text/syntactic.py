"""The family `syntactic`: word classes and the structure of sentences.

N is the number of parsed words, without fillers, unintelligible words, retraced words and punctuation. Word classes
are those of Universal Dependencies; relations are those of spaCy's English models (CLEAR style).
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from novoic_assets.features.family import Computed, Cost, Speaker, Undefined, Value
from novoic_assets.features.text.conversation import LEAST_WORDS, Conversation
from novoic_assets.features.text.grammar import Parse
from novoic_assets.features.text.session import grammar_family

NAME: Final = "syntactic"
VERSION: Final = "1"

OPEN_CLASSES: Final = ("NOUN", "PROPN", "VERB", "ADJ", "ADV")
CLOSED_CLASSES: Final = ("ADP", "AUX", "CCONJ", "DET", "NUM", "PART", "PRON", "SCONJ")
PROPOSITIONS: Final = ("VERB", "ADJ", "ADV", "ADP", "CCONJ", "SCONJ")
SUBORDINATE: Final = frozenset({"advcl", "ccomp", "acl", "relcl"})

_LEAST: Final = f"{LEAST_WORDS} words"
_SHORT: Final = (Undefined.TOO_SHORT,)
_SHORT_OR_ZERO: Final = (Undefined.TOO_SHORT, Undefined.ZERO_DENOMINATOR)


def _value(
    name: str,
    unit: str,
    formula: str,
    source: str,
    typical: tuple[float, float],
    undefined: tuple[Undefined, ...] = _SHORT,
) -> Value:
    return Value(
        name=name, unit=unit, formula=formula, source=source, typical=typical, undefined=undefined, least=_LEAST
    )


_FRASER: Final = "Fraser et al. 2016"
_MEMBERS: Final = (
    Value(
        name="mean_utt_words",
        unit="words",
        formula="N / utterances, an utterance being a run of the speaker's words",
        source=_FRASER,
        typical=(4, 80),
        undefined=_SHORT,
        least="1 utterance",
    ),
    _value("noun_rate", "ratio", "NOUN / N", _FRASER, (0.1, 0.3)),
    _value("pronoun_rate", "ratio", "PRON / N", _FRASER, (0.08, 0.25)),
    _value("pronoun_noun_ratio", "ratio", "PRON / (NOUN + PROPN)", _FRASER, (0.3, 2.0), _SHORT_OR_ZERO),
    _value("verb_rate", "ratio", "VERB / N", _FRASER, (0.08, 0.2)),
    _value("adj_rate", "ratio", "ADJ / N", _FRASER, (0.02, 0.1)),
    _value("adv_rate", "ratio", "ADV / N", _FRASER, (0.03, 0.15)),
    _value("det_rate", "ratio", "DET / N", _FRASER, (0.05, 0.2)),
    _value(
        "open_closed_ratio",
        "ratio",
        f"({' + '.join(OPEN_CLASSES)}) / ({' + '.join(CLOSED_CLASSES)})",
        "content density; Roark et al. 2011",
        (0.5, 1.5),
        _SHORT_OR_ZERO,
    ),
    _value(
        "idea_density",
        "ratio",
        f"({' + '.join(PROPOSITIONS)}) / N",
        "Snowdon et al. 1996; word classes as in CPIDR (Brown et al. 2008), without its adjustment rules",
        (0.3, 0.6),
    ),
    _value("aux_rate", "ratio", "AUX / N", _FRASER, (0.03, 0.15)),
    _value("pp_rate", "per utterance", "ADP that govern a word / utterances", _FRASER, (0.2, 8)),
    _value(
        "mean_dep_distance",
        "words",
        "mean of |place of a word - place of its head| over words whose head is a word, punctuation not counted",
        "Liu 2008",
        (1.8, 3.2),
        _SHORT_OR_ZERO,
    ),
    _value(
        "mean_tree_depth",
        "levels",
        "mean over sentences of the words on the longest way from the root to a word, both counted",
        "of dependencies; cf. Yngve 1960",
        (2.5, 6),
    ),
    _value(
        "subord_rate",
        "per utterance",
        "(advcl + ccomp + acl + relcl) / utterances",
        _FRASER,
        (0.05, 5),
    ),
)


def dependency_distances(parse: Parse) -> Iterator[int]:
    """Yield the distances of words from their heads, in words.

    Args:
        parse: The grammar of an utterance.

    Yields:
        The distance, at least 1, of each word whose head is another word. Punctuation marks are not counted.

    Example:
        >>> parse = Parse((True, True, True), ("DET", "NOUN", "VERB"), ("det", "nsubj", "ROOT"), (1, 2, 2), ("",) * 3)
        >>> list(dependency_distances(parse))  # the mother washes
        [1, 1]
    """
    positions = []
    position = 0
    for is_word in parse.is_word:
        positions.append(position)
        position += is_word
    for index, head in enumerate(parse.head):
        if head != index and parse.is_word[index] and parse.is_word[head]:
            yield abs(positions[index] - positions[head])


def tree_depths(parse: Parse) -> list[int]:
    """Return the depths of an utterance's sentences.

    Args:
        parse: The grammar of an utterance.

    Returns:
        For each sentence with words, the number of words on the longest path from its root to a word, both counted.
        Punctuation does not add a level.

    Example:
        >>> parse = Parse((True, True, True), ("DET", "NOUN", "VERB"), ("det", "nsubj", "ROOT"), (1, 2, 2), ("",) * 3)
        >>> tree_depths(parse)  # the mother washes
        [3]
    """
    # The sentence and level of each token, found on the path to the root; a path ends at the first known token.
    known: dict[int, tuple[int, int]] = {}
    deepest: dict[int, int] = {}
    for index, is_word in enumerate(parse.is_word):
        way = []
        token = index
        while token not in known and parse.head[token] != token:
            way.append(token)
            token = parse.head[token]
        root, level = known.setdefault(token, (token, int(parse.is_word[token])))
        for each in reversed(way):
            level += parse.is_word[each]
            known[each] = (root, level)
        if is_word:
            root, level = known[index]
            deepest[root] = max(level, deepest.get(root, 0))
    return list(deepest.values())


def _compute(model: str, conversation: Conversation, speaker: Speaker) -> Computed:
    parses = conversation.parses(model, speaker)
    classes: Counter[str] = Counter()
    distances: Counter[int] = Counter()
    depths: list[int] = []
    prepositions = subordinate = 0
    for parse in parses:
        classes.update(pos for pos, is_word in zip(parse.pos, parse.is_word, strict=True) if is_word)
        distances.update(dependency_distances(parse))
        depths.extend(tree_depths(parse))
        governing = {head for index, head in enumerate(parse.head) if head != index and parse.is_word[index]}
        prepositions += sum(parse.pos[index] == "ADP" for index in governing)
        subordinate += sum(dep in SUBORDINATE for dep in parse.dep)
    n = classes.total()
    if n < LEAST_WORDS:
        length = n / len(parses) if parses else Undefined.TOO_SHORT
        return [length, *[Undefined.TOO_SHORT] * (len(_MEMBERS) - 1)]

    def count(*names: str) -> int:
        return sum(classes[name] for name in names)

    n_distances = distances.total()
    return [
        n / len(parses),
        count("NOUN") / n,
        count("PRON") / n,
        _ratio(count("PRON"), count("NOUN", "PROPN")),
        count("VERB") / n,
        count("ADJ") / n,
        count("ADV") / n,
        count("DET") / n,
        _ratio(count(*OPEN_CLASSES), count(*CLOSED_CLASSES)),
        count(*PROPOSITIONS) / n,
        count("AUX") / n,
        prepositions / len(parses),
        _ratio(sum(distance * times for distance, times in distances.items()), n_distances),
        sum(depths) / len(depths),
        subordinate / len(parses),
    ]


def _ratio(numerator: float, denominator: float) -> float | Undefined:
    return numerator / denominator if denominator else Undefined.ZERO_DENOMINATOR


syntactic: Final = grammar_family(
    name=NAME,
    version=VERSION,
    description="Word classes, and how long and deep sentences are built.",
    members=_MEMBERS,
    cost=Cost(session=1e-3, word=6e-05),
    compute=_compute,
)
"""Makes the family for a spaCy model."""
