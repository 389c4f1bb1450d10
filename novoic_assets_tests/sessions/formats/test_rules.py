"""The rules turn a parser's result into a transcript that keeps its promises, or refuse it."""

import json
import math
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.formats.rules import RULE_REASONS, keep_rules
from novoic_assets.sessions.transcript import MAX_WORD_LENGTH, ROLES, Segment, Transcript, Word, content_digest

WORD = Word("well", "patient")


def said(*words: Word, start: Any = 0.0, end: Any = 1.0) -> Transcript:
    return Transcript("P", (Segment(start, end, words),))


def reason(transcript: Transcript) -> Reason:
    with pytest.raises(Refused) as caught:
        keep_rules(transcript)
    assert caught.value.__context__ is None
    return caught.value.reason


def test_a_transcript_that_keeps_the_rules_stays_as_it_is() -> None:
    transcript = Transcript("P", (Segment(0.0, 1.5, (WORD, Word("ümlaut", "other"))), Segment(1.5, 1.5, ())), "chat")
    assert keep_rules(transcript) == transcript


def test_white_space_at_the_ends_goes_and_so_does_a_word_that_is_nothing_else() -> None:
    transcript = Transcript(" P\n", (Segment(0, 1, (Word(" well\t", "patient"), Word("\u3000", "patient"))),), " CHAT ")
    assert keep_rules(transcript) == Transcript("P", (Segment(0.0, 1.0, (WORD,)),), "chat")


@pytest.mark.parametrize(("start", "end"), [(-0.0, 1), (0, 1.0), (np.float64(0), np.float64(1)), (False + 0, 1)])
def test_equal_times_have_equal_digests_however_a_parser_writes_them(start: Any, end: Any) -> None:
    kept = keep_rules(said(WORD, start=start, end=end))
    assert content_digest(kept) == content_digest(said(WORD))
    assert "-0.0" not in repr(kept)


@pytest.mark.parametrize(
    ("start", "end"),
    [(math.nan, 1.0), (0.0, math.nan), (0.0, math.inf), (-math.inf, 1.0), (-0.001, 1.0), (1.0, 0.999), (0, 10**400)],
)
def test_times_that_are_not_finite_reversed_or_negative_are_refused(start: float, end: float) -> None:
    assert reason(said(WORD, start=start, end=end)) == Reason.INVALID_TIMES


def test_the_largest_float_is_a_time() -> None:
    assert keep_rules(said(WORD, end=sys.float_info.max)).segments[0].end == sys.float_info.max


def test_a_word_may_be_long_but_not_longer() -> None:
    assert keep_rules(said(Word(" " + "x" * MAX_WORD_LENGTH, "other")))
    assert reason(said(Word("x" * (MAX_WORD_LENGTH + 1), "other"))) == Reason.FORBIDDEN_MARKUP


def test_a_text_that_cannot_be_encoded_is_refused() -> None:
    half = json.loads('"\\ud83d"')
    assert reason(said(Word(f"a secret {half}", "patient"))) == Reason.MALFORMED_TRANSCRIPT
    assert reason(replace(said(WORD), patient=half)) == Reason.MALFORMED_TRANSCRIPT


@pytest.mark.parametrize("transcript", [Transcript("P", ()), said(), said(Word(" ", "patient"))])
def test_a_transcript_without_words_is_refused(transcript: Transcript) -> None:
    assert reason(transcript) == Reason.NO_WORDS


@pytest.mark.parametrize("patient", ["", " \n"])
def test_a_transcript_without_a_patient_is_refused(patient: str) -> None:
    assert reason(replace(said(WORD), patient=patient)) == Reason.AMBIGUOUS_PATIENT


BROKEN: dict[str, Any] = {
    "no transcript": None,
    "a dictionary": {"patient": "P"},
    "a patient that is a number": Transcript(3, (Segment(0, 1, (WORD,)),)),  # type: ignore[arg-type]
    "no guidelines": Transcript("P", (Segment(0, 1, (WORD,)),), None),  # type: ignore[arg-type]
    "no segments": Transcript("P", None),  # type: ignore[arg-type]
    "a segment that is a tuple": Transcript("P", ((0, 1, (WORD,)),)),  # type: ignore[arg-type]
    "a word that is a string": said("well"),  # type: ignore[arg-type]
    "a word of bytes": said(Word(b"well", "patient")),  # type: ignore[arg-type]
    "an unknown role": said(Word("well", "doctor")),  # type: ignore[arg-type]
    "a time that is a text": said(WORD, start="0"),
    "a time that is a truth": said(WORD, start=True),
    "a time that is missing": said(WORD, end=None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_only_a_broken_parser_returns_is_an_error_and_not_a_refusal(name: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        keep_rules(BROKEN[name])


ANY_TEXT = st.text(max_size=5)
ANY_WORDS = st.lists(st.builds(Word, ANY_TEXT, st.sampled_from(ROLES)), max_size=3).map(tuple)
ANY_SEGMENTS = st.lists(st.builds(Segment, st.floats() | st.integers(), st.floats() | st.integers(), ANY_WORDS))


@given(st.builds(Transcript, ANY_TEXT, ANY_SEGMENTS.map(tuple), ANY_TEXT))
def test_whatever_a_parser_returns_is_refused_or_keeps_every_promise(transcript: Transcript) -> None:
    try:
        kept = keep_rules(transcript)
    except Refused as refused:
        assert refused.reason in RULE_REASONS  # noqa: PT017
        return
    assert kept.patient == kept.patient.strip() != ""
    assert kept.guidelines == kept.guidelines.strip().lower()
    assert any(segment.words for segment in kept.segments)
    for segment in kept.segments:
        assert 0 <= segment.start <= segment.end < math.inf
        assert type(segment.start) is type(segment.end) is float
        for word in segment.words:
            assert 0 < len(word.text.strip()) == len(word.text.encode().decode()) <= MAX_WORD_LENGTH
    assert keep_rules(kept) == kept
