"""The catalogue: every family, in the order of the columns of X_text and X_audio.

A family is added here and nowhere else. Raising a family's version computes that family anew and leaves
the others' values in place.
"""

from collections.abc import Sequence
from typing import Final

from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.mfcc import MFCC
from novoic_assets.features.text.session import TextFamily
from novoic_assets.features.text.word_vector import word_vector
from novoic_assets.sessions.incremental import fingerprint

AUDIO_FAMILIES: Final[tuple[AudioFamily, ...]] = (MFCC,)


def text_families(spacy_model: str) -> tuple[TextFamily, ...]:
    """The text families, in order.

    Args:
        spacy_model: Name of the spaCy model of the word vectors.

    Raises:
        NovoicError: The model is not installed or has no vectors.
    """
    return (word_vector(spacy_model),)


def marks(base: str, families: Sequence[AudioFamily | TextFamily]) -> dict[str, str]:
    """The fingerprint of each family's values of one session.

    Args:
        base: Fingerprint of what the session's families have in common.
        families: The families.
    """
    return {family.name: fingerprint(base, family.name, family.version, family.settings) for family in families}
