"""A picture of a dataset: its classes by split, and age by class."""

import io

import numpy as np

from novoic_assets.training.dataset import OLDEST_AGE, Dataset

_LABELS = ("controls", "cases")
_COLOURS = ("#4c78a8", "#e45756")


def dataset_picture(dataset: Dataset) -> bytes:
    """Draw a dataset's classes by split and, where age is a covariate, the classes' ages in decades.

    The picture shows only counts, and nothing of a single session.

    Args:
        dataset: A dataset with at least one row.

    Returns:
        A PNG.
    """
    # Figure without pyplot needs no window system, and the import takes half as long.
    from matplotlib.figure import Figure

    y = dataset.arrays["y"]
    has_age = "age" in dataset.covariates.column_names
    figure = Figure(figsize=(8 if has_age else 4, 3))
    # The margins are fixed, since computing them takes as long as the drawing.
    left = 0.08 if has_age else 0.16
    figure.subplots_adjust(left=left, right=0.98, top=0.9, bottom=0.16, wspace=0.22)
    axes = figure.subplots(1, 2 if has_age else 1, squeeze=False)[0]
    counts = dataset.counts()
    for label, colour, shift in zip(_LABELS, _COLOURS, (-0.2, 0.2), strict=True):
        bars = axes[0].bar(
            np.arange(len(counts)) + shift, [row[label] for row in counts.values()], 0.38, color=colour, label=label
        )
        axes[0].bar_label(bars)
    axes[0].set_xticks(np.arange(len(counts)), list(counts))
    axes[0].set_ylabel("sessions")
    axes[0].set_title("classes by split", fontsize=10)
    axes[0].legend(frameon=False, fontsize=8)
    axes[0].margins(y=0.15)
    if has_age:
        age = np.array(dataset.covariates["age"].to_pylist())
        edges = np.arange(10 * (age.min() // 10), OLDEST_AGE + 11, 10)
        axes[1].hist([age[y == 0], age[y == 1]], bins=edges, color=_COLOURS, label=_LABELS)
        axes[1].set_xlabel("age in years")
        axes[1].set_ylabel("sessions")
        axes[1].set_title("age by class", fontsize=10)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.yaxis.get_major_locator().set_params(integer=True)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=80, metadata={"Software": None})
    return file.getvalue()
