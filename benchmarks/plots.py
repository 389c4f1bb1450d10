"""Draw pictures without a display, as small SVG files; equal figures give equal files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure(x: str, y: str) -> "tuple[Figure, Axes]":
    """Return an empty figure with one pair of axes, which have these labels."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = drawn.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", color="0.9")
    axes.set_axisbelow(True)
    return drawn, axes


def save(drawn: "Figure", path: Path) -> None:
    """Write a figure as SVG; text stays text, which keeps the file small."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.family": "sans-serif"}):
        drawn.savefig(path, format="svg", metadata={"Date": None})


def thinned(samples: Sequence[tuple[float, float, float]], most: int = 300) -> list[tuple[float, float, float]]:
    """Reduce samples to a number of points.

    Args:
        samples: For each, a time and two values.
        most: The largest number of points.

    Returns:
        For each stretch of samples, the time of its first one and the largest of each value.

    >>> thinned([(0.0, 1.0, 5.0), (0.5, 2.0, 4.0), (1.0, 3.0, 3.0)], most=2)
    [(0.0, 2.0, 5.0), (1.0, 3.0, 3.0)]
    """
    step = max(1, -(-len(samples) // most))
    stretches = [samples[start : start + step] for start in range(0, len(samples), step)]
    return [(part[0][0], max(own for _, own, _ in part), max(other for *_, other in part)) for part in stretches]
