"""The rules that every transcript keeps, whatever the format of its file.

A file comes from outside, and a parser may come from another package. So what a parser returns is held to these rules
once, here, before anything is stored.
"""

import sys
from collections.abc import Iterator
from typing import Final

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.transcript import MAX_WORD_LENGTH, ROLES, Segment, Transcript, Word

MAX_BYTES: Final = 64 * 2**20
"""Largest file that is parsed, in bytes, unless its format says otherwise; an hour of speech takes about 0.5 MiB."""

RULE_REASONS: Final = frozenset(
    {
        Reason.MALFORMED_TRANSCRIPT,
        Reason.FORBIDDEN_MARKUP,
        Reason.AMBIGUOUS_PATIENT,
        Reason.INVALID_TIMES,
        Reason.NO_WORDS,
    }
)
"""What these rules refuse a file for."""


def check_size(size: int, max_bytes: int) -> None:
    """Refuse a file that is too large to parse.

    Args:
        size: The file's size in bytes.
        max_bytes: The largest size that its format takes.

    Raises:
        Refused: FORBIDDEN_MARKUP.
    """
    if size > max_bytes:
        raise Refused(Reason.FORBIDDEN_MARKUP)


def check_word_length(text: str) -> None:
    """Refuse a word that is too long.

    Args:
        text: The word.

    Raises:
        Refused: FORBIDDEN_MARKUP.
    """
    if len(text) > MAX_WORD_LENGTH:
        raise Refused(Reason.FORBIDDEN_MARKUP)


def keep_rules(transcript: Transcript) -> Transcript:
    """Bring what a parser made into the form that `Transcript` promises, or refuse it.

    White space at the ends of words, of the patient's id and of the guidelines is left out, and so are words that
    have no other text. Times become floats.

    Args:
        transcript: What a parser made of a file.

    Returns:
        The transcript as it is stored.

    Raises:
        Refused: FORBIDDEN_MARKUP (a word is too long), MALFORMED_TRANSCRIPT (a text is not valid Unicode),
            INVALID_TIMES (negative, reversed or not finite), AMBIGUOUS_PATIENT (there is none) or NO_WORDS.
        TypeError: A part is of another type: the parser is at fault, not the file.
        ValueError: A word has an unknown role: likewise.
    """
    if not isinstance(transcript, Transcript):
        raise TypeError("the parser returned no Transcript")
    segments = tuple(_segment(segment) for segment in transcript.segments)
    patient, guidelines = _text(transcript.patient), _text(transcript.guidelines).lower()
    if not patient:
        raise Refused(Reason.AMBIGUOUS_PATIENT)
    if not any(segment.words for segment in segments):
        raise Refused(Reason.NO_WORDS)
    return Transcript(patient, segments, guidelines)


def _segment(segment: Segment) -> Segment:
    if not isinstance(segment, Segment):
        raise TypeError("a segment is no Segment")
    words = tuple(_words(segment))
    start, end = _seconds(segment.start), _seconds(segment.end)
    if start > end:
        raise Refused(Reason.INVALID_TIMES)
    return Segment(start, end, words)


def _words(segment: Segment) -> Iterator[Word]:
    for word in segment.words:
        if not isinstance(word, Word):
            raise TypeError("a word is no Word")
        if word.speaker not in ROLES:
            raise ValueError("a word has an unknown role")
        text = _text(word.text)
        check_word_length(text)
        if text:
            yield word if text == word.text else Word(text, word.speaker)


def _text(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError("a text is no str")
    if not (text.isascii() or _has_bytes(text)):
        raise Refused(Reason.MALFORMED_TRANSCRIPT)
    return text.strip()


def _has_bytes(text: str) -> bool:
    """Whether a text can be stored; one with a lone surrogate, as an escape in JSON may leave, cannot."""
    # A function of its own, since a refusal raised while the error is handled would carry the text along.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _seconds(seconds: float) -> float:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError("a time is no number")
    # Compared before it becomes a float: an int may be too large for one. NaN compares as false.
    if not 0 <= seconds <= sys.float_info.max:
        raise Refused(Reason.INVALID_TIMES)
    return float(seconds) + 0.0  # -0.0 becomes 0.0, so that equal content has equal digests
