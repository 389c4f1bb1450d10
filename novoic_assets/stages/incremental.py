"""Plan what a stage has left to do: fingerprints, plans, and the guard against mass removal.

A stage's table holds one row for each input, with the fingerprint of what the row was computed from.
A plan always follows from the difference between the wanted fingerprints and those in the table, so a run
that was killed, failed or never ran loses nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from novoic_assets.errors import MassRemovalError
from novoic_assets.reasons import OK

_MAX_LOST = 5
_MAX_LOST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an input's row should have been computed from.

    Attributes:
        fingerprint: Hash of the input and the version of what reads it.
        families: Fingerprint of each feature family by its name; empty for a stage without families.
        size: How large the input is: bytes of a file, words of a transcript or seconds of a recording.
        bytes: Estimated memory of its task, in bytes.
    """

    fingerprint: str
    families: Mapping[str, str] = field(default_factory=dict)
    size: float = 0.0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Present:
    """What the row in the table was computed from.

    Attributes:
        fingerprint: As in `Wanted`.
        families: As in `Wanted`.
        reason: The row's outcome.
    """

    fingerprint: str
    families: Mapping[str, str]
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stage has to do.

    Attributes:
        new: Inputs without a row.
        changed: Inputs whose row, or one of its families, was computed from something else.
        removed: Rows without an input.
        unchanged: Number of rows that stay unchanged.
        families: The families to compute for each new or changed input.
    """

    new: Sequence[str]
    changed: Sequence[str]
    removed: Sequence[str]
    unchanged: int
    families: Mapping[str, tuple[str, ...]]

    @property
    def pending(self) -> list[str]:
        """New and changed inputs, sorted."""
        return sorted([*self.new, *self.changed])


def plan(wanted: Mapping[str, Wanted], present: Mapping[str, Present]) -> Plan:
    """Compare the wanted content of a stage's table with its present content.

    A refused row is done: the stage tries it again only when its fingerprint changes. If a row's fingerprint
    matches, the stage computes only the families whose own fingerprints differ.

    Args:
        wanted: By key, what each row should have been computed from.
        present: By key, what each row was computed from.

    Returns:
        The plan; its lists are sorted.

    Example:
        >>> wanted = {"S1": Wanted("a"), "S2": Wanted("b")}
        >>> todo = plan(wanted, {"S2": Present("b", {}, "ok"), "S3": Present("c", {}, "ok")})
        >>> todo.new, todo.changed, todo.removed, todo.unchanged
        (['S1'], [], ['S3'], 1)
    """
    new, changed, families = [], [], {}
    for key, want in sorted(wanted.items()):
        have = present.get(key)
        if have is None:
            new.append(key)
            families[key] = tuple(want.families)
        elif have.fingerprint != want.fingerprint:
            changed.append(key)
            families[key] = tuple(want.families)
        elif have.reason == OK:
            stale = tuple(name for name, mark in want.families.items() if have.families.get(name) != mark)
            if stale:
                changed.append(key)
                families[key] = stale
    removed = sorted(present.keys() - wanted.keys())
    unchanged = len(present) - len(removed) - len(changed)
    return Plan(new=new, changed=changed, removed=removed, unchanged=unchanged, families=families)


def guard_removal(known: Collection[str], listed: Collection[str], *, confirmed: bool, what: str) -> int:
    """Refuse a listing that lost many known keys.

    Args:
        known: Keys of earlier listings.
        listed: Keys of the new listing.
        confirmed: Whether somebody confirmed the removal.
        what: What the keys identify, for the message.

    Returns:
        The number of known keys that the listing has lost.

    Raises:
        MassRemovalError: More than 5 and more than 20 % of the known keys are gone, and nobody confirmed it.

    Example:
        >>> guard_removal({"S1", "S2"}, {"S2", "S3"}, confirmed=False, what="sessions")
        1
    """
    lost = len(set(known) - set(listed))
    if not confirmed and lost > _MAX_LOST and lost > _MAX_LOST_SHARE * len(known):
        raise MassRemovalError(
            f"{lost} of {len(known)} known {what} are gone; nothing was removed. If this is intended, run once with"
            " --confirm-removal (in Dagster: set confirm_removal of the raw assets)"
        )
    return lost
