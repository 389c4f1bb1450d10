"""Small sources for the tests of this folder, with known outcomes."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from novoic_assets.features.family import ALL, PATIENT, Family, Value
from novoic_assets.features.modalities import MODALITIES
from novoic_assets.reasons import OK
from novoic_assets.storage import schemas
from novoic_assets.storage.files import Storage
from novoic_assets.training import publish
from novoic_assets.training.cohorts import COHORTS, Cohort, Patient
from novoic_assets.training.dataset import Dataset, assemble
from novoic_assets.training.members import Sources
from novoic_assets.training.pseudonyms import Pseudonyms
from novoic_assets.training.published import Published
from novoic_assets.training.versions import write_version

PSEUDONYMS: Final = Pseudonyms("a key for the tests, not for a lab")
AD_VS_HC: Final[Cohort] = COHORTS[0]


def family(name: str, width: int, *, unit: str = "1", **changes: Any) -> Family:
    """A family for the tests."""
    members = tuple(Value(name=f"{name}_{index}", unit=unit, formula="made up", source="") for index in range(width))
    return Family(**{"name": name, "version": "1", "description": "", "members": members, **changes})


FAMILIES: Final[Mapping[str, Sequence[Family]]] = {
    "text": (family("words", 2), family("pauses", 1, speakers=(PATIENT,))),
    "audio": (family("mfcc", 3), family("room", 2, speakers=(ALL,), is_covariate=True)),
}


@dataclass(frozen=True)
class Session:
    """A session for the tests: its patient and the outcome of each stage; None for a stage without its row."""

    name: str
    patient: str
    text: str | None = OK
    audio: str | None = OK
    seed: int = 0
    statuses: Mapping[tuple[str, str], str] = field(default_factory=dict)  # by modality and speaker


def patient(
    name: str, age: int = 65, mmse: int | None = 28, ad_status: int = 0, split: str = "train", gender: str = "female"
) -> Patient:
    return Patient(name, age, gender, mmse, ad_status, split)


def sources(
    patients: Sequence[Patient],
    sessions: Sequence[Session],
    refused: Sequence[str] = (),
    families: Mapping[str, Sequence[Family]] = FAMILIES,
) -> Sources:
    """The tables of sessions whose values depend on their seeds."""
    rows = {
        modality.name: [
            _row(session, modality.name, getattr(session, modality.name), families)
            for session in sessions
            if getattr(session, modality.name)
        ]
        for modality in MODALITIES
    }
    schema_of = {"text": schemas.TEXT_FEATURES, "audio": schemas.AUDIO_FEATURES}
    return Sources(
        patients={row.patient: row for row in patients},
        refused_patients=frozenset(refused),
        tables={
            modality.name: pa.Table.from_pylist(rows[modality.name], schema_of[modality.name]).select(modality.columns)
            for modality in MODALITIES
        },
        families=families,
    )


def vector(session: Session, modality: str, family: Family, speaker: str) -> np.ndarray:
    """The values of a session: different for each seed, modality, family and speaker."""
    rng = np.random.default_rng([session.seed, *f"{modality} {family.name} {speaker}".encode()])
    return rng.normal(size=len(family.members)).astype(np.float32)


def _row(session: Session, modality: str, reason: str, families: Mapping[str, Sequence[Family]]) -> dict[str, Any]:
    if reason != OK:
        return {"session": session.name, "reason": reason}
    values = []
    for family in families[modality]:
        for speaker in family.speakers:
            status = OK if family.is_covariate else session.statuses.get((modality, speaker), OK)
            undefined = status in ("no_speech", "too_short")
            numbers = np.full(len(family.members), np.nan) if undefined else vector(session, modality, family, speaker)
            if status == "partial":
                numbers[0] = np.nan
            values.append(
                {
                    "family": family.name,
                    "speaker": speaker,
                    "status": status,
                    "vector": [float(x) for x in numbers],
                    "reasons": ["flat_level", *[None] * (len(numbers) - 1)] if status == "partial" else [],
                }
            )
    return {
        "session": session.name,
        "reason": OK,
        "sha256": f"{modality} file of seed {session.seed}",
        "patient": session.patient,
        "values": values,
    }


def cohort_of_eight(**changes: Any) -> Dataset:
    """Eight sessions of cases and controls in both splits: three of `pat-0`, one each of `pat-1` to `pat-5`."""
    patients = [
        patient(
            f"pat-{index}", age=50 + 9 * index, mmse=None if index == 3 else 20 + index, ad_status=index % 2,
            split="test" if index in (4, 5) else "train", gender="male" if index % 3 else "female",
        )
        for index in range(6)
    ]  # fmt: skip
    owners = [0, 0, 0, 1, 2, 3, 4, 5]
    sessions = [Session(f"ses-{index}", f"pat-{owner}", seed=index) for index, owner in enumerate(owners)]
    arguments = {"covariates": ("age", "gender"), "pseudonyms": PSEUDONYMS, **changes}
    return assemble(
        AD_VS_HC, sources(patients, sessions), arguments["pseudonyms"], arguments["covariates"]
    )  # fmt: skip


def published(dataset: Dataset) -> Published:
    """The version of a dataset, not yet written."""
    return Published.of(dataset, tables={"patients": 1}, settings={"pseudonym_key": "test"})


def publish_unchecked(store: Storage, dataset: Dataset) -> Published:
    """Write a dataset and point to it, without any checks."""
    version = published(dataset)
    write_version(store, version)
    publish.point(store, version)
    return version


def everything_written(folder: Path) -> str:
    """All text below a folder that a search for ids must see: names, raw bytes, arrays, columns and metadata."""
    found = []
    for path in sorted(folder.rglob("*")):
        found.append(str(path.relative_to(folder)))
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            cells = io.StringIO()
            csv.writer(cells).writerows(table.to_pandas().itertuples())
            found += [cells.getvalue(), str(table.schema.metadata), str(table.schema)]
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                found += [f"{name} {arrays[name].tolist()}" for name in arrays.files]
        if path.is_file():
            found += [path.read_bytes().decode(code, "replace") for code in ("utf-8", "utf-32-le", "utf-16-le")]
    return "\n".join(found)
