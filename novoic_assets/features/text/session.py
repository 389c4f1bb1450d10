"""Text features of one session: every family for every speaker.

A family is a `TextFamily`. To add one, write a function that computes it and list it in the catalogue;
nothing here changes. The function gets the session's segments, since a lexical family needs the words but
a timing family needs to know when they were said, and the speaker whose values are wanted. It is only
called for a speaker who has words. What it gives must depend on nothing but its arguments and the family's
settings: sessions come in any order, batch and process, and must come out bit for bit the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from novoic_assets.features.family import ALL, SPEAKERS, FeatureValues, Speaker, Status
from novoic_assets.sessions.transcript import Segment

Compute = Callable[[Sequence[Segment], Speaker], FeatureValues]


@dataclass(frozen=True)
class TextFamily:
    """A group of text features that are computed together.

    Attributes:
        name: Unique among all families.
        version: Raised whenever the values would change.
        settings: All else that the values depend on, in one line; part of the fingerprint.
        value_names: Name of each value, in order; their number is the family's length.
        units: Unit of each value, in the same order; "1" where there is none.
        compute: Segments and a speaker with words in, that speaker's values out. It can be pickled, so that
            worker processes may have it, and nothing that it raises quotes a word.
    """

    name: str
    version: str
    settings: str
    value_names: tuple[str, ...]
    units: tuple[str, ...]
    compute: Compute

    def __post_init__(self) -> None:
        if len(self.units) != len(self.value_names):
            raise ValueError(f"{self.name} has {len(self.value_names)} values but {len(self.units)} units")


def words_of(segments: Sequence[Segment], speaker: Speaker) -> list[str]:
    """The words of a speaker, in the order of the transcript.

    Args:
        segments: A session's segments.
        speaker: Whose words; "all" is every word, also of speakers who are neither patient nor investigator.

    Returns:
        Their texts.
    """
    return [word.text for segment in segments for word in segment.words if speaker in (ALL, word.speaker)]


def text_features(
    segments: Sequence[Segment], families: Sequence[TextFamily]
) -> dict[str, dict[Speaker, FeatureValues]]:
    """Compute families of one session.

    Args:
        segments: The session's segments.
        families: What to compute.

    Returns:
        By family and speaker, every speaker's values: float32, shape (length of the family,). A speaker
        without words has the status NO_SPEECH and NaN.

    Raises:
        NovoicError: A family cannot be computed at all (a model is not installed).
        ValueError: A family broke its promise of length, type or finite values.
    """
    roles = {word.speaker for segment in segments for word in segment.words}
    speaking = [speaker for speaker in SPEAKERS if speaker in roles or (speaker == ALL and roles)]
    return {
        family.name: {
            speaker: _computed(family, segments, speaker) if speaker in speaking else _no_speech(family)
            for speaker in SPEAKERS
        }
        for family in families
    }


def _no_speech(family: TextFamily) -> FeatureValues:
    return FeatureValues(Status.NO_SPEECH, np.full(len(family.value_names), np.nan, np.float32))


def _computed(family: TextFamily, segments: Sequence[Segment], speaker: Speaker) -> FeatureValues:
    values = family.compute(segments, speaker)
    vector = values.vector
    if vector.shape != (len(family.value_names),) or vector.dtype != np.float32:
        raise ValueError(
            f"{family.name} gave {vector.dtype} of shape {vector.shape} for {len(family.value_names)} float32 values"
        )
    if values.status == Status.OK and not np.isfinite(vector).all():
        raise ValueError(f"{family.name} called values ok that are not finite")
    return values
