"""What a part is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.common import Bench, Figures
from novoic_assets import markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Target:
    """A limit that a figure should keep.

    Attributes:
        text: What is asked.
        limit: The limit.
        reached: Takes the figure from what the part measured; None where it was not measured.
        unit: Of the figure, for the report.
        at_least: Whether the figure should be as large as the limit, or larger; else as small, or smaller.
    """

    text: str
    limit: float
    reached: Callable[[Figures], float | None]
    unit: str
    at_least: bool = False

    def is_met(self, figures: Figures) -> bool | None:
        """Whether the figure keeps the limit; None where it was not measured."""
        value = self.reached(figures)
        if value is None:
            return None
        return value >= self.limit if self.at_least else value <= self.limit


def _no_plots(_: Figures) -> "Mapping[str, Figure]":
    return {}


@dataclass(frozen=True)
class Part:
    """A part of the benchmarks; it depends on no other.

    Attributes:
        name: Its name on the command line.
        title: Its heading in the report.
        run: Measures.
        markdown: Its section of the report.
        plots: Its pictures, by name.
        targets: What should be reached at full size.
        missing: Why it cannot be run here, if it cannot.
    """

    name: str
    title: str
    run: Callable[[Bench], Figures]
    markdown: Callable[[Figures], str]
    targets: tuple[Target, ...] = ()
    plots: "Callable[[Figures], Mapping[str, Figure]]" = field(default=_no_plots)
    missing: Callable[[Bench], str | None] = field(default=lambda _: None)


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    return markdown.table(header, rows, right=range(1, len(header)))
