"""The catalogue as text: rows of tables, JSON, and the generated part of docs/features.md."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from novoic_assets import markdown
from novoic_assets.features.family import Family, Flag, Value

_DIGITS = re.compile(r"\d+")
_FLAG_MARKS = {Flag.GROWS_WITH_LENGTH: "L", Flag.DEPENDS_ON_GAIN: "G"}


@dataclass(frozen=True, slots=True)
class Entry:
    """The catalogue's entry of one value, or of several that differ only in a number.

    Attributes:
        names: The name, or the first and the last.
        unit: The unit; "1" for a value without one.
        formula: The formula; of several values, the first one's.
        source: Where the formula comes from.
        undefined: The reasons that make it NaN, apart from those that apply to every value.
        least: The least support.
        flags: The letters of its caveats.
        typical: The typical range; empty if no range is known.
    """

    names: str
    unit: str
    formula: str
    source: str
    undefined: str
    least: str
    flags: str
    typical: str


def entries(family: Family) -> list[Entry]:
    """Return the entries of a family's values, in order."""
    return [_entry(list(values)) for _, values in groupby(family.members, key=_but_for_numbers)]


def to_json(families: Iterable[Family]) -> list[dict[str, object]]:
    """Return the complete catalogue entry of every value, as plain values for JSON."""
    return [
        {
            "family": family.name,
            "version": family.version,
            "value": value.name,
            "unit": value.unit,
            "formula": value.formula,
            "source": value.source,
            "speakers": list(family.speakers),
            "covariate": family.is_covariate,
            "undefined": [str(reason) for reason in value.reasons],
            "least_support": value.least,
            "flags": sorted(value.flags),
            "typical": list(value.typical) if value.typical else None,
        }
        for family in families
        for value in family.members
    ]


def with_tables(page: str, families: Sequence[Family]) -> str:
    """Return a Markdown page with the tables of the families between its two marks.

    Raises:
        ValueError: The page does not have the marks.
    """
    return markdown.replace_part(page, "catalogue", "\n\n".join(_sections(families)))


def _sections(families: Sequence[Family]) -> Iterator[str]:
    summary = (
        (
            f"[`{family.name}`](#{family.name})",
            len(family.members),
            ", ".join(family.speakers),
            family.description + (" Not a feature: published beside the matrices." if family.is_covariate else ""),
        )
        for family in families
    )
    yield markdown.table(("family", "values", "speakers", "what it is"), summary, right=(1,))
    header = ("value", "unit", "formula", "source", "typical", "NaN where", "least support", "flags")
    for family in families:
        yield f"### {family.name}"
        yield f"{family.description} Version {family.version}."
        rows = (
            (entry.names, entry.unit, entry.formula, entry.source, entry.typical, entry.undefined, entry.least,
             entry.flags)
            for entry in entries(family)
        )  # fmt: skip
        yield markdown.table(header, rows)


def _but_for_numbers(value: Value) -> tuple[object, ...]:
    texts = tuple(_DIGITS.sub("#", text) for text in (value.name, value.formula))
    # Only numbered values share an entry: the mean and the spread of one quantity stay separate.
    numbered = texts[0] if texts[0] != value.name else value.name
    return (numbered, texts[1], value.unit, value.source, value.typical, value.reasons, value.least, value.flags)


def _entry(values: Sequence[Value]) -> Entry:
    first, last = values[0], values[-1]
    return Entry(
        names=f"`{first.name}`" + (f" … `{last.name}`" if len(values) > 1 else ""),
        unit=first.unit,
        formula=first.formula,
        source=first.source,
        undefined=", ".join(map(str, first.reasons)),
        least=first.least,
        flags=", ".join(_FLAG_MARKS[flag] for flag in sorted(first.flags)),
        typical=f"{first.typical[0]:g} to {first.typical[1]:g}" if first.typical else "",
    )
