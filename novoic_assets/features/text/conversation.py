"""A session's transcript, as the text families read it."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from novoic_assets.features.family import ALL, SPEAKERS, Speaker
from novoic_assets.features.text.chat import GUIDELINES, chat_tokens
from novoic_assets.features.text.grammar import Parse, parse
from novoic_assets.features.text.utterances import Token, TokenKind, Utterance, plain_tokens, runs
from novoic_assets.sessions.transcript import Role, Segment

LEAST_WORDS: Final = 10
"""The least number of words for a meaningful share of words: among fewer, one word moves it by more than a tenth."""


@dataclass(frozen=True, repr=False, eq=False)
class Conversation:
    """A session's transcript. It computes once what several families share.

    Attributes:
        segments: Its segments, in the order of the transcript.
        guidelines: The guidelines that it declares, in lower case; empty if it declares none. With "chat", CHAT's
            marks are interpreted; otherwise every word stands for itself.

    Example:
        >>> from novoic_assets.sessions.transcript import Word
        >>> said = Conversation([Segment(0.0, 1.0, (Word("um", "patient"), Word("cookie", "patient")))])
        >>> said.words("patient"), said.lexical_words("patient"), said.words("investigator")
        (['um', 'cookie'], ['cookie'], [])
    """

    segments: Sequence[Segment]
    guidelines: str = ""
    _parses: dict[str, list[Parse]] = field(default_factory=dict, init=False)

    def words(self, speaker: Speaker) -> list[str]:
        """Return a speaker's words, in the order of the transcript.

        Args:
            speaker: Whose words; "all" is every word, also of speakers who are neither patient nor investigator.

        Returns:
            Their texts, exactly as in the file.
        """
        return [word.text for segment in self.segments for word in segment.words if speaker in (ALL, word.speaker)]

    @functools.cached_property
    def speaking(self) -> frozenset[Speaker]:
        """The speakers with words; "all" is among them if anyone has words."""
        roles = {word.speaker for segment in self.segments for word in segment.words}
        return frozenset(speaker for speaker in SPEAKERS if speaker in roles or (speaker == ALL and roles))

    @property
    def is_chat(self) -> bool:
        """Whether it declares the CHAT guidelines."""
        return self.guidelines == GUIDELINES

    @functools.cached_property
    def utterances(self) -> tuple[Utterance, ...]:
        """The utterances, in order.

        A run without speech, such as the mark of a laugh, is not an utterance and does not split one.
        """
        tokens_of = chat_tokens if self.is_chat else plain_tokens
        found: list[tuple[Role, list[Token]]] = []
        for speaker, words in runs(self.segments):
            tokens = tokens_of(words)
            if all(token.kind is TokenKind.PUNCTUATION for token in tokens):
                continue
            if found and found[-1][0] == speaker:
                found[-1][1].extend(tokens)
            else:
                found.append((speaker, tokens))
        return tuple(Utterance(speaker, tuple(tokens)) for speaker, tokens in found)

    def said_by(self, speaker: Speaker) -> list[Utterance]:
        """Return a speaker's utterances, in order; for "all", every utterance."""
        return [utterance for utterance in self.utterances if speaker in (ALL, utterance.speaker)]

    def tokens(self, speaker: Speaker) -> Iterator[Token]:
        """Return the tokens of a speaker's utterances, in order."""
        return (token for utterance in self.said_by(speaker) for token in utterance.tokens)

    def lexical_words(self, speaker: Speaker) -> list[str]:
        """Return a speaker's words for measures of grammar and vocabulary.

        Returns:
            The words in order, without fillers, unintelligible words, retraced words and punctuation.
        """
        return [token.text for token in self.tokens(speaker) if token.kind is TokenKind.WORD and not token.is_retraced]

    def spoken_words(self, speaker: Speaker) -> list[str]:
        """Return a speaker's words, including those that the speaker took back.

        Returns:
            The words in order, retraced words included, without fillers, unintelligible words and punctuation.
        """
        return [token.text for token in self.tokens(speaker) if token.kind is TokenKind.WORD]

    def parses(self, model: str, speaker: Speaker) -> list[Parse]:
        """Return the grammar of a speaker's utterances.

        Args:
            model: Name of an installed spaCy model, or path of a model's folder.
            speaker: Whose utterances; "all" is everyone's.

        Returns:
            A parse for each of `said_by(speaker)`, in order.

        Raises:
            NovoicError: The model cannot be loaded, or lacks a tagger, parser or lemmatizer.
            RuntimeError: spaCy failed; the message quotes no word.
        """
        if model not in self._parses:
            self._parses[model] = parse(model, self.utterances)
        both = zip(self.utterances, self._parses[model], strict=True)
        return [parsed for utterance, parsed in both if speaker in (ALL, utterance.speaker)]
