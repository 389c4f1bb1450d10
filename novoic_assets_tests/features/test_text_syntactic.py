"""The grammar of utterances and the family `syntactic`."""

import json
import logging
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from spacy.tokens import Doc

from novoic_assets.errors import NovoicError
from novoic_assets.features.family import ALL, INVESTIGATOR, PATIENT, Undefined
from novoic_assets.features.text import grammar
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.discourse import discourse
from novoic_assets.features.text.grammar import Parse, check_grammar
from novoic_assets.features.text.syntactic import dependency_distances, syntactic, tree_depths
from novoic_assets.sessions.transcript import Role, Segment, Word
from novoic_assets_tests.features.spoken import MODEL, computed, conversations, talk, timed

FAMILY = syntactic(MODEL)
LEAST = dict.fromkeys(FAMILY.value_names[1:], Undefined.TOO_SHORT)

# Sentences of undisputed grammar, by two speakers, with words and tokens that are not words.
STORY = [
    ("patient", "The mother washes the dishes in the kitchen ."),
    ("investigator", "What happens next ?"),
    (
        "patient",
        "The boy stands on a stool because he wants the cookies . The girl , who is laughing , wants them too .",
    ),
    ("investigator", "Good ."),
    ("patient", "The water runs quickly over the old sink and onto the floor ."),
]


@pytest.fixture(scope="module")
def full() -> Any:
    return spacy.load(MODEL)


def parse(words: str, heads: list[int], pos: str = "", deps: str = "") -> Parse:
    """A parse by hand, with heads by index; the root of a sentence is its own head."""
    texts = words.split()
    return Parse(
        is_word=tuple(text.isalpha() for text in texts),
        pos=tuple(pos.split()) or ("X",) * len(texts),
        dep=tuple(deps.split()) or ("dep",) * len(texts),
        head=tuple(heads),
        lemma=tuple(texts),
    )


# By hand


def test_distances_and_depths_of_trees_drawn_by_hand() -> None:
    # washes <- mother <- the, washes <- dishes <- the: 1 + 1 + 2 + 1, three levels
    one = parse("the mother washes the dishes .", [1, 2, 2, 4, 2, 2])
    assert sorted(dependency_distances(one)) == [1, 1, 1, 2]
    assert tree_depths(one) == [3]
    # A comma counts neither as a word on the way nor as a level.
    comma = parse("yes , she , runs", [4, 2, 1, 4, 4])
    assert sorted(dependency_distances(comma)) == [2]
    assert tree_depths(parse("a , b", [1, 2, 2])) == [2]
    # Two sentences, one of a single word; and a lone punctuation mark, which is not a sentence.
    two = parse("she runs . no ?", [1, 1, 1, 3, 4])
    assert tree_depths(two) == [2, 1]
    chain = parse("a b c d e", [1, 2, 3, 4, 4])
    assert tree_depths(chain) == [5]
    assert list(dependency_distances(chain)) == [1, 1, 1, 1]
    assert tree_depths(parse("", [])) == []


def test_a_story_counted_by_hand() -> None:
    found = computed(talk(*STORY), FAMILY)
    # 8 + 19 + 12 words in 3 utterances
    n = 39
    assert found["mean_utt_words"] == n / 3
    nouns = ["mother", "dishes", "kitchen", "boy", "stool", "cookies", "girl", "water", "sink", "floor"]
    assert found["noun_rate"] == pytest.approx(len(nouns) / n)
    pronouns = ["he", "who", "them"]
    assert found["pronoun_rate"] == pytest.approx(len(pronouns) / n)
    assert found["pronoun_noun_ratio"] == pytest.approx(len(pronouns) / len(nouns))
    verbs = ["washes", "stands", "wants", "laughing", "wants", "runs"]
    assert found["verb_rate"] == pytest.approx(len(verbs) / n)
    assert found["adj_rate"] == pytest.approx(1 / n)  # old
    adverbs = ["too", "quickly"]
    assert found["adv_rate"] == pytest.approx(len(adverbs) / n)
    determiners = ["The", "the", "the", "The", "a", "the", "The", "The", "the", "the"]
    assert found["det_rate"] == pytest.approx(len(determiners) / n)
    assert found["aux_rate"] == pytest.approx(1 / n)  # is
    prepositions = ["in", "on", "over", "onto"]
    assert found["pp_rate"] == pytest.approx(len(prepositions) / 3)
    content = len(nouns) + len(verbs) + 1 + len(adverbs)
    function = len(pronouns) + len(determiners) + len(prepositions) + 1 + 2  # is, and; because
    assert found["open_closed_ratio"] == pytest.approx(content / function)
    assert found["idea_density"] == pytest.approx((len(verbs) + 1 + len(adverbs) + len(prepositions) + 2) / n)
    assert found["subord_rate"] == pytest.approx(2 / 3)  # because he wants; who is laughing


# Against spaCy itself


def own_words(conversation: Conversation) -> Iterator[tuple[Role, list[str]]]:
    """The runs of a conversation without fillers, by an independent loop."""
    runs: list[tuple[Role, list[str]]] = []
    for segment in conversation.segments:
        for word in segment.words:
            if not runs or runs[-1][0] != word.speaker:
                runs.append((word.speaker, []))
            runs[-1][1].append(word.text)
    for role, words in runs:
        if any(map(str.isalpha, "".join(words))):
            yield role, [word for word in words if word not in ("uh", "um")]


def test_values_are_those_of_spacys_documents_walked_token_by_token(full: Any) -> None:
    conversation = talk(*STORY, ("patient", "um I can see that it uh falls"), ("patient", "no . yes !"))
    runs = [words for role, words in own_words(conversation) if role == PATIENT]
    # One document of all the patient's utterances; a sentence begins with each, and after each terminator.
    words = [word for run in runs for word in run]
    starts = [start or None for run in runs for start in (True, *(word in ".?!" for word in run[:-1]))]
    spaces = [word.isalnum() for word in [*words[1:], "."]]
    doc = full(Doc(full.vocab, words=words, spaces=spaces, sent_starts=starts))
    tokens = [token for token in doc if token.is_alpha]
    position = {token.i: n for n, token in enumerate(tokens)}
    found = computed(conversation, FAMILY)
    for name, classes in [
        ("noun_rate", {"NOUN"}),
        ("pronoun_rate", {"PRON"}),
        ("verb_rate", {"VERB"}),
        ("adj_rate", {"ADJ"}),
        ("adv_rate", {"ADV"}),
        ("det_rate", {"DET"}),
        ("aux_rate", {"AUX"}),
        ("idea_density", {"VERB", "ADJ", "ADV", "ADP", "CCONJ", "SCONJ"}),
    ]:
        assert found[name] == pytest.approx(sum(token.pos_ in classes for token in tokens) / len(tokens)), name
    distances = [
        abs(position[token.i] - position[token.head.i])
        for token in tokens
        if token.head != token and token.head.is_alpha
    ]
    assert found["mean_dep_distance"] == pytest.approx(sum(distances) / len(distances))
    depths = [
        max(1 + sum(ancestor.is_alpha for ancestor in token.ancestors) for token in sentence if token.is_alpha)
        for sentence in doc.sents
        if any(token.is_alpha for token in sentence)
    ]
    assert found["mean_tree_depth"] == pytest.approx(sum(depths) / len(depths))
    clauses = sum(token.dep_ in {"advcl", "ccomp", "acl", "relcl"} for token in doc)
    assert found["subord_rate"] == pytest.approx(clauses / 3)


def test_words_stand_as_given_and_sentences_end_where_the_transcript_says() -> None:
    conversation = talk(("patient", "don't it's ice-cream . no . Yes she runs ? ok"))
    (found,) = conversation.parses(MODEL, PATIENT)
    assert found.is_word == (True, True, True, False, True, False, True, True, True, False, True)
    sentence = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 3]
    assert all(sentence[head] == sentence[index] for index, head in enumerate(found.head))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations())
def test_a_parse_is_whole(conversation: Conversation) -> None:
    for utterance, found in zip(conversation.utterances, conversation.parses(MODEL, ALL), strict=True):
        words = [token for token in utterance.tokens if token.kind == "word"]
        assert sum(found.is_word) == len(words)
        assert all(0 <= head < len(found.head) for head in found.head)
        assert len({len(found.pos), len(found.dep), len(found.head), len(found.lemma), len(found.is_word)}) == 1
        assert all(depth >= 1 for depth in tree_depths(found))


# What values depend on


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations())
def test_swapped_speakers_swap_the_values(conversation: Conversation) -> None:
    other: dict[Role, Role] = {"patient": "investigator", "investigator": "patient", "other": "other"}
    swapped = Conversation(
        [
            Segment(segment.start, segment.end, tuple(Word(word.text, other[word.speaker]) for word in segment.words))
            for segment in conversation.segments
        ]
    )
    for family in (FAMILY, discourse(MODEL)):
        assert computed(swapped, family, INVESTIGATOR) == computed(conversation, family, PATIENT)
        assert computed(swapped, family, PATIENT) == computed(conversation, family, INVESTIGATOR)
        assert computed(swapped, family, ALL) == computed(conversation, family, ALL)


def test_what_others_say_moves_nothing() -> None:
    alone = talk(*((role, text if role == "patient" else "mhm") for role, text in STORY))
    assert computed(alone, FAMILY) == computed(talk(*STORY), FAMILY)
    assert alone.parses(MODEL, PATIENT)[1].pos == talk(*STORY).parses(MODEL, PATIENT)[1].pos


def test_sessions_come_in_any_order() -> None:
    generator = random.Random(2)
    words = " ".join(text for _, text in STORY).split()
    sessions = [" ".join(generator.choices(words, k=generator.randint(10, 60))) for _ in range(12)]
    first = [computed(talk(("patient", text)), FAMILY) for text in sessions]
    for index in generator.sample(range(12), 12):
        assert computed(talk(("patient", sessions[index])), FAMILY) == first[index]


PROGRAM = """
import json, sys
from novoic_assets.features.text.syntactic import syntactic
from novoic_assets_tests.features.spoken import MODEL, computed, talk
family = syntactic(MODEL)
assert "spacy" not in sys.modules, "the family's description loads no model"
print(json.dumps(computed(talk(*json.loads(sys.argv[1])), family)))
"""


def test_another_process_gives_the_same() -> None:
    command = [sys.executable, "-c", PROGRAM, json.dumps(STORY)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert json.loads(result.stdout) == computed(talk(*STORY), FAMILY)


def test_a_long_utterance_is_parsed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "the mother washes the dishes in the kitchen ."
    monkeypatch.setattr(grammar, "_DOCUMENT_TOKENS", 20)
    monkeypatch.setattr(grammar, "_BATCH_TOKENS", 40)
    (found,) = talk(("patient", " ".join([sentence] * 12))).parses(MODEL, PATIENT)
    assert len(found.head) == 9 * 12
    assert all(index // 9 == head // 9 for index, head in enumerate(found.head))
    assert tree_depths(found) == tree_depths(talk(("patient", sentence)).parses(MODEL, PATIENT)[0]) * 12
    (unbroken,) = talk(("patient", "well " * 105)).parses(MODEL, PATIENT)
    assert len(unbroken.head) == 105


# Too little speech


def test_too_few_words() -> None:
    assert computed(talk(("patient", "she washes the dishes .")), FAMILY) == {"mean_utt_words": 4, **LEAST}
    assert computed(talk(("patient", "um . uh")), FAMILY) == {"mean_utt_words": 0, **LEAST}
    laugh = talk(("patient", "&=laughs"), guidelines="chat")
    assert computed(laugh, FAMILY) == {"mean_utt_words": Undefined.TOO_SHORT, **LEAST}


def test_words_of_one_class() -> None:
    found = computed(talk(("patient", "she . " * 12)), FAMILY)
    assert found["pronoun_noun_ratio"] is Undefined.ZERO_DENOMINATOR
    assert found["mean_dep_distance"] is Undefined.ZERO_DENOMINATOR
    assert found["open_closed_ratio"] == 0


# Models and errors


def test_the_families_describe_themselves() -> None:
    for family in (FAMILY, discourse(MODEL)):
        assert family.settings == f"{MODEL} 3.8.0"
        sent = pickle.loads(pickle.dumps(family))
        assert computed(talk(*STORY), sent) == computed(talk(*STORY), family)


def test_a_model_without_what_is_needed(tmp_path: Any) -> None:
    nlp = spacy.blank("en")
    nlp.to_disk(tmp_path / "blank")
    for make in (syntactic, discourse):
        with pytest.raises(
            NovoicError, match=r"no tagger and no parser and no lemmatizer.*NOVOIC_SPACY_MODEL.*-syntactic"
        ):
            make(str(tmp_path / "blank"))
    spacy.load(MODEL, exclude=["parser", "ner"]).to_disk(tmp_path / "flat")
    with pytest.raises(NovoicError, match=r"has no parser;.*NOVOIC_SPACY_MODEL"):
        syntactic(str(tmp_path / "flat"))
    with pytest.raises(NovoicError, match=r"not installed.*NOVOIC_SPACY_MODEL"):
        syntactic("no_such_model")


def test_a_damaged_model(tmp_path: Any) -> None:
    folder = tmp_path / "damaged"
    spacy.load(MODEL, exclude=["ner"]).to_disk(folder)
    (folder / "parser" / "model").write_bytes(b"no model")
    with pytest.raises(NovoicError, match=r"cannot be loaded.*NOVOIC_SPACY_MODEL") as caught:
        computed(talk(*STORY), syntactic(str(folder)))
    assert caught.value.__context__ is None


def test_the_installed_model_by_its_folder(tmp_path: Any, full: Any) -> None:
    full.to_disk(tmp_path / "copy")
    assert check_grammar(str(tmp_path / "copy")) == FAMILY.settings
    assert computed(talk(*STORY), syntactic(str(tmp_path / "copy"))) == computed(talk(*STORY), FAMILY)


def test_spacy_keeps_no_word_and_its_errors_quote_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    nlp = grammar._load(MODEL)
    computed(talk(*STORY), FAMILY)
    strings = len(nlp.vocab.strings)
    computed(talk(("patient", " ".join(f"neologism{n}" for n in range(50)))), FAMILY)
    assert len(nlp.vocab.strings) == strings

    def failing(*_: object, **__: object) -> None:
        raise KeyError("secretword")

    monkeypatch.setattr(nlp, "pipe", failing)
    with pytest.raises(RuntimeError) as caught:
        computed(talk(("patient", "secretword is what was said here by them all day long")), FAMILY)
    monkeypatch.undo()
    assert str(caught.value) == "spaCy failed on an utterance (KeyError)"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "secretword" not in caplog.text + "".join(capfd.readouterr())
    assert "secretword" not in repr(talk(("patient", "secretword")))
    computed(timed(("patient", 0, 1, "the zone was closed")), FAMILY)
