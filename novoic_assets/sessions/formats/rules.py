"""Apply the rules that every transcript keeps, whatever the format of its file.

A file comes from outside, and a parser may come from another package. So these rules check the result of every parser
in one place, before anything is stored.
"""

import sys
from collections.abc import Iterator
from typing import Final

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.transcript import MAX_WORD_LENGTH, ROLES, Segment, Transcript, Word

MAX_BYTES: Final = 64 * 2**20
"""Largest file that is parsed, in bytes, unless its format sets another limit; an hour of speech takes 0.5 MiB."""

RULE_REASONS: Final = frozenset(
    {
        Reason.MALFORMED_TRANSCRIPT,
        Reason.FORBIDDEN_MARKUP,
        Reason.AMBIGUOUS_PATIENT,
        Reason.INVALID_TIMES,
        Reason.NO_WORDS,
    }
)
"""The reasons for which these rules refuse a file."""


def check_size(size: int, max_bytes: int) -> None:
    """Refuse a file that is too large to parse.

    Args:
        size: The file's size in bytes.
        max_bytes: The largest size that its format accepts.

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
    """Bring a parser's result into the form that `Transcript` promises, or refuse it.

    Strip white space from words, the patient's id and the guidelines, drop words without other text, and convert
    times to floats.

    Args:
        transcript: A parser's result.

    Returns:
        The transcript as it is stored.

    Raises:
        Refused: FORBIDDEN_MARKUP (a word is too long), MALFORMED_TRANSCRIPT (a text is not valid Unicode),
            INVALID_TIMES (negative, reversed or not finite), AMBIGUOUS_PATIENT (the patient's id is empty) or NO_WORDS.
        TypeError: A part has a wrong type. The parser is at fault, not the file.
        ValueError: A word has an unknown role. Again the parser is at fault.

    Example:
        >>> transcript = Transcript("P1", (Segment(0, 1, (Word(" well ", "patient"), Word(" ", "patient"))),))
        >>> keep_rules(transcript).segments
        (Segment(start=0.0, end=1.0, words=(Word(text='well', speaker='patient'),)),)
    """
    if not isinstance(transcript, Transcript):
        raise TypeError("the parser did not return a Transcript")
    segments = tuple(_segment(segment) for segment in transcript.segments)
    patient, guidelines = _text(transcript.patient), _text(transcript.guidelines).lower()
    if not patient:
        raise Refused(Reason.AMBIGUOUS_PATIENT)
    if not any(segment.words for segment in segments):
        raise Refused(Reason.NO_WORDS)
    return Transcript(patient, segments, guidelines)


def _segment(segment: Segment) -> Segment:
    if not isinstance(segment, Segment):
        raise TypeError("a segment is not a Segment")
    words = tuple(_words(segment))
    start, end = _seconds(segment.start), _seconds(segment.end)
    if start > end:
        raise Refused(Reason.INVALID_TIMES)
    return Segment(start, end, words)


def _words(segment: Segment) -> Iterator[Word]:
    for word in segment.words:
        if not isinstance(word, Word):
            raise TypeError("a word is not a Word")
        if word.speaker not in ROLES:
            raise ValueError("a word has an unknown role")
        text = _text(word.text)
        check_word_length(text)
        if text:
            yield word if text == word.text else Word(text, word.speaker)


def _text(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError("a text is not a str")
    if not (text.isascii() or _is_encodable(text)):
        raise Refused(Reason.MALFORMED_TRANSCRIPT)
    return text.strip()


def _is_encodable(text: str) -> bool:
    """Return whether a text can be stored. A lone surrogate, which an escape in JSON may leave, prevents it."""
    # A separate function, since a refusal raised inside the handler would keep the text in its context.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _seconds(seconds: float) -> float:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError("a time is not a number")
    # Compare before the conversion to float: an int may be too large for one. NaN compares as false.
    if not 0 <= seconds <= sys.float_info.max:
        raise Refused(Reason.INVALID_TIMES)
    return float(seconds) + 0.0  # -0.0 becomes 0.0, so that equal content has equal digests
