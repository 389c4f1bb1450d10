"""Text features of sessions: every family for every speaker.

A family is a `TextFamily` that the catalogue lists. Its function takes a speaker and the session's conversation: a
lexical family needs the words, a timing family also their times. It is called only for speakers with words. Its
result must depend only on its arguments and the family's settings: sessions come in any order, batch and process, and
must give the same values bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from novoic_assets.features.family import (
    Batches,
    BatchFunction,
    Computed,
    Cost,
    Family,
    FeatureValues,
    Speaker,
    Status,
    Value,
    feature_values,
    nothing,
)
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.grammar import check_grammar


@dataclass(frozen=True, kw_only=True)
class TextFamily(Family):
    """A family of text features; it has either `compute` or `batches`.

    Attributes:
        compute: Takes a conversation and a speaker with words; returns that speaker's values. Its exceptions must
            not quote words.
        batches: Computes several conversations at once.

    Raises:
        ValueError: The family has neither, or both.

    Example:
        >>> from novoic_assets.features.family import ALL, Value
        >>> def longest_word(conversation, speaker):
        ...     return [max(map(len, conversation.words(speaker)))]
        >>> family = TextFamily(
        ...     name="length",
        ...     version="1",
        ...     description="The longest word.",
        ...     members=(Value(name="longest_word", unit="characters", formula="max of lengths", source="count"),),
        ...     compute=longest_word,
        ... )
        >>> from novoic_assets.sessions.transcript import Segment, Word
        >>> said = Conversation([Segment(0.0, 1.0, (Word("the", "patient"), Word("cookie", "patient")))])
        >>> text_features(said, [family])["length"][ALL].vector
        array([6.], dtype=float32)
    """

    compute: Callable[[Conversation, Speaker], Computed] | None = None
    batches: Batches[Conversation] | None = None

    def __post_init__(self) -> None:
        if (self.compute is None) == (self.batches is None):
            raise ValueError(f"the family {self.name} takes either compute or batches")


def grammar_family(
    *,
    name: str,
    version: str,
    description: str,
    members: tuple[Value, ...],
    cost: Cost,
    compute: Callable[[str, Conversation, Speaker], Computed],
) -> Callable[[str], TextFamily]:
    """Return a function that makes a family for a spaCy model, for families that use grammar.

    Args:
        name: The name of the family.
        version: The version of its values.
        description: The family in a sentence.
        members: The values of the family.
        cost: What computing takes.
        compute: Computes the values from the model's name, a conversation and a speaker who has words.

    Returns:
        The function. It takes the name of an installed model or the path of a model's folder, and raises ModelError if
        the model is not installed or has no tagger, parser or lemmatizer. The family loads the model when it first
        computes something.
    """

    def make(model: str) -> TextFamily:
        return TextFamily(
            name=name,
            version=version,
            description=description,
            members=members,
            cost=cost,
            settings=check_grammar(model),
            compute=partial(compute, model),
        )

    return make


def text_features(
    conversation: Conversation, families: Sequence[TextFamily]
) -> dict[str, dict[Speaker, FeatureValues]]:
    """Compute families of one session.

    Args:
        conversation: The session's transcript.
        families: The families to compute; those with `batches` are left to `text_batch`.

    Returns:
        By family and speaker, the values of every speaker that the family describes: float32, shape (length of
        the family,). A speaker without words has NaN and the status NO_SPEECH.

    Raises:
        NovoicError: A family cannot be computed for any session, because its model cannot be loaded.
        ValueError: A family broke its contract on length, finite numbers or reasons.
    """
    return {
        family.name: _values(conversation, family, partial(family.compute, conversation))
        for family in families
        if family.compute is not None
    }


def text_batch(
    conversations: Sequence[Conversation], family: TextFamily, compute: BatchFunction[Conversation]
) -> list[dict[Speaker, FeatureValues]]:
    """Compute a family with `batches` for several sessions at once.

    Args:
        conversations: The transcript of each session.
        family: The family.
        compute: The function that its `batches.start` returned.

    Returns:
        For each session, the values of every speaker, as `text_features` gives them.

    Raises:
        ValueError: The family broke its contract, or left out a session.
        KeyError: The family left out a speaker with words.
    """
    answers = compute(conversations)
    if len(answers) != len(conversations):
        raise ValueError(f"{family.name} gave {len(answers)} answers for {len(conversations)} sessions")
    return [
        _values(conversation, family, answer.__getitem__)
        for conversation, answer in zip(conversations, answers, strict=True)
    ]


def _values(
    conversation: Conversation, family: Family, compute: Callable[[Speaker], Computed]
) -> dict[Speaker, FeatureValues]:
    return {
        speaker: feature_values(family, compute(speaker))
        if speaker in conversation.speaking
        else nothing(family, Status.NO_SPEECH)
        for speaker in family.speakers
    }
