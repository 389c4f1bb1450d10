"""The dataset of a cohort: its arrays, its covariates and its version."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from novoic_assets.errors import NovoicError
from novoic_assets.features import values
from novoic_assets.features.family import ALL, REASONS, SCHEMA_VERSION, SPEAKERS, Family, Speaker, features
from novoic_assets.features.modalities import MODALITIES, Modality
from novoic_assets.training.cohorts import Cohort, Label
from novoic_assets.training.families import families_json
from novoic_assets.training.inputs import inputs_digest
from novoic_assets.training.members import Flow, Sources, members
from novoic_assets.training.pseudonyms import Pseudonyms

SPLITS: Final = ("train", "test")
COVARIATES: Final = ("age", "gender", "mmse")
OLDEST_AGE: Final = 90  # HIPAA 45 CFR 164.514(b)(2)(i)(C): ages from 90 on are one class


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A cohort's dataset, ready to be written. Rows are sorted by the session's pseudonym.

    Attributes:
        cohort: The cohort.
        arrays: The arrays by name, as in `arrays.npz`; see docs/data-formats.md.
        covariates: One column for each covariate, with the rows of the arrays.
        families: The families of each modality.
        flow: Where every session went.
        inputs: Digest of the raw files, metadata and settings that the dataset was made from.
    """

    cohort: Cohort
    arrays: Mapping[str, NDArray[Any]]
    covariates: pa.Table
    families: Mapping[str, Sequence[Family]]
    flow: Flow
    inputs: str

    @property
    def version(self) -> str:
        """Hash of the arrays, the covariates and the schema, 16 hexadecimal digits: equal data have equal versions."""
        digest = hashlib.sha256()
        columns = {f"covariate_{name}": self.covariates[name].to_pylist() for name in self.covariates.column_names}
        for name, content in sorted({**self.arrays, **columns}.items()):
            if isinstance(content, np.ndarray) and content.dtype.kind in "fiu":
                # Hash every NaN with the same bits: they differ between kinds of CPU.
                canonical = (
                    np.where(np.isnan(content), np.array(np.nan), content) if content.dtype.kind == "f" else content
                )
                little = np.ascontiguousarray(canonical, dtype=content.dtype.newbyteorder("<"))
                header, data = f"{name} {little.dtype.str} {little.shape}", little.tobytes()
            else:
                plain = content.tolist() if isinstance(content, np.ndarray) else content
                header, data = f"{name} json", json.dumps(plain, ensure_ascii=True).encode()
            digest.update(f"{header} {len(data)}\n".encode())
            digest.update(data)
        digest.update(json.dumps(families_json(self.families), sort_keys=True).encode())
        return digest.hexdigest()[:16]

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the sessions by split and class."""
        return class_counts(self.arrays["y"], self.arrays["split"])


def class_counts(y: NDArray[np.int8], split: NDArray[np.str_]) -> dict[str, dict[str, int]]:
    """Count the rows by split and class.

    Args:
        y: 1 for cases, 0 for controls, shape (n,).
        split: `train` or `test`, shape (n,).

    Returns:
        The numbers of cases and controls of each split.

    Example:
        >>> class_counts(np.array([1, 0, 0], np.int8), np.array(["train", "train", "test"]))
        {'train': {'cases': 1, 'controls': 1}, 'test': {'cases': 0, 'controls': 1}}
    """
    return {
        part: {
            "cases": int(np.sum((split == part) & (y == 1))),
            "controls": int(np.sum((split == part) & (y == 0))),
        }
        for part in SPLITS
    }


def check_covariates(names: Sequence[str]) -> tuple[str, ...]:
    """Check the names of the covariates to publish.

    Args:
        names: Columns of the metadata.

    Returns:
        The names without duplicates.

    Raises:
        NovoicError: A name is not one of `COVARIATES`.

    Example:
        >>> check_covariates(["gender", "age", "gender"])
        ('gender', 'age')
    """
    if not set(names) <= set(COVARIATES):
        raise NovoicError(f"NOVOIC_COVARIATES names an unknown column; it takes any of {', '.join(COVARIATES)}")
    return tuple(dict.fromkeys(names))


def assemble(cohort: Cohort, sources: Sources, pseudonyms: Pseudonyms, covariates: Sequence[str]) -> Dataset:
    """Assemble the dataset of a cohort.

    Args:
        cohort: The cohort.
        sources: The patients, tables and families that datasets are made from.
        pseudonyms: Name the patients and sessions in the dataset.
        covariates: Columns of the metadata to publish beside the arrays.

    Returns:
        The dataset. It has no rows if nobody belongs to the cohort.

    Raises:
        NovoicError: A covariate is not one of `COVARIATES`.
        ValueError: A vector's length differs from the catalogue's, or two sessions share a pseudonym.
    """
    names = check_covariates(covariates)
    rows, flow = members(cohort, sources)
    rows.sort(key=lambda member: pseudonyms.session(member.session))
    tables = {
        modality.name: sources.tables[modality.name].take(
            pa.array([member.rows[modality.name] for member in rows], pa.int64())
        )
        for modality in MODALITIES
    }
    sessions_of = Counter(member.patient.patient for member in rows)
    arrays: dict[str, NDArray[Any]] = {
        "y": np.array([member.label is Label.CASE for member in rows], dtype=np.int8),
        "patient": _strings(pseudonyms.patient(member.patient.patient) for member in rows),
        "session": _strings(pseudonyms.session(member.session) for member in rows),
        "split": _strings(member.patient.split for member in rows),
        "weight": np.array([1 / sessions_of[member.patient.patient] for member in rows], dtype=np.float32),
        "schema_version": np.array(SCHEMA_VERSION),
        "reasons": _strings(["", *REASONS]),
    }
    if len(set(arrays["session"].tolist())) != len(rows):
        raise ValueError("two sessions share a pseudonym")
    for modality in MODALITIES:
        arrays |= _matrices(modality.name, tables[modality.name]["values"], sources.families[modality.name])
    for modality in MODALITIES:
        if modality.covariates:
            arrays |= _circumstances(modality, tables[modality.name]["values"], sources.families[modality.name])
    columns = {
        "age": pa.array([min(member.patient.age, OLDEST_AGE) for member in rows], pa.int16()),
        "gender": pa.array([member.patient.gender for member in rows], pa.string()),
        "mmse": pa.array([member.patient.mmse for member in rows], pa.int16()),
    }
    files = zip(*(tables[modality.name]["sha256"].to_pylist() for modality in MODALITIES), strict=True)
    patients = (member.patient for member in rows)
    return Dataset(
        cohort=cohort,
        arrays=arrays,
        covariates=pa.table({name: columns[name] for name in names}),
        families=sources.families,
        flow=flow,
        inputs=inputs_digest(cohort, sources.families, names, zip(patients, files, strict=True)),
    )


def _matrices(modality: str, column: pa.ChunkedArray, families: Sequence[Family]) -> dict[str, NDArray[Any]]:
    """The values of a modality for each speaker, with their names, reasons and statuses."""
    described = features(families)
    arrays: dict[str, NDArray[Any]] = {f"{modality}_names": _value_names(described)}
    for speaker in SPEAKERS:
        arrays[f"X_{modality}_{speaker}"], arrays[f"reason_{modality}_{speaker}"] = _side_by_side(
            column, described, speaker
        )
        arrays[f"status_{modality}_{speaker}"] = values.statuses(column, described, speaker)
    return arrays


def _circumstances(modality: Modality, column: pa.ChunkedArray, families: Sequence[Family]) -> dict[str, NDArray[Any]]:
    """The values of a modality's covariate families, with their names."""
    described = [family for family in families if family.is_covariate]
    return {
        f"{modality.covariates}_names": _value_names(described),
        modality.covariates: _side_by_side(column, described, ALL)[0],
    }


def _value_names(families: Sequence[Family]) -> NDArray[np.str_]:
    return _strings(name for family in families for name in family.value_names)


def _side_by_side(
    column: pa.ChunkedArray, families: Sequence[Family], speaker: Speaker
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The families' vectors of one speaker as one matrix, and the codes of the reasons."""
    # Start with an empty matrix, since every family may be switched off.
    empty = np.zeros((len(column), 0), np.float32), np.zeros((len(column), 0), np.uint8)
    matrices, codes = zip(empty, *(values.matrix(column, family, speaker) for family in families), strict=True)
    return np.hstack(matrices), np.hstack(codes)


def _strings(items: Iterable[str]) -> NDArray[np.str_]:
    # The type is explicit because NumPy makes an empty list float64.
    return np.array(list(items), dtype=np.str_)
