"""The utterances of a transcript: who says what in one go, token by token.

An utterance is a run of one speaker's words, over as many segments as it lasts: it ends where another speaks. All
speakers who are neither patient nor investigator count as one, "other"; their utterances part those of the others,
and belong to the speaker "all" alone.
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

# Lengthened and other spellings of the same fillers.
_SPELLINGS: Final = {"uhh": "uh", "uhm": "um", "umm": "um", "uhmm": "um", "mmm": "mm"}


class TokenKind(StrEnum):
    """What a token is."""

    WORD = "word"
    FILLER = "filler"
    UNINTELLIGIBLE = "unintelligible"
    """A stretch that the transcriber could not make out."""
    PUNCTUATION = "punctuation"


class Token(NamedTuple):
    """A word or punctuation mark of an utterance.

    Attributes:
        text: As it was said; of a filler, in its usual spelling.
        kind: What it is.
        segment: Index of its segment in the transcript.
        is_retraced: Whether the speaker took it back or said it again. Only CHAT marks that.
    """

    text: str
    kind: TokenKind
    segment: int
    is_retraced: bool = False


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one speaker says until another does.

    Attributes:
        speaker: Who.
        tokens: What, in order; at least one is no punctuation.
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
    """Part a transcript where the speaker changes.

    Args:
        segments: The transcript.

    Yields:
        A speaker, and the words of one run, each with the index of its segment.
    """
    words = ((word, index) for index, segment in enumerate(segments) for word in segment.words)
    for speaker, run in groupby(words, key=lambda item: item[0].speaker):
        yield speaker, [(word.text, index) for word, index in run]


def plain_tokens(words: Iterable[tuple[str, int]]) -> list[Token]:
    """The tokens of words without any markup.

    Args:
        words: Texts, each with the index of its segment.

    Returns:
        A token for each: one without a letter or digit is punctuation.
    """
    return [plain_token(text, segment) for text, segment in words]


def plain_token(text: str, segment: int) -> Token:
    """The token of a word without any markup."""
    if not text.isalnum() and not any(map(str.isalnum, text)):
        return Token(text, TokenKind.PUNCTUATION, segment)
    filler = as_filler(text)
    return Token(filler, TokenKind.FILLER, segment) if filler in FILLERS else Token(text, TokenKind.WORD, segment)


def as_filler(text: str) -> str:
    """A text in lower case and, where it is one, in the usual spelling of a filler."""
    text = text.lower()
    return _SPELLINGS.get(text, text)


def word_type(text: str) -> str:
    """What makes two words the same: the text in lower case, in Unicode's normal form C, with straight apostrophes."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).replace("\u2019", "'").lower()
