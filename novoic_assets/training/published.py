"""A version of a dataset, as the files that are written with it see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as package_version
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from novoic_assets.training.dataset import Dataset
from novoic_assets.training.families import families_json


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file's content.

    Attributes:
        sha256: Its hash, 64 hexadecimal digits.
        size: Its size in bytes.
    """

    sha256: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """The facts as plain values."""
        return {"sha256": self.sha256, "bytes": self.size}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "FileFacts":
        """The facts that `to_json` gave; raises `KeyError` for anything else."""
        return cls(content["sha256"], content["bytes"])


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """A version of a dataset: made from a `Dataset`, or read back from the store.

    Attributes:
        name: The dataset's name.
        description: Who is in it, in a sentence.
        version: The version, hexadecimal digits.
        arrays: By name, as in `arrays.npz`; n rows, one a session.
        covariates: The covariates, a column each, of the same n rows.
        schema_version: The version of the names and places of the values.
        families: By modality, what the manifest says of each feature family.
        counts: Number of sessions by split and class.
        flow: Where every session went when the version was first written.
        inputs_digest: Digest of the raw files, metadata and settings.
        settings: Other settings, such as the id of the pseudonym key.
        tables: Versions of the tables that it was made from.
        code_version: The version of this package that made it.
        files: The arrays and tables that are in the store already, by file name.
    """

    name: str
    description: str
    version: str
    arrays: Mapping[str, NDArray[Any]]
    covariates: pa.Table
    schema_version: str
    families: Mapping[str, Sequence[Mapping[str, Any]]]
    counts: Mapping[str, Mapping[str, int]]
    flow: Mapping[str, Any]
    inputs_digest: str
    settings: Mapping[str, str]
    tables: Mapping[str, int]
    code_version: str
    files: Mapping[str, FileFacts] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset, *, tables: Mapping[str, int], settings: Mapping[str, str]) -> "Published":
        """The version that a dataset is to be.

        Args:
            dataset: The dataset.
            tables: Versions of the tables that it was made from.
            settings: Other settings to record.
        """
        families = families_json(dataset.families)
        return cls(
            name=dataset.cohort.name,
            description=dataset.cohort.description,
            version=dataset.version,
            arrays=dataset.arrays,
            covariates=dataset.covariates,
            schema_version=families.pop("schema_version"),
            families=families,
            counts=dataset.counts(),
            flow=dataset.flow.to_json(),
            inputs_digest=dataset.inputs,
            settings=settings,
            tables=tables,
            code_version=package_version("novoic-assets"),
        )
