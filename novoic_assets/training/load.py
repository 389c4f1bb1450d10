"""Reading a published dataset; nothing of Dagster is imported."""

import os
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from novoic_assets.errors import NovoicError
from novoic_assets.features.family import PATIENT, SPEAKERS, Speaker
from novoic_assets.resources.storage import Storage
from novoic_assets.training import publish
from novoic_assets.training.cohorts import COHORTS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """A dataset, or one split of it, with n rows: one for each session.

    Attributes:
        name: The dataset's name.
        version: Its version.
        speaker: Whose speech the matrices describe.
        X_text: float32, shape (n, len(text_names)); NaN where undefined.
        X_audio: float32, shape (n, len(audio_names)); NaN where undefined.
        y: int8, shape (n,); 1 for cases, 0 for controls.
        mask_text: bool, the shape of `X_text`; True where finite.
        mask_audio: bool, the shape of `X_audio`; True where finite.
        status_text: Strings, shape (n,): `ok` or `no_speech`.
        status_audio: Strings, shape (n,): `ok`, `no_speech`, `too_short` or `inaudible`.
        patient: Pseudonyms, shape (n,); the groups for scikit-learn's GroupKFold.
        session: Pseudonyms, shape (n,), unique and sorted.
        split: `train` or `test`, shape (n,).
        weight: float32, shape (n,); 1 over the number of the patient's sessions in the whole dataset.
        text_names: Names of the columns of `X_text`.
        audio_names: Names of the columns of `X_audio`.
        covariates: By name, arrays of shape (n,); a missing score is NaN.
    """

    name: str
    version: str
    speaker: Speaker
    X_text: NDArray[np.float32]
    X_audio: NDArray[np.float32]
    y: NDArray[np.int8]
    mask_text: NDArray[np.bool_]
    mask_audio: NDArray[np.bool_]
    status_text: NDArray[np.str_]
    status_audio: NDArray[np.str_]
    patient: NDArray[np.str_]
    session: NDArray[np.str_]
    split: NDArray[np.str_]
    weight: NDArray[np.float32]
    text_names: NDArray[np.str_]
    audio_names: NDArray[np.str_]
    covariates: dict[str, NDArray[Any]]

    def to_pandas(self) -> "pd.DataFrame":
        """One row a session, indexed by its pseudonym, and one column a value."""
        import pandas as pd

        columns: dict[str, Any] = {
            "patient": self.patient,
            "split": self.split,
            "y": self.y,
            "weight": self.weight,
            **self.covariates,
            "status_text": self.status_text,
            "status_audio": self.status_audio,
        }
        frame = pd.DataFrame(columns, index=pd.Index(self.session, name="session"))
        text = pd.DataFrame(self.X_text, index=frame.index, columns=self.text_names)
        audio = pd.DataFrame(self.X_audio, index=frame.index, columns=self.audio_names)
        return pd.concat([frame, text, audio], axis=1)


def load_dataset(
    name: str,
    store: str | os.PathLike[str] | None = None,
    speaker: Speaker = PATIENT,
    split: Literal["train", "test"] | None = None,
    version: str | None = None,
) -> TrainingData:
    """Read a published dataset.

    Args:
        name: The dataset's name, such as `ad_vs_hc`.
        store: The store, a folder or `s3://bucket/prefix`; `NOVOIC_STORE`, or `store` in the current folder,
            where None.
        speaker: Whose speech: `patient`, `investigator` or `all`.
        split: The split; both where None.
        version: The version; the current one where None.

    Returns:
        The dataset. A matrix without one finite row is returned with a `UserWarning` that says why.

    Raises:
        NovoicError: There is no such dataset, version, speaker or split.
        StorageError: The store cannot be read.
    """
    if speaker not in SPEAKERS:
        raise NovoicError(f"speaker must be one of {', '.join(SPEAKERS)}")
    if split is not None and split not in publish.SPLITS:
        raise NovoicError(f"split must be one of {', '.join(publish.SPLITS)}, or None for both")
    if not re.fullmatch(r"\w+", name):
        raise NovoicError(f"a dataset's name is one of {', '.join(cohort.name for cohort in COHORTS)}")
    storage = Storage(os.fspath(store) if store is not None else os.environ.get("NOVOIC_STORE", "store"), "store")
    version = version or _current_version(storage, name)
    if not re.fullmatch(r"[0-9a-f]+", version):
        raise NovoicError("a version is a string of hexadecimal digits")
    try:
        arrays = publish.read_arrays(storage, name, version)
        covariates = publish.read_covariates(storage, name, version)
    except FileNotFoundError:
        raise NovoicError(f"the store has no version {version} of the dataset {name}") from None
    rows = np.flatnonzero(arrays["split"] == split) if split is not None else np.arange(len(arrays["y"]))
    data = TrainingData(
        name=name,
        version=version,
        speaker=speaker,
        X_text=arrays[f"X_text_{speaker}"][rows],
        X_audio=arrays[f"X_audio_{speaker}"][rows],
        y=arrays["y"][rows],
        mask_text=np.isfinite(arrays[f"X_text_{speaker}"][rows]),
        mask_audio=np.isfinite(arrays[f"X_audio_{speaker}"][rows]),
        status_text=arrays[f"status_text_{speaker}"][rows],
        status_audio=arrays[f"status_audio_{speaker}"][rows],
        patient=arrays["patient"][rows],
        session=arrays["session"][rows],
        split=arrays["split"][rows],
        weight=arrays["weight"][rows],
        text_names=arrays["text_names"],
        audio_names=arrays["audio_names"],
        covariates=_covariates(covariates, arrays["session"][rows]),
    )
    _warn_of_nothing_finite(data, split)
    return data


def _current_version(storage: Storage, name: str) -> str:
    pointer = publish.current(storage, name)
    if pointer is None:
        raise NovoicError(
            f"the store has no dataset {name}: nothing was materialized there, or nobody belongs to its cohort"
        )
    version: str = pointer["version"]
    return version


def _covariates(table: pa.Table, sessions: NDArray[np.str_]) -> dict[str, NDArray[Any]]:
    row_of = {session: row for row, session in enumerate(table["session"].to_pylist())}
    ordered = table.take(pa.array([row_of[session] for session in sessions.tolist()], pa.int64()))
    return {
        # Through Arrow's own conversion: a missing number becomes NaN, text stays text.
        name: np.asarray(ordered[name].to_pandas(use_threads=False))
        for name in ordered.column_names
        if name != "session"
    }


def _warn_of_nothing_finite(data: TrainingData, split: str | None) -> None:
    for matrix, mask, statuses in (
        ("X_text", data.mask_text, data.status_text),
        ("X_audio", data.mask_audio, data.status_audio),
    ):
        if len(mask) and not mask.all(axis=1).any():
            why = ", ".join(f"{status} {count}" for status, count in sorted(Counter(statuses.tolist()).items()))
            where = f"the {split} split of {data.name}" if split else data.name
            warnings.warn(
                f"{matrix} has no finite row for the speaker '{data.speaker}' in {where} (sessions by status: {why})",
                stacklevel=3,
            )
