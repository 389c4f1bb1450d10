"""A version of a dataset, as the kinds of file that are written with it receive it."""

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
    """Hash and size of a file.

    Attributes:
        sha256: The hash of its content, 64 hexadecimal digits.
        size: Its size in bytes.
    """

    sha256: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain values.

        >>> FileFacts(sha256="00ff", size=2).to_json()
        {'sha256': '00ff', 'bytes': 2}
        """
        return {"sha256": self.sha256, "bytes": self.size}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "FileFacts":
        """Read the facts that `to_json` returned; raise `KeyError` if one is missing."""
        return cls(content["sha256"], content["bytes"])


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """A version of a dataset: made from a `Dataset`, or read back from the store.

    Attributes:
        name: The dataset's name.
        description: Who belongs to its cohort, in a sentence.
        version: The version, 16 hexadecimal digits.
        arrays: The arrays by name, as in `arrays.npz`; n rows, one for each session.
        covariates: One column for each covariate, with the same n rows.
        schema_version: The version of the names and positions of the values.
        families: The manifest's description of each feature family, by modality.
        counts: Number of sessions by split and class.
        flow: Where every session went when the version was first written.
        inputs_digest: Digest of the raw files, metadata and settings.
        settings: Other settings, such as the id of the pseudonym key.
        tables: Versions of the tables that it was made from, by the table's name.
        code_version: The version of this package that made it.
        files: The files of arrays and Parquet that are already in the store, by file name.
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
        """Make the version of a dataset, before anything of it is written.

        Args:
            dataset: The dataset.
            tables: Versions of the tables that it was made from, by the table's name.
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
