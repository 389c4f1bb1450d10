"""The utterances of a transcript and their tokens.

An utterance is a run of one speaker's words, over any number of segments. It ends where another speaker begins. All
speakers who are neither patient nor investigator count as one, "other": their utterances separate those of patient
and investigator, and belong only to the speaker "all".
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final, NamedTuple

from novoic_assets.sessions.transcript import Role, Segment

FILLERS: Final = frozenset({"uh", "um", "er", "erm", "mm"})
TERMINATORS: Final = frozenset(".?!")

# Other spellings of the same fillers, such as lengthened ones.
_SPELLINGS: Final = {"uhh": "uh", "uhm": "um", "umm": "um", "uhmm": "um", "mmm": "mm"}


class TokenKind(StrEnum):
    """The kind of a token."""

    WORD = "word"
    FILLER = "filler"
    UNINTELLIGIBLE = "unintelligible"
    """A stretch that the transcriber could not understand."""
    PUNCTUATION = "punctuation"


class Token(NamedTuple):
    """A word or punctuation mark of an utterance.

    Attributes:
        text: The word as spoken; a filler has its usual spelling.
        kind: What it is.
        segment: Index of its segment in the transcript.
        is_retraced: Whether the speaker took it back or repeated it. Only CHAT marks this.
    """

    text: str
    kind: TokenKind
    segment: int
    is_retraced: bool = False


@dataclass(frozen=True, slots=True)
class Utterance:
    """A run of one speaker's words.

    Attributes:
        speaker: The speaker.
        tokens: The tokens, in order; at least one is not punctuation.
    """

    speaker: Role
    tokens: tuple[Token, ...]

    @property
    def is_terminated(self) -> bool:
        """Whether it ends in a full stop, a question mark or an exclamation mark."""
        return self.tokens[-1].text[-1] in TERMINATORS

    @property
    def is_question(self) -> bool:
        """Whether it ends in a question mark."""
        return self.tokens[-1].text[-1] == "?"


def runs(segments: Sequence[Segment]) -> Iterator[tuple[Role, list[tuple[str, int]]]]:
    """Split a transcript wherever the speaker changes.

    Args:
        segments: The transcript.

    Yields:
        A speaker, and the words of one run, each with the index of its segment.

    Example:
        >>> from novoic_assets.sessions.transcript import Word
        >>> one = Segment(0.0, 1.0, (Word("well", "patient"),))
        >>> two = Segment(1.0, 2.0, (Word("yes", "patient"), Word("and", "investigator")))
        >>> list(runs([one, two]))
        [('patient', [('well', 0), ('yes', 1)]), ('investigator', [('and', 1)])]
    """
    words = ((word, index) for index, segment in enumerate(segments) for word in segment.words)
    for speaker, run in groupby(words, key=lambda item: item[0].speaker):
        yield speaker, [(word.text, index) for word, index in run]


def plain_tokens(words: Iterable[tuple[str, int]]) -> list[Token]:
    """Return the tokens of words without markup.

    Args:
        words: Texts, each with the index of its segment.

    Returns:
        A token for each word; see `plain_token`.
    """
    return [plain_token(text, segment) for text, segment in words]


def plain_token(text: str, segment: int) -> Token:
    """Return the token of a word without markup: a text without a letter or digit is punctuation.

    Example:
        >>> plain_token("Umm", 0)
        Token(text='um', kind=<TokenKind.FILLER: 'filler'>, segment=0, is_retraced=False)
    """
    if not text.isalnum() and not any(map(str.isalnum, text)):
        return Token(text, TokenKind.PUNCTUATION, segment)
    filler = as_filler(text)
    return Token(filler, TokenKind.FILLER, segment) if filler in FILLERS else Token(text, TokenKind.WORD, segment)


def as_filler(text: str) -> str:
    """Return a text in lower case, and a filler in its usual spelling."""
    text = text.lower()
    return _SPELLINGS.get(text, text)


def word_type(text: str) -> str:
    """Return what identifies a word: its text in lower case, in Unicode's normal form C, with straight apostrophes.

    Example:
        >>> word_type("Don\u2019t")
        "don't"
    """
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).replace("\u2019", "'").lower()
