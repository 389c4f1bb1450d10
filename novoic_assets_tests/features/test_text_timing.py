"""The family `timing`: against conversations timed by hand."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novoic_assets.features.family import Status, Undefined
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import text_features
from novoic_assets.features.text.timing import timing
from novoic_assets.sessions.transcript import Segment, Word
from novoic_assets_tests.features.spoken import MODEL, computed, conversations, timed

FAMILY = timing(MODEL)
GAPS = ("response_latency", "within_turn_gap", "overlap_share")


def test_a_conversation_timed_by_hand() -> None:
    found = computed(
        timed(
            ("investigator", 0.0, 2.0, "what do you see ?"),
            ("patient", 3.0, 6.0, "um the boy takes"),  # 1 s after
            ("patient", 6.5, 7.5, "a cookie ."),  # 0.5 s within the turn
            ("investigator", 7.0, 9.0, "yes and ?"),  # 0.5 s over the patient
            ("patient", 8.5, 10.5, "the water runs over"),  # 0.5 s over the investigator
            ("investigator", 11.0, 12.0, "where ?"),
            ("patient", 12.25, 16.25, "in the kitchen"),  # 0.25 s after
        ),
        FAMILY,
    )
    # 3 + 2 + 4 + 3 words in 3 + 1 + 2 + 4 s
    assert found["speech_rate"] == pytest.approx(60 * 12 / 10)
    assert found["response_latency"] == pytest.approx(0.25)  # of 1, -0.5 and 0.25
    assert found["within_turn_gap"] == pytest.approx(0.5)
    assert found["patient_share"] == pytest.approx(10 / 15)
    assert found["overlap_share"] == pytest.approx(1 / 10)


def test_a_remark_in_passing_is_no_question_that_is_answered() -> None:
    found = computed(
        timed(
            ("patient", 0.0, 10.0, "so the boy is on the stool and he takes it"),
            ("investigator", 4.0, 4.5, "mhm"),
            ("patient", 10.5, 12.0, "and falls"),
        ),
        FAMILY,
    )
    assert found["response_latency"] is Undefined.TOO_SHORT
    assert found["within_turn_gap"] is Undefined.TOO_SHORT
    assert found["overlap_share"] == pytest.approx(0.5 / 11.5)


def test_segments_of_several_speakers_have_no_time_of_their_own() -> None:
    segments = [
        *timed(("patient", 0.0, 5.0, "one two three four five six seven eight nine ten")).segments,
        Segment(5.5, 8.0, (Word("and", "patient"), Word("yes", "investigator"))),
    ]
    found = computed(Conversation(segments), FAMILY)
    assert found["speech_rate"] == pytest.approx(60 * 10 / 5)
    assert found["patient_share"] == 1
    assert found["response_latency"] is found["within_turn_gap"] is Undefined.TOO_SHORT


def test_own_segments_that_overlap() -> None:
    found = computed(
        timed(("patient", 0, 10, "a b c d e f"), ("patient", 2, 3, "g h"), ("patient", 12, 14, "i j k")), FAMILY
    )
    assert found["within_turn_gap"] == pytest.approx((0 + 2) / 2)


@pytest.mark.parametrize("offset", [0.0, 0.7, 1234.567])
def test_contiguous_times_tell_of_no_pauses(offset: float) -> None:
    turns = [
        ("investigator", 0.0, 2.36, "how are you"),
        ("patient", 2.36, 4.266, "the boy is on the stool and he falls"),
    ]
    shifted = [(role, start + offset, end + offset, text) for role, start, end, text in turns]
    found = computed(timed(*shifted, ("patient", 4.266 + offset, 5 + offset, "down now")), FAMILY)
    assert {found[name] for name in GAPS} == {Undefined.CONTIGUOUS_TIMES}
    assert found["speech_rate"] == pytest.approx(60 * 11 / 2.64)
    assert found["patient_share"] == pytest.approx(2.64 / 5)
    apart = computed(timed(*shifted, ("patient", 4.3 + offset, 5 + offset, "down")), FAMILY)
    assert apart["response_latency"] == pytest.approx(0, abs=1e-6)
    assert apart["within_turn_gap"] == pytest.approx(0.034)


def test_empty_segments_may_stand_for_pauses() -> None:
    segments = timed(
        ("investigator", 0, 1, "well"), ("patient", 1, 2, ""), ("patient", 2, 3, "yes"), ("patient", 3, 4, "no")
    )
    found = computed(segments, FAMILY)
    assert found["response_latency"] == 1
    assert found["within_turn_gap"] == 0


def test_retraced_words_are_spoken_and_fillers_are_not() -> None:
    said = "<the boy> [//] the girl &-um takes xxx the big red cookie away from her ."
    found = computed(timed(("patient", 0, 6, said), guidelines="chat"), FAMILY)
    assert found["speech_rate"] == pytest.approx(60 * 12 / 6)


def test_where_there_is_nothing_to_tell() -> None:
    assert computed(timed(("patient", 1, 1, "a b c d e f g h i j")), FAMILY) == {
        "speech_rate": Undefined.ZERO_DENOMINATOR,
        "response_latency": Undefined.TOO_SHORT,
        "within_turn_gap": Undefined.TOO_SHORT,
        "patient_share": Undefined.ZERO_DENOMINATOR,
        "overlap_share": Undefined.ZERO_DENOMINATOR,
    }
    assert computed(timed(("patient", 0, 9, "a b c")), FAMILY)["speech_rate"] is Undefined.TOO_SHORT


def test_it_is_the_patients_alone() -> None:
    spoken = timed(("investigator", 0, 2, "what do you see ?"))
    found = text_features(spoken, [FAMILY])["timing"]
    assert list(found) == ["patient"]
    assert found["patient"].status is Status.NO_SPEECH


@given(conversations(), st.integers(0, 100_000_000))
def test_a_shift_moves_nothing(conversation: Conversation, shift: int) -> None:
    found = computed(conversation, FAMILY)
    shifted = [
        Segment((round(1000 * each.start) + shift) / 1000, (round(1000 * each.end) + shift) / 1000, each.words)
        for each in conversation.segments
    ]
    assert computed(Conversation(shifted), FAMILY) == found


def sole(conversation: Conversation) -> list[tuple[str, float, float]]:
    spoken = [each for each in conversation.segments if each.words]
    order = sorted(spoken, key=lambda each: (each.start, each.end))
    return [
        (each.words[0].speaker if len({word.speaker for word in each.words}) == 1 else "", each.start, each.end)
        for each in order
    ]


@given(conversations())
def test_the_formulas_on_a_grid_of_milliseconds(conversation: Conversation) -> None:
    found = computed(conversation, FAMILY)
    order = sole(conversation)
    lasting = {
        role: math.fsum(end - start for speaker, start, end in order if speaker == role)
        for role in ("patient", "investigator")
    }
    talked = lasting["patient"] + lasting["investigator"]
    if talked:
        assert found["patient_share"] == pytest.approx(lasting["patient"] / talked)
    else:
        assert found["patient_share"] is Undefined.ZERO_DENOMINATOR
    if found["overlap_share"] is Undefined.CONTIGUOUS_TIMES:
        assert all(after[1] == pytest.approx(before[2]) for before, after in itertools.pairwise(order))
        return
    covered: dict[str, set[int]] = {"patient": set(), "investigator": set(), "": set(), "other": set()}
    for speaker, start, end in order:
        covered[speaker].update(range(round(1000 * start), round(1000 * end)))
    if covered["patient"]:
        both = covered["patient"] & covered["investigator"]
        assert found["overlap_share"] == pytest.approx(len(both) / len(covered["patient"]))
    else:
        assert found["overlap_share"] is Undefined.ZERO_DENOMINATOR
    latencies = [
        order[n][1] - order[n - 1][2]
        for n in range(1, len(order))
        if order[n][0] == "patient"
        and order[n - 1][0] == "investigator"
        and all(end <= order[n - 1][2] for speaker, _, end in order[: n - 1] if speaker == "patient")
    ]
    if latencies:
        assert found["response_latency"] == pytest.approx(statistics.median(latencies), abs=1e-6)
    else:
        assert found["response_latency"] is Undefined.TOO_SHORT
