"""The family `lexical`: against texts counted by hand and plain formulas."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novoic_assets.features.family import ALL, INVESTIGATOR, SPEAKERS, Status, Undefined
from novoic_assets.features.text.conversation import LEAST_WORDS, Conversation
from novoic_assets.features.text.lexical import lexical, mean_types
from novoic_assets.features.text.session import text_features
from novoic_assets_tests.features.spoken import MODEL, computed, conversations, talk

FAMILY = lexical(MODEL)
RICHNESS = FAMILY.value_names[1:]


def test_a_text_counted_by_hand() -> None:
    # 12 words: the 3, boy 2, and 2, sees 1, a 1, cat 1, dog 1, falls 1
    text = "The boy sees a cat , um and the boy and the dog falls ."
    found = computed(talk(("patient", text), ("investigator", "what else ?")), FAMILY)
    assert found["n_words"] == 12
    assert found["ttr"] == pytest.approx(8 / 12)
    assert found["hapax_ratio"] == pytest.approx(5 / 12)
    assert found["honore"] == pytest.approx(100 * 2.4849066 / (1 - 5 / 8), rel=1e-6)
    assert found["brunet"] == pytest.approx(5.83104, abs=1e-5)  # 12^(8^-0.165) = 12^0.709561
    assert found["mean_word_len"] == pytest.approx((3 + 3 + 4 + 1 + 3 + 3 + 3 + 3 + 3 + 3 + 3 + 5) / 12)
    assert found["mattr_50"] is Undefined.TOO_SHORT


def test_what_counts_as_the_same_word() -> None:
    text = "Don't don\u2019t cafe\u0301 caf\u00e9 The the THE one two three"
    found = computed(talk(("patient", text)), FAMILY)
    assert found["ttr"] == pytest.approx(6 / 10)


def test_fillers_retraced_and_unintelligible_words_are_none() -> None:
    marked = "&-uh <the boy> [//] xxx the girl and the dog and the cat run away now ."
    plain = "the girl and the dog and the cat run away now ."
    assert computed(talk(("patient", marked), guidelines="chat"), FAMILY) == computed(talk(("patient", plain)), FAMILY)


def test_moving_windows() -> None:
    words = ["a"] * 50 + ["b"]
    assert mean_types(words, 50) / 50 == pytest.approx((1 / 50 + 2 / 50) / 2)
    found = computed(talk(("patient", " ".join(words))), FAMILY)
    assert found["mattr_50"] == pytest.approx(0.03)
    assert found["hapax_ratio"] == pytest.approx(1 / 51)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=120), st.integers(1, 60))
def test_moving_windows_are_those_that_are_cut_one_by_one(words: list[str], window: int) -> None:
    if len(words) >= window:
        cut = [len(set(words[start : start + window])) for start in range(len(words) - window + 1)]
        assert mean_types(words, window) == pytest.approx(sum(cut) / len(cut))


@given(conversations())
def test_the_formulas(conversation: Conversation) -> None:
    spoken = [
        word.text.lower()
        for segment in conversation.segments
        for word in segment.words
        if word.speaker == "patient" and word.text not in {"uh", "um", ".", "?", ","}
    ]
    found = computed(conversation, FAMILY)
    n = len(spoken)
    assert found["n_words"] == n
    if n < LEAST_WORDS:
        assert {found[name] for name in RICHNESS} == {Undefined.TOO_SHORT}
        return
    frequency = Counter(spoken)
    v, once = len(frequency), [word for word in frequency if frequency[word] == 1]
    assert found["ttr"] == pytest.approx(v / n)
    assert found["brunet"] == pytest.approx(math.exp(math.log(n) * math.exp(-0.165 * math.log(v))))
    if len(once) == v:
        assert found["honore"] is Undefined.ZERO_DENOMINATOR
    else:
        assert found["honore"] == pytest.approx(100 * math.log(n) * v / (v - len(once)))
    assert found["hapax_ratio"] == pytest.approx(len(once) / n)
    assert found["mean_word_len"] == pytest.approx(len("".join(spoken)) / n)


def test_scopes_of_a_session() -> None:
    text = "the boy is on the stool and the girl is by him"
    conversation = talk(("patient", text), ("other", "hello there"))
    found = text_features(conversation, [FAMILY])["lexical"]
    assert list(found) == list(SPEAKERS)
    assert found[INVESTIGATOR].status is Status.NO_SPEECH
    assert found["patient"].vector[0] == 12
    assert found[ALL].vector[0] == 14
    assert found[ALL].status is Status.PARTIAL  # fewer than 50 words


def test_a_speaker_of_whom_only_a_laugh_is_marked_has_no_words() -> None:
    found = computed(talk(("patient", "&=laughs ."), guidelines="chat"), FAMILY)
    assert found["n_words"] == 0
    assert {found[name] for name in RICHNESS} == {Undefined.TOO_SHORT}
