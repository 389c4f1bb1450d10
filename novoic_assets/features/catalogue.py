"""The catalogue: every family, in the order of the columns of X_text and X_audio.

A family of the project is added here and nowhere else; raising a family's version computes that family anew and
leaves the others' values in place. A site adds a family of its own, or switches one off, without touching the
project: by an entry point, or by the setting NOVOIC_FAMILIES (`parse_choice`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from novoic_assets.errors import NovoicError
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.formants import FORMANTS
from novoic_assets.features.audio.level_and_pauses import LEVEL_AND_PAUSES
from novoic_assets.features.audio.mfcc import MFCC
from novoic_assets.features.audio.mfcc_narrow import MFCC_NARROW
from novoic_assets.features.audio.mfcc_spread import MFCC_SPREAD
from novoic_assets.features.audio.pitch import PITCH
from novoic_assets.features.audio.recording_facts import RECORDING
from novoic_assets.features.audio.spectral import SPECTRAL
from novoic_assets.features.audio.voice_quality import VOICE_QUALITY
from novoic_assets.features.family import Family
from novoic_assets.features.text import discourse, lexical, syntactic, timing, word_vector
from novoic_assets.features.text.session import TextFamily
from novoic_assets.fingerprints import fingerprint
from novoic_assets.registry import added

ENTRY_POINTS: Final = "novoic_assets.families"
"""The group of entry points in which an installed package names its families."""

AUDIO_FAMILIES: Final[Mapping[str, AudioFamily]] = {
    family.name: family
    for family in (
        MFCC,
        MFCC_SPREAD,
        MFCC_NARROW,
        PITCH,
        VOICE_QUALITY,
        FORMANTS,
        SPECTRAL,
        LEVEL_AND_PAUSES,
        RECORDING,
    )
}
"""The project's audio families by name, in order."""

TEXT_FAMILIES: Final[Mapping[str, Callable[[str], TextFamily]]] = {
    word_vector.NAME: word_vector.word_vector,
    lexical.NAME: lexical.lexical,
    syntactic.NAME: syntactic.syntactic,
    discourse.NAME: discourse.discourse,
    timing.NAME: timing.timing,
}
"""The project's text families by name, in order: what makes one for a spaCy model."""

AUDIO_CODE_VERSION: Final = ", ".join(f"{family.name} {family.version}" for family in AUDIO_FAMILIES.values())
TEXT_CODE_VERSION: Final = ", ".join(
    f"{module.NAME} {module.VERSION}" for module in (word_vector, lexical, syntactic, discourse, timing)
)

_Family = TypeVar("_Family", AudioFamily, TextFamily)


@dataclass(frozen=True)
class Choice:
    """Which families there are.

    Attributes:
        without: Names of families that are switched off.
        added: Where families of the site are, as `package.module:object`.
    """

    without: frozenset[str] = frozenset()
    added: tuple[str, ...] = ()


def parse_choice(text: str) -> Choice:
    """Read the setting NOVOIC_FAMILIES.

    Args:
        text: Items with commas between them: `-name` switches a family off, `package.module:object` adds the
            family that the Python object is. Empty: the families of the project and of installed packages.

    Returns:
        The choice.

    Raises:
        NovoicError: An item is neither.
    """
    without, added = set(), []
    for item in filter(None, (part.strip() for part in text.split(","))):
        module, colon, name = item.partition(":")
        if item.startswith("-") and item[1:].isidentifier():
            without.add(item[1:])
        elif colon and name.isidentifier() and all(part.isidentifier() for part in module.split(".")):
            added.append(item)
        else:
            raise NovoicError(
                "NOVOIC_FAMILIES takes -name to switch a family off and package.module:object to add one, with commas"
                " between them"
            )
    return Choice(frozenset(without), tuple(dict.fromkeys(added)))


def audio_families(choice: str = "") -> tuple[AudioFamily, ...]:
    """The audio families, in order: the project's, then those of installed packages and of the setting.

    Args:
        choice: The setting NOVOIC_FAMILIES; see `parse_choice`.

    Raises:
        NovoicError: The setting names what there is not, or a site's family does not fit in.
    """
    added = _added(choice)
    return _chosen([*AUDIO_FAMILIES.values(), *(each for each in added if isinstance(each, AudioFamily))], choice)


def text_families(spacy_model: str, choice: str = "") -> tuple[TextFamily, ...]:
    """The text families, in order: the project's, then those of installed packages and of the setting.

    Args:
        spacy_model: Name of the spaCy model of the word vectors and the grammar.
        choice: The setting NOVOIC_FAMILIES; see `parse_choice`.

    Raises:
        NovoicError: The model is not installed or has not what the families need, the setting names what there is
            not, or a site's family does not fit in.
    """
    without = parse_choice(choice).without
    # A family that is switched off is not even made: it may be for want of a model.
    own = [make(spacy_model) for name, make in TEXT_FAMILIES.items() if name not in without]
    return _chosen([*own, *(each for each in _added(choice) if isinstance(each, TextFamily))], choice)


def marks(base: str, families: Sequence[Family]) -> dict[str, str]:
    """The fingerprint of each family's values of one session.

    Args:
        base: Fingerprint of what the session's families have in common.
        families: The families.
    """
    return {family.name: fingerprint(base, family.name, family.version, family.settings) for family in families}


def identity(families: Sequence[Family]) -> str:
    """Which families these are: a hash of what tells their values apart from those of other versions."""
    return fingerprint(*(part for family in families for part in (family.name, family.version, family.settings)))


def _chosen(families: Sequence[_Family], choice: str) -> tuple[_Family, ...]:
    without = parse_choice(choice).without
    known = {*AUDIO_FAMILIES, *TEXT_FAMILIES, *(family.name for family in _added(choice))}
    unknown = sorted(without - known)
    if unknown:
        raise NovoicError(
            f"NOVOIC_FAMILIES switches off {', '.join(unknown)}, but there are only {', '.join(sorted(known))}"
        )
    chosen = tuple(family for family in families if family.name not in without)
    names = [value.name for family in chosen for value in family.members]
    if len(set(names)) < len(names):
        raise NovoicError("an added family has a value with a name that there is already")
    return chosen


def _added(choice: str) -> tuple[Family, ...]:
    """The families of installed packages and of the setting, in the order of their names and of the setting."""
    families: tuple[Family, ...] = added(
        ENTRY_POINTS, (AudioFamily, TextFamily), parse_choice(choice).added, setting="NOVOIC_FAMILIES"
    )
    _check_names(families)
    return families


def _check_names(added: Sequence[Family]) -> None:
    """See that a site's families take no name that there is."""
    families = [*AUDIO_FAMILIES, *TEXT_FAMILIES]
    values = [value.name for family in AUDIO_FAMILIES.values() for value in family.members]
    for family in added:
        names = family.value_names
        if family.name in families or set(names) & set(values) or len(set(names)) < len(names):
            raise NovoicError(
                f"the added family {family.name} has a name, or a value with a name, that there is already"
            )
        if not all(name.isidentifier() for name in (family.name, *names)):
            raise NovoicError(f"the added family {family.name} or one of its values has a name that is no identifier")
        families.append(family.name)
        values.extend(names)
