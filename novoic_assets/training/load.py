"""Loading a published dataset, without importing Dagster."""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from novoic_assets.errors import NovoicError
from novoic_assets.features.family import PATIENT, SPEAKERS, Speaker, Undefined
from novoic_assets.features.modalities import MODALITIES
from novoic_assets.settings import settings
from novoic_assets.storage.files import Storage
from novoic_assets.training import publish
from novoic_assets.training.cohorts import COHORTS
from novoic_assets.training.dataset import SPLITS
from novoic_assets.training.versions import read_version

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """A dataset, or one split of it, with n rows, one for each session.

    Attributes:
        name: The dataset's name.
        version: Its version.
        speaker: Whose speech the matrices describe.
        X_text: float32, shape (n, len(text_names)); NaN where undefined.
        X_audio: float32, shape (n, len(audio_names)); NaN where undefined.
        y: int8, shape (n,); 1 for cases, 0 for controls.
        mask_text: bool, the shape of `X_text`; True where finite.
        mask_audio: bool, the shape of `X_audio`; True where finite.
        reason_text: uint8, the shape of `X_text`: 0 for a number, else the index in `reasons` of why it is undefined.
        reason_audio: uint8, the shape of `X_audio`, likewise.
        reasons: Strings: the reasons that the codes stand for.
        status_text: Strings, shape (n,): `ok`, `partial` (some values are NaN) or `no_speech`.
        status_audio: Strings, shape (n,): `ok`, `partial`, `no_speech`, `too_short` or `inaudible`.
        patient: Pseudonyms, shape (n,); the groups for scikit-learn's GroupKFold.
        session: Pseudonyms, shape (n,), unique and sorted.
        split: `train` or `test`, shape (n,).
        weight: float32, shape (n,); 1 over the number of the patient's sessions in the whole dataset.
        text_names: Names of the columns of `X_text`.
        audio_names: Names of the columns of `X_audio`.
        covariates: Arrays of shape (n,) by name; a missing score is NaN.
        recording: float32, shape (n, len(recording_names)): the circumstances of the recording, such as its sample
            rate and noise. They are no features. Check whether they alone separate the classes.
        recording_names: Names of the columns of `recording`.
    """

    name: str
    version: str
    speaker: Speaker
    X_text: NDArray[np.float32]
    X_audio: NDArray[np.float32]
    y: NDArray[np.int8]
    mask_text: NDArray[np.bool_]
    mask_audio: NDArray[np.bool_]
    reason_text: NDArray[np.uint8]
    reason_audio: NDArray[np.uint8]
    reasons: NDArray[np.str_]
    status_text: NDArray[np.str_]
    status_audio: NDArray[np.str_]
    patient: NDArray[np.str_]
    session: NDArray[np.str_]
    split: NDArray[np.str_]
    weight: NDArray[np.float32]
    text_names: NDArray[np.str_]
    audio_names: NDArray[np.str_]
    covariates: dict[str, NDArray[Any]]
    recording: NDArray[np.float32]
    recording_names: NDArray[np.str_]

    def to_pandas(self) -> "pd.DataFrame":
        """Return a data frame with a row for each session, indexed by pseudonym, and a column for each value."""
        import pandas as pd

        columns: dict[str, Any] = {
            "patient": self.patient,
            "split": self.split,
            "y": self.y,
            "weight": self.weight,
            **self.covariates,
            **{f"status_{modality.name}": getattr(self, f"status_{modality.name}") for modality in MODALITIES},
        }
        frame = pd.DataFrame(columns, index=pd.Index(self.session, name="session"))
        circumstances = [modality.covariates for modality in MODALITIES if modality.covariates]
        matrices = {name: name for name in circumstances} | {
            f"X_{modality.name}": modality.name for modality in MODALITIES
        }
        parts = [
            pd.DataFrame(getattr(self, matrix), index=frame.index, columns=getattr(self, f"{names}_names"))
            for matrix, names in matrices.items()
        ]
        return pd.concat([frame, *parts], axis=1)


def load_dataset(
    name: str,
    store: str | os.PathLike[str] | None = None,
    speaker: Speaker = PATIENT,
    split: Literal["train", "test"] | None = None,
    version: str | None = None,
    families: Sequence[str] | None = None,
) -> TrainingData:
    """Load a published dataset.

    Args:
        name: The dataset's name, such as `ad_vs_hc`.
        store: The store, a folder or `s3://bucket/prefix`; None for that of `NOVOIC_STORE`, by default `store` in the
            current folder.
        speaker: Whose speech: `patient`, `investigator` or `all`.
        split: `train` or `test`; None for both.
        version: The version; None for the current one.
        families: The feature families of the matrices, such as `["mfcc", "lexical"]`; None for all published ones.
            The columns keep the order in which they were published.

    Returns:
        The dataset. A `UserWarning` names the families that have no number in it, and why.

    Raises:
        NovoicError: The dataset, version, speaker, split or family does not exist.
        StorageError: The store cannot be read.
    """
    if speaker not in SPEAKERS:
        raise NovoicError(f"speaker must be one of {', '.join(SPEAKERS)}")
    if split is not None and split not in SPLITS:
        raise NovoicError(f"split must be one of {', '.join(SPLITS)}, or None for both")
    if not re.fullmatch(r"\w+", name):
        raise NovoicError(f"name must be one of {', '.join(cohort.name for cohort in COHORTS)}")
    storage = Storage(os.fspath(store) if store is not None else settings().store, "store")
    version = version or _current_version(storage, name)
    if not re.fullmatch(r"[0-9a-f]+", version):
        raise NovoicError("version must be a string of hexadecimal digits, or None for the current one")
    try:
        published = read_version(storage, name, version)
    except FileNotFoundError:
        raise NovoicError(f"the store has no version {version} of the dataset {name}") from None
    arrays, columns = published.arrays, _columns(published.families, families)
    rows = np.flatnonzero(arrays["split"] == split) if split is not None else np.arange(len(arrays["y"]))
    data = TrainingData(
        name=name,
        version=version,
        speaker=speaker,
        reasons=arrays["reasons"],
        y=arrays["y"][rows],
        patient=arrays["patient"][rows],
        session=arrays["session"][rows],
        split=arrays["split"][rows],
        weight=arrays["weight"][rows],
        covariates=_covariates(published.covariates.take(pa.array(rows))),
        **_by_modality(arrays, speaker, rows, columns),
    )
    _warn_of_nothing_finite(data, columns, split)
    return data


def _by_modality(
    arrays: Mapping[str, NDArray[Any]], speaker: Speaker, rows: NDArray[np.intp], columns: Mapping[str, "_Columns"]
) -> dict[str, Any]:
    """The attributes of `TrainingData` for each modality."""
    found = {}
    for modality in MODALITIES:
        name, positions = modality.name, columns[modality.name].positions
        chosen = np.ix_(rows, positions)
        found[f"X_{name}"] = arrays[f"X_{name}_{speaker}"][chosen]
        found[f"mask_{name}"] = np.isfinite(found[f"X_{name}"])
        found[f"reason_{name}"] = arrays[f"reason_{name}_{speaker}"][chosen]
        found[f"status_{name}"] = arrays[f"status_{name}_{speaker}"][rows]
        found[f"{name}_names"] = arrays[f"{name}_names"][positions]
        if modality.covariates:
            found[modality.covariates] = arrays[modality.covariates][rows]
            found[f"{modality.covariates}_names"] = arrays[f"{modality.covariates}_names"]
    return found


@dataclass(frozen=True, slots=True)
class _Columns:
    """The chosen columns of a matrix: the index and the family of each."""

    positions: NDArray[np.int64]
    families: NDArray[np.str_]


def _columns(described: Mapping[str, Sequence[Mapping[str, Any]]], chosen: Sequence[str] | None) -> dict[str, _Columns]:
    published = {
        modality: [family for family in families if not family["is_covariate"]]
        for modality, families in described.items()
    }
    names = [family["name"] for families in published.values() for family in families]
    if isinstance(chosen, str) or not set(chosen or ()) <= set(names):
        raise NovoicError(f"families must be a list of names from {', '.join(names)}")
    columns = {}
    for modality, families in published.items():
        of_column = np.array([family["name"] for family in families for _ in family["values"]], dtype=np.str_)
        positions = np.arange(len(of_column)) if chosen is None else np.flatnonzero(np.isin(of_column, list(chosen)))
        columns[modality] = _Columns(positions, of_column[positions])
    return columns


def _current_version(storage: Storage, name: str) -> str:
    pointer = publish.current(storage, name)
    if pointer is None:
        raise NovoicError(f"the store has no dataset {name}; materialize it, unless nobody belongs to its cohort")
    version: str = pointer["version"]
    return version


def _covariates(table: pa.Table) -> dict[str, NDArray[Any]]:
    # Arrow's own conversion makes a missing number NaN and keeps text.
    return {name: np.asarray(table[name].to_pandas(use_threads=False)) for name in table.column_names}


def _warn_of_nothing_finite(data: TrainingData, columns: Mapping[str, _Columns], split: str | None) -> None:
    where = f"the {split} split of {data.name}" if split else data.name
    for modality in MODALITIES:
        reasons, of_column = getattr(data, f"reason_{modality.name}"), columns[modality.name].families
        empty = [family for family in dict.fromkeys(of_column.tolist()) if reasons[:, of_column == family].all()]
        codes = {family: np.unique(reasons[:, of_column == family]) for family in empty}
        # Do not warn of a family that never describes this speaker: the reasons in its columns say so.
        empty = [family for family in empty if data.reasons[codes[family]].tolist() != [Undefined.OTHER_SPEAKER]]
        if len(reasons) and empty:
            why = data.reasons[np.unique(np.concatenate([codes[family] for family in empty]))]
            warnings.warn(
                f"there are no numbers from {', '.join(empty)} for the speaker '{data.speaker}' in {where}"
                f" ({', '.join(why.tolist())})",
                stacklevel=3,
            )
