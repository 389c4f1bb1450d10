"""Text features of one session: every family for every speaker.

A family is a `TextFamily`. To add one, write a function that computes it and list it in the catalogue;
nothing here changes. The function gets the session's conversation, since a lexical family needs the words but
a timing family needs to know when they were said, and the speaker whose values are wanted. It is only
called for a speaker who has words. What it gives must depend on nothing but its arguments and the family's
settings: sessions come in any order, batch and process, and must come out bit for bit the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from novoic_assets.features.family import (
    ALL,
    SPEAKERS,
    Computed,
    Family,
    FeatureValues,
    Speaker,
    Status,
    feature_values,
    nothing,
)
from novoic_assets.features.text.conversation import Conversation


@dataclass(frozen=True, kw_only=True)
class TextFamily(Family):
    """A family of text features.

    Attributes:
        compute: A conversation and a speaker with words in, that speaker's values out. It can be pickled, so
            that worker processes may have it, and nothing that it raises quotes a word.
    """

    compute: Callable[[Conversation, Speaker], Computed]


def text_features(
    conversation: Conversation, families: Sequence[TextFamily]
) -> dict[str, dict[Speaker, FeatureValues]]:
    """Compute families of one session.

    Args:
        conversation: What was said.
        families: What to compute.

    Returns:
        By family and speaker, the values of every speaker that the family describes: float32, shape (length of
        the family,). A speaker without words has the status NO_SPEECH and NaN.

    Raises:
        NovoicError: A family cannot be computed at all (a model is not installed).
        ValueError: A family broke its promise of length, finite numbers or reasons.
    """
    roles = {word.speaker for segment in conversation.segments for word in segment.words}
    speaking = [speaker for speaker in SPEAKERS if speaker in roles or (speaker == ALL and roles)]
    return {
        family.name: {
            speaker: feature_values(family, family.compute(conversation, speaker))
            if speaker in speaking
            else nothing(family, Status.NO_SPEECH)
            for speaker in family.speakers
        }
        for family in families
    }
