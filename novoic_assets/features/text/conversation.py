"""What was said in a session, as the text families look at it."""

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
"""Least words with which a share of words has a meaning: among fewer, one word moves it by more than a tenth."""


@dataclass(frozen=True, repr=False, eq=False)
class Conversation:
    """A session's transcript, and what several families want of it, found once.

    Attributes:
        segments: Its segments, in the order of the transcript.
        guidelines: The guidelines that it declares, in lower case; empty where it declares none. Where they are
            "chat", CHAT's marks are read as such; else every word stands for itself.
    """

    segments: Sequence[Segment]
    guidelines: str = ""
    _parses: dict[str, list[Parse]] = field(default_factory=dict, init=False)

    def words(self, speaker: Speaker) -> list[str]:
        """The words of a speaker, in the order of the transcript.

        Args:
            speaker: Whose words; "all" is every word, also of speakers who are neither patient nor investigator.

        Returns:
            Their texts, as they stand in the file.
        """
        return [word.text for segment in self.segments for word in segment.words if speaker in (ALL, word.speaker)]

    @functools.cached_property
    def speaking(self) -> frozenset[Speaker]:
        """The speakers who have words; "all" does where anyone has."""
        roles = {word.speaker for segment in self.segments for word in segment.words}
        return frozenset(speaker for speaker in SPEAKERS if speaker in roles or (speaker == ALL and roles))

    @property
    def is_chat(self) -> bool:
        """Whether it is marked as CHAT has it."""
        return self.guidelines == GUIDELINES

    @functools.cached_property
    def utterances(self) -> tuple[Utterance, ...]:
        """The utterances, in order.

        A run of which nothing is said, such as the mark of a laugh, is none and parts none.
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
        """A speaker's utterances, in order; of "all", every one."""
        return [utterance for utterance in self.utterances if speaker in (ALL, utterance.speaker)]

    def tokens(self, speaker: Speaker) -> Iterator[Token]:
        """The tokens of a speaker's utterances, in order."""
        return (token for utterance in self.said_by(speaker) for token in utterance.tokens)

    def lexical_words(self, speaker: Speaker) -> list[str]:
        """A speaker's words as grammar and vocabulary look at them.

        Returns:
            The words in order, without fillers, unintelligible and retraced ones, and punctuation.
        """
        return [token.text for token in self.tokens(speaker) if token.kind is TokenKind.WORD and not token.is_retraced]

    def spoken_words(self, speaker: Speaker) -> list[str]:
        """A speaker's words as they were spoken.

        Returns:
            The words in order, retraced ones included, without fillers, unintelligible words and punctuation.
        """
        return [token.text for token in self.tokens(speaker) if token.kind is TokenKind.WORD]

    def parses(self, model: str, speaker: Speaker) -> list[Parse]:
        """The grammar of a speaker's utterances.

        Args:
            model: Name of an installed spaCy model, or path of a model's folder.
            speaker: Whose; "all" is everyone.

        Returns:
            A parse for each of `said_by(speaker)`.

        Raises:
            NovoicError: The model cannot be loaded or has no tagger, parser or lemmatizer.
            RuntimeError: spaCy failed; the message quotes no word.
        """
        if model not in self._parses:
            self._parses[model] = parse(model, self.utterances)
        both = zip(self.utterances, self._parses[model], strict=True)
        return [parsed for utterance, parsed in both if speaker in (ALL, utterance.speaker)]
