"""The sessions of a cohort's dataset, and why the others are not in it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from novoic_assets.features.family import Family
from novoic_assets.features.modalities import MODALITIES
from novoic_assets.reasons import OK
from novoic_assets.training.cohorts import Cohort, Exclusion, Label, Patient


@dataclass(frozen=True, slots=True)
class Sources:
    """The patients, tables and families that datasets are made from.

    Attributes:
        patients: The valid rows of the metadata, by speakerid.
        refused_patients: The speakerids of the refused rows.
        tables: The values of each modality, a table by the modality's name.
        families: The families of each modality, in the order of their columns.
    """

    patients: Mapping[str, Patient]
    refused_patients: frozenset[str]
    tables: Mapping[str, pa.Table]
    families: Mapping[str, Sequence[Family]]


@dataclass(frozen=True, slots=True)
class Flow:
    """Where every session went: in = included + excluded + quarantined.

    Attributes:
        sessions: Number of known sessions.
        included: Number of sessions in the dataset.
        excluded: Number of sessions by `Exclusion`.
        quarantined: Number of sessions by what is missing (`no_metadata`, `no_transcript`, `no_audio`) or by the
            stage that refused the session.
    """

    sessions: int
    included: int
    excluded: Mapping[str, int]
    quarantined: Mapping[str, int]

    @property
    def balanced(self) -> bool:
        """Whether every session is accounted for."""
        return self.sessions == self.included + sum(self.excluded.values()) + sum(self.quarantined.values())

    def to_json(self) -> dict[str, Any]:
        """Return the flow as plain values."""
        return {
            "in": self.sessions,
            "included": self.included,
            "excluded": dict(sorted(self.excluded.items())),
            "quarantined": dict(sorted(self.quarantined.items())),
        }


@dataclass(frozen=True, slots=True)
class Member:
    """A session of a dataset.

    Attributes:
        session: The session.
        patient: The session's patient.
        label: The patient's class.
        rows: The index of the session's row in the table of each modality, by the modality's name.
    """

    session: str
    patient: Patient
    label: Label
    rows: Mapping[str, int]


def members(cohort: Cohort, sources: Sources) -> tuple[list[Member], Flow]:
    """Return the sessions that belong to a cohort, sorted by id, and where every session went."""
    rows = {modality.name: _rows_by_session(sources.tables[modality.name]) for modality in MODALITIES}
    included: list[Member] = []
    excluded: Counter[str] = Counter()
    quarantined: Counter[str] = Counter()
    sessions = sorted(set().union(*rows.values()))
    for session in sessions:
        found = _usable({modality: by_session.get(session) for modality, by_session in rows.items()}, sources)
        if isinstance(found, str):
            quarantined[found] += 1
            continue
        patient, positions = found
        label = cohort.classify(patient)
        if isinstance(label, Exclusion):
            excluded[str(label)] += 1
        else:
            included.append(Member(session, patient, label, positions))
    return included, Flow(len(sessions), len(included), dict(excluded), dict(quarantined))


@dataclass(frozen=True, slots=True)
class _Row:
    position: int
    reason: str
    patient: str


def _usable(rows: Mapping[str, _Row | None], sources: Sources) -> tuple[Patient, Mapping[str, int]] | str:
    """A session's patient and rows, or what is missing, or the stage that refused the session."""
    patient: Patient | str = "no_metadata"
    positions = {}
    for modality in MODALITIES:
        row = rows[modality.name]
        if row is None or row.reason == modality.missing:
            return str(modality.missing)
        if row.reason != OK:
            return modality.refused_by(row.reason)
        if modality.names_patient:
            patient = _patient(row.patient, sources)
            if isinstance(patient, str):
                return patient
        positions[modality.name] = row.position
    return patient if isinstance(patient, str) else (patient, positions)


def _patient(patient: str, sources: Sources) -> Patient | str:
    missing = "raw_metadata" if patient in sources.refused_patients else "no_metadata"
    return sources.patients.get(patient, missing)


def _rows_by_session(table: pa.Table) -> dict[str, _Row]:
    patients = table["patient"].to_pylist() if "patient" in table.column_names else [""] * table.num_rows
    return {
        session: _Row(position, reason, patients[position])
        for position, (session, reason) in enumerate(
            zip(table["session"].to_pylist(), table["reason"].to_pylist(), strict=True)
        )
    }
