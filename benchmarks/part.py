"""The parts of the benchmarks and their targets."""

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
        text: The name of the figure, for the report.
        limit: The limit.
        reached: Takes the figure from the part's measurements; None if it was not measured.
        unit: The unit of the figure, for the report.
        at_least: Whether the limit is the least value; otherwise it is the largest.
    """

    text: str
    limit: float
    reached: Callable[[Figures], float | None]
    unit: str
    at_least: bool = False

    def is_met(self, figures: Figures) -> bool | None:
        """Whether the figure keeps the limit; None if it was not measured."""
        value = self.reached(figures)
        if value is None:
            return None
        return value >= self.limit if self.at_least else value <= self.limit


def _no_plots(_: Figures) -> "Mapping[str, Figure]":
    return {}


@dataclass(frozen=True)
class Part:
    """A part of the benchmarks, independent of the others.

    Attributes:
        name: Its name on the command line.
        title: Its heading in the report.
        run: Measures, and returns the figures.
        markdown: Makes its section of the report from the figures.
        targets: Its targets at full size.
        plots: Makes its pictures, by name.
        missing: Returns why it cannot run here; None if it can.
    """

    name: str
    title: str
    run: Callable[[Bench], Figures]
    markdown: Callable[[Figures], str]
    targets: tuple[Target, ...] = ()
    plots: "Callable[[Figures], Mapping[str, Figure]]" = field(default=_no_plots)
    missing: Callable[[Bench], str | None] = field(default=lambda _: None)


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table; all columns except the first are aligned to the right.

    >>> print(table(("", "seconds"), [("a tick", "1.26")]))
    |  | seconds |
    | --- | ---: |
    | a tick | 1.26 |
    """
    return markdown.table(header, rows, right=range(1, len(header)))
