"""Dagster assets that turn clinical speech sessions into training datasets."""

from novoic_assets.training.load import TrainingData, load_dataset

__all__ = ["TrainingData", "load_dataset"]
