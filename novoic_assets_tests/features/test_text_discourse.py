"""The family `discourse`: against texts counted by hand and plain formulas."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from novoic_assets.features.family import INVESTIGATOR, PATIENT, Undefined
from novoic_assets.features.text.conversation import LEAST_WORDS, Conversation
from novoic_assets.features.text.discourse import discourse, mean_cosine
from novoic_assets_tests.features.spoken import MODEL, computed, conversations, talk

FAMILY = discourse(MODEL)


def test_a_conversation_counted_by_hand() -> None:
    conversation = talk(
        ("investigator", "what is this ?"),
        ("patient", "um the boy the boy takes uh a um cookie ."),
        ("patient", "erm is that right ?"),
        ("investigator", "yes . and ?"),
        ("patient", "is it"),
        ("investigator", "go on ."),
        ("patient", "Umm it falls"),
    )
    found = computed(conversation, FAMILY)
    assert found["n_utterances"] == 3
    # 7 + 3 + 2 + 2 words; 5 fillers, among them 3 um and 1 uh
    assert found["filler_rate"] == pytest.approx(100 * 5 / 14)
    assert found["um_share"] == pytest.approx(3 / 4)
    assert found["question_rate"] == pytest.approx(1 / 3)  # the run ends in "right ?"
    assert computed(conversation, FAMILY, INVESTIGATOR)["question_rate"] == pytest.approx(2 / 3)
    # the boy the boy takes a cookie is that right: 8 different words of 10, and 8 in each of the four windows after:
    # boy the boy takes .. is; the boy .. is it; boy .. is it it; takes .. it falls
    assert found["word_repeat_pct"] == pytest.approx(100 * (1 - (8 + 8 + 9 + 8 + 8) / 50))
    assert found["unintelligible_rate"] is Undefined.UNMARKED
    assert found["retracing_rate"] is Undefined.UNMARKED


def test_a_chat_transcript_counted_by_hand() -> None:
    conversation = talk(
        ("patient", "<the boy> [//] the girl &-um takes [/] takes xxx the cookie ."),
        ("investigator", "uhhuh ."),
        ("patient", "&-uh www . &=laughs is it [/] it +..?"),
        guidelines="chat",
    )
    found = computed(conversation, FAMILY)
    # 8 + 3 words, 2 + 1 + 1 of them retraced; 2 unintelligible words, 2 fillers
    assert found["filler_rate"] == pytest.approx(100 * 2 / 11)
    assert found["retracing_rate"] == pytest.approx(100 * 4 / 11)
    assert found["unintelligible_rate"] == pytest.approx(100 * 2 / 13)
    assert found["question_rate"] == pytest.approx(1 / 2)
    # Retraced words are repeated ones: the boy the girl takes takes the cookie is it | it
    assert found["word_repeat_pct"] == pytest.approx(100 * (1 - (7 + 7) / 20))


def test_cosine_of_utterances_by_hand() -> None:
    both = talk(("patient", "the boy runs"), ("investigator", "and"), ("patient", "a boy ran"))
    # By lemmas: the boy run, a boy run: two of three are the same.
    assert computed(both, FAMILY)["utt_cos_sim"] == pytest.approx(2 / 3)
    apart = talk(("patient", "she sleeps ."), ("investigator", "and"), ("patient", "dogs bark ."))
    assert computed(apart, FAMILY)["utt_cos_sim"] == 0
    same = talk(*(("patient", "the boy runs"), ("investigator", "and")) * 3)
    assert computed(same, FAMILY)["utt_cos_sim"] == pytest.approx(1)
    assert computed(talk(("patient", "the boy runs")), FAMILY)["utt_cos_sim"] is Undefined.TOO_SHORT


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations())
def test_cosine_is_the_mean_over_all_pairs(conversation: Conversation) -> None:
    bags = [
        Counter(lemma for lemma, is_word in zip(parse.lemma, parse.is_word, strict=True) if is_word)
        for parse in conversation.parses(MODEL, PATIENT)
    ]
    bags = [bag for bag in bags if bag]
    names = sorted({lemma for bag in bags for lemma in bag})
    rows = [np.array([bag[name] for name in names], float) for bag in bags]
    cosines = [
        one @ other / np.linalg.norm(one) / np.linalg.norm(other) for one, other in itertools.combinations(rows, 2)
    ]
    found = mean_cosine(conversation.parses(MODEL, PATIENT))
    if cosines:
        assert found == pytest.approx(np.mean(cosines), abs=1e-9)
    else:
        assert found is Undefined.TOO_SHORT


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations())
def test_the_formulas(conversation: Conversation) -> None:
    runs: list[tuple[str, list[str]]] = []
    for segment in conversation.segments:
        for word in segment.words:
            if not runs or runs[-1][0] != word.speaker:
                runs.append((word.speaker, []))
            runs[-1][1].append(word.text)
    # A run of only punctuation may join its neighbours into one utterance; other tests cover this.
    if any(all(text in ".?," for text in texts) for _, texts in runs):
        return
    own = [texts for speaker, texts in runs if speaker == "patient"]
    fillers = Counter(text for texts in own for text in texts if text in ("uh", "um"))
    words = [text.lower() for texts in own for text in texts if text not in ("uh", "um", ".", "?", ",")]
    found = computed(conversation, FAMILY)
    assert found["n_utterances"] == len(own)
    if len(words) >= LEAST_WORDS:
        assert found["filler_rate"] == pytest.approx(100 * fillers.total() / len(words))
        repeated = [10 - len(set(words[start : start + 10])) for start in range(len(words) - 9)]
        assert found["word_repeat_pct"] == pytest.approx(100 * sum(repeated) / 10 / len(repeated))
    else:
        assert found["filler_rate"] is found["word_repeat_pct"] is Undefined.TOO_SHORT
    if fillers:
        assert found["um_share"] == pytest.approx(fillers["um"] / fillers.total())
    else:
        assert found["um_share"] is Undefined.ZERO_DENOMINATOR
    if own and any(texts[-1] in ".?" for _, texts in runs):
        assert found["question_rate"] == pytest.approx(sum(texts[-1] == "?" for texts in own) / len(own))
    else:
        assert found["question_rate"] in (Undefined.TOO_SHORT, Undefined.UNMARKED)


def test_a_transcript_without_punctuation_has_no_questions_to_count() -> None:
    assert computed(talk(("patient", "is it")), FAMILY)["question_rate"] is Undefined.UNMARKED
    marked = talk(("patient", "is it"), ("investigator", "yes ."))
    assert computed(marked, FAMILY)["question_rate"] == 0
    assert computed(talk(("patient", "is it right?")), FAMILY)["question_rate"] == 1


def test_a_speaker_of_whom_only_a_laugh_is_marked() -> None:
    found = computed(talk(("patient", "&=laughs ."), guidelines="chat"), FAMILY)
    assert found == {
        "n_utterances": 0,
        "filler_rate": Undefined.TOO_SHORT,
        "um_share": Undefined.ZERO_DENOMINATOR,
        "word_repeat_pct": Undefined.TOO_SHORT,
        "utt_cos_sim": Undefined.TOO_SHORT,
        "question_rate": Undefined.TOO_SHORT,
        "unintelligible_rate": Undefined.TOO_SHORT,
        "retracing_rate": Undefined.TOO_SHORT,
    }
