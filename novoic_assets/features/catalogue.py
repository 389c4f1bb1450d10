"""The catalogue: every family, in the order of the columns of X_text and X_audio.

Add a family of the project here and nowhere else. Raising a family's version recomputes that family and leaves the
others' values in place. A site adds its own family by an entry point or by the setting NOVOIC_FAMILIES
(`parse_choice`), which also switches families off, without a change to the project.
"""

import math
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
from novoic_assets.features.family import SPEAKERS, Batches, Cost, Family, Value
from novoic_assets.features.text import discourse, lexical, syntactic, timing, word_vector
from novoic_assets.features.text.session import TextFamily
from novoic_assets.fingerprints import fingerprint
from novoic_assets.registry import added

ENTRY_POINTS: Final = "novoic_assets.families"
"""The group of entry points in which installed packages name their families."""

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

# A module for each text family: its NAME and VERSION, and a function of that name that makes it for a spaCy model.
_TEXT_MODULES: Final = (word_vector, lexical, syntactic, discourse, timing)

TEXT_FAMILIES: Final[Mapping[str, Callable[[str], TextFamily]]] = {
    module.NAME: getattr(module, module.NAME) for module in _TEXT_MODULES
}
"""The project's text families by name, in order: functions that make one for a spaCy model."""

AUDIO_CODE_VERSION: Final = ", ".join(f"{family.name} {family.version}" for family in AUDIO_FAMILIES.values())
TEXT_CODE_VERSION: Final = ", ".join(f"{module.NAME} {module.VERSION}" for module in _TEXT_MODULES)

_Family = TypeVar("_Family", AudioFamily, TextFamily)


@dataclass(frozen=True)
class Choice:
    """Which families a site computes.

    Attributes:
        without: Names of families that are switched off.
        added: Where the site's own families are, as `package.module:object`.
    """

    without: frozenset[str] = frozenset()
    added: tuple[str, ...] = ()


def parse_choice(text: str) -> Choice:
    """Read the setting NOVOIC_FAMILIES.

    Args:
        text: Items separated by commas: `-name` switches a family off, `package.module:object` adds the family that
            this Python object is. Empty: the families of the project and of installed packages.

    Returns:
        The choice.

    Raises:
        NovoicError: An item has neither form.

    Example:
        >>> parse_choice("-formants, lab.features:TREMOR")
        Choice(without=frozenset({'formants'}), added=('lab.features:TREMOR',))
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
                "NOVOIC_FAMILIES has an item that is neither -name nor package.module:object; write -name to switch a"
                " family off and package.module:object to add one, separated by commas"
            )
    return Choice(frozenset(without), tuple(dict.fromkeys(added)))


def audio_families(choice: str = "") -> tuple[AudioFamily, ...]:
    """Return the audio families, in order: the project's, then those of installed packages and of the setting.

    Args:
        choice: The setting NOVOIC_FAMILIES; see `parse_choice`.

    Raises:
        NovoicError: The setting names an unknown family or object, or a site's family conflicts with others.
    """
    added = _added(choice)
    return _chosen([*AUDIO_FAMILIES.values(), *(each for each in added if isinstance(each, AudioFamily))], choice)


def text_families(spacy_model: str, choice: str = "") -> tuple[TextFamily, ...]:
    """Return the text families, in order: the project's, then those of installed packages and of the setting.

    Args:
        spacy_model: Name of the spaCy model of the word vectors and the grammar.
        choice: The setting NOVOIC_FAMILIES; see `parse_choice`.

    Raises:
        NovoicError: The model is not installed or lacks what the families need, the setting names an unknown family
            or object, or a site's family conflicts with others.
    """
    without = parse_choice(choice).without
    # Do not even make a family that is switched off: its model may be missing.
    own = [make(spacy_model) for name, make in TEXT_FAMILIES.items() if name not in without]
    return _chosen([*own, *(each for each in _added(choice) if isinstance(each, TextFamily))], choice)


def marks(base: str, families: Sequence[Family]) -> dict[str, str]:
    """Return, by family name, the fingerprint of each family's values for one session.

    Args:
        base: Fingerprint of the input that all families of the session share.
        families: The families.
    """
    return {family.name: fingerprint(base, family.name, family.version, family.settings) for family in families}


def identity(families: Sequence[Family]) -> str:
    """Return a hash of the families' names, versions and settings, which distinguishes their values from others'."""
    return fingerprint(*(part for family in families for part in (family.name, family.version, family.settings)))


def _chosen(families: Sequence[_Family], choice: str) -> tuple[_Family, ...]:
    without = parse_choice(choice).without
    known = {*AUDIO_FAMILIES, *TEXT_FAMILIES, *(family.name for family in _added(choice))}
    unknown = sorted(without - known)
    if unknown:
        raise NovoicError(
            f"NOVOIC_FAMILIES switches off unknown families: {', '.join(unknown)}; the families are"
            f" {', '.join(sorted(known))}"
        )
    chosen = tuple(family for family in families if family.name not in without)
    taken: set[str] = set()
    for family in chosen:
        if not taken.isdisjoint(family.value_names):
            raise NovoicError(f"the added family {family.name} has a value whose name is taken; rename the value")
        taken.update(family.value_names)
    return chosen


def _added(choice: str) -> tuple[Family, ...]:
    """The families of installed packages by the names of their entry points, then those of the setting in its order."""
    families: tuple[Family, ...] = added(
        ENTRY_POINTS, (AudioFamily, TextFamily), parse_choice(choice).added, setting="NOVOIC_FAMILIES"
    )
    for family in families:
        _check_parts(family)
    _check_names(families)
    return families


def _check_parts(family: Family) -> None:
    """Raise NovoicError if a part of a site's family is not what a family has there."""
    cost, batches = family.cost, family.batches
    seconds = (cost.session, cost.second, cost.word) if isinstance(cost, Cost) else (None,)
    faults = {
        "its name is not text": not isinstance(family.name, str),
        "its version or settings are not text": not all(
            isinstance(text, str) for text in (family.version, family.settings)
        ),
        "its members are not a tuple of one Value or more": not family.members
        or not isinstance(family.members, tuple)
        or not all(isinstance(value, Value) and isinstance(value.name, str) for value in family.members),
        "its speakers are not of patient, investigator and all": not family.speakers
        or not set(family.speakers) <= set(SPEAKERS),
        "its cost is not a Cost with seconds of 0 or more": not all(
            isinstance(each, int | float) and 0 <= each < math.inf for each in seconds
        ),
        "its batches are not Batches with a whole number of sessions, 1 or more": batches is not None
        and not (isinstance(batches, Batches) and type(batches.sessions) is int and batches.sessions >= 1),
    }
    for fault, applies in faults.items():
        if applies:
            raise NovoicError(
                f"the added family {family.name!r} cannot be used: {fault}; fix its package, or remove it"
            )


def _check_names(added: Sequence[Family]) -> None:
    """Raise NovoicError if a site's family takes a name that is in use, or one that is not an identifier."""
    families = [*AUDIO_FAMILIES, *TEXT_FAMILIES]
    values = [value.name for family in AUDIO_FAMILIES.values() for value in family.members]
    for family in added:
        names = family.value_names
        if family.name in families or set(names) & set(values) or len(set(names)) < len(names):
            raise NovoicError(
                f"the name of the added family {family.name}, or of one of its values, is taken; choose another"
            )
        if not all(name.isidentifier() for name in (family.name, *names)):
            raise NovoicError(
                f"the name of the added family {family.name}, or of one of its values, is not a Python identifier"
            )
        families.append(family.name)
        values.extend(names)
