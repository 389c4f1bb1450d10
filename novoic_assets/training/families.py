"""The description of feature families in a dataset's version, manifest and Parquet files."""

from collections.abc import Mapping, Sequence
from typing import Any

from novoic_assets.features.family import SCHEMA_VERSION, Family
from novoic_assets.features.modalities import MODALITIES


def families_json(families: Mapping[str, Sequence[Family]]) -> dict[str, Any]:
    """Describe the schema version and the families of each modality as plain values."""
    return {
        "schema_version": SCHEMA_VERSION,
        **{modality.name: [_family_json(family) for family in families[modality.name]] for modality in MODALITIES},
    }


def _family_json(family: Family) -> dict[str, Any]:
    # A dataset's version hashes this text: changing it changes every version.
    return {
        "name": family.name,
        "version": family.version,
        "settings": family.settings,
        "speakers": list(family.speakers),
        "is_covariate": family.is_covariate,
        "values": list(family.value_names),
        "units": list(family.units),
        "descriptions": [value.formula for value in family.members],
    }
