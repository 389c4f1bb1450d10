"""Dagster assets that turn clinical speech sessions into training datasets."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novoic_assets.training.load import TrainingData, load_dataset

__all__ = ["TrainingData", "load_dataset"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute
    # Import on first use: importing NumPy and Arrow here would double the time of `novoic --help`.
    if name in __all__:
        from novoic_assets.training import load

        return getattr(load, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
