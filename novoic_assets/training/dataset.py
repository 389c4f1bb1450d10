"""A cohort's dataset: who is in it and why the others are not, and the arrays."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from novoic_assets.errors import NovoicError
from novoic_assets.features import values
from novoic_assets.features.family import ALL, REASONS, SCHEMA_VERSION, SPEAKERS, Family, Speaker, features
from novoic_assets.reasons import OK, Reason
from novoic_assets.training.cohorts import Cohort, Exclusion, Label, Patient
from novoic_assets.training.pseudonyms import Pseudonyms

COVARIATES: Final = ("age", "gender", "mmse")
OLDEST_AGE: Final = 90  # HIPAA 45 CFR 164.514(b)(2)(i)(C): ages from 90 on are one class
MODALITIES: Final = ("text", "audio")


@dataclass(frozen=True, slots=True)
class Sources:
    """What datasets are made of.

    Attributes:
        patients: The valid rows of the metadata, by speakerid.
        refused_patients: The speakerids of rows that were refused.
        text: The table `text_features`.
        audio: The table `audio_features`.
        families: The families of each modality (`text`, `audio`), in the order of their columns.
    """

    patients: Mapping[str, Patient]
    refused_patients: frozenset[str]
    text: pa.Table
    audio: pa.Table
    families: Mapping[str, Sequence[Family]]


@dataclass(frozen=True, slots=True)
class Flow:
    """Where every session went: in = included + excluded + quarantined.

    Attributes:
        sessions: Number of sessions known.
        included: Number of sessions in the dataset.
        excluded: Number of sessions by `Exclusion`.
        quarantined: Number of sessions by what was missing (`no_metadata`, `no_transcript`, `no_audio`) or
            the stage that refused it.
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
        """The flow as plain values."""
        return {
            "in": self.sessions,
            "included": self.included,
            "excluded": dict(sorted(self.excluded.items())),
            "quarantined": dict(sorted(self.quarantined.items())),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A cohort's dataset, ready to be written. Rows are sorted by the session's pseudonym.

    Attributes:
        cohort: The cohort.
        arrays: By name, as in `arrays.npz`; see docs/data-formats.md.
        covariates: The covariates, a column each, of the same rows.
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
        """Hash of the arrays, the covariates and the schema: equal data have equal versions."""
        digest = hashlib.sha256()
        columns = {f"covariate_{name}": self.covariates[name].to_pylist() for name in self.covariates.column_names}
        for name, content in sorted({**self.arrays, **columns}.items()):
            if isinstance(content, np.ndarray) and content.dtype.kind in "fiu":
                # One NaN stands for all: the bits of one differ between kinds of CPU.
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
        """Number of sessions by split and class."""
        return class_counts(self.arrays["y"], self.arrays["split"])


def class_counts(y: NDArray[np.int8], split: NDArray[np.str_]) -> dict[str, dict[str, int]]:
    """Number of rows by split and class.

    Args:
        y: 1 for cases, 0 for controls, shape (n,).
        split: `train` or `test`, shape (n,).
    """
    return {
        part: {
            "cases": int(np.sum((split == part) & (y == 1))),
            "controls": int(np.sum((split == part) & (y == 0))),
        }
        for part in ("train", "test")
    }


def families_json(families: Mapping[str, Sequence[Family]]) -> dict[str, Any]:
    """The families as plain values, for the manifest and the version."""
    return {
        "schema_version": SCHEMA_VERSION,
        **{
            modality: [
                {
                    "name": family.name,
                    "version": family.version,
                    "settings": family.settings,
                    "speakers": list(family.speakers),
                    "is_covariate": family.is_covariate,
                    "values": list(family.value_names),
                    "units": list(family.units),
                    "descriptions": [value.formula for value in family.members],
                }
                for family in families[modality]
            ]
            for modality in MODALITIES
        },
    }


def check_covariates(names: Sequence[str]) -> tuple[str, ...]:
    """The covariates to publish.

    Args:
        names: Names of columns of the metadata.

    Returns:
        The names, without doubles.

    Raises:
        NovoicError: A name is none that may be published.
    """
    if not set(names) <= set(COVARIATES):
        raise NovoicError(f"NOVOIC_COVARIATES may name {', '.join(COVARIATES)}, and nothing else")
    return tuple(dict.fromkeys(names))


def assemble(cohort: Cohort, sources: Sources, pseudonyms: Pseudonyms, covariates: Sequence[str]) -> Dataset:
    """Make a cohort's dataset.

    Args:
        cohort: The cohort.
        sources: What datasets are made of.
        pseudonyms: Give patients and sessions their names in the dataset.
        covariates: Columns of the metadata to publish beside the arrays.

    Returns:
        The dataset; it has no rows where nobody belongs to the cohort.

    Raises:
        NovoicError: A covariate is none that may be published.
        ValueError: A vector's length is not the catalogue's, or two sessions share a pseudonym.
    """
    names = check_covariates(covariates)
    members, flow = _members(cohort, sources)
    members.sort(key=lambda member: pseudonyms.session(member.session))
    text = sources.text.take(pa.array([member.text_row for member in members], pa.int64()))
    audio = sources.audio.take(pa.array([member.audio_row for member in members], pa.int64()))
    sessions_of = Counter(member.patient.patient for member in members)
    arrays: dict[str, NDArray[Any]] = {
        "y": np.array([member.label is Label.CASE for member in members], dtype=np.int8),
        "patient": _strings(pseudonyms.patient(member.patient.patient) for member in members),
        "session": _strings(pseudonyms.session(member.session) for member in members),
        "split": _strings(member.patient.split for member in members),
        "weight": np.array([1 / sessions_of[member.patient.patient] for member in members], dtype=np.float32),
        "schema_version": np.array(SCHEMA_VERSION),
        "reasons": _strings(["", *REASONS]),
    }
    if len(set(arrays["session"].tolist())) != len(members):
        raise ValueError("two sessions share a pseudonym")
    for modality, table in (("text", text), ("audio", audio)):
        families = features(sources.families[modality])
        arrays[f"{modality}_names"] = _strings(name for family in families for name in family.value_names)
        for speaker in SPEAKERS:
            arrays[f"X_{modality}_{speaker}"], arrays[f"reason_{modality}_{speaker}"] = _side_by_side(
                table["values"], families, speaker
            )
            arrays[f"status_{modality}_{speaker}"] = values.statuses(table["values"], families, speaker)
    recording = [family for family in sources.families["audio"] if family.is_covariate]
    arrays["recording_names"] = _strings(name for family in recording for name in family.value_names)
    arrays["recording"] = _side_by_side(audio["values"], recording, ALL)[0]
    columns = {
        "age": pa.array([min(member.patient.age, OLDEST_AGE) for member in members], pa.int16()),
        "gender": pa.array([member.patient.gender for member in members], pa.string()),
        "mmse": pa.array([member.patient.mmse for member in members], pa.int16()),
    }
    return Dataset(
        cohort=cohort,
        arrays=arrays,
        covariates=pa.table({name: columns[name] for name in names}),
        families=sources.families,
        flow=flow,
        inputs=_inputs_digest(cohort, sources, members, text, audio, names),
    )


def _side_by_side(
    column: pa.ChunkedArray, families: Sequence[Family], speaker: Speaker
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The families' vectors of one speaker as one matrix, and the codes of the reasons."""
    # An empty matrix in front, for the case that every family is switched off.
    empty = np.zeros((len(column), 0), np.float32), np.zeros((len(column), 0), np.uint8)
    matrices, codes = zip(empty, *(values.matrix(column, family, speaker) for family in families), strict=True)
    return np.hstack(matrices), np.hstack(codes)


@dataclass(frozen=True, slots=True)
class _Member:
    session: str
    patient: Patient
    label: Label
    text_row: int
    audio_row: int


def _members(cohort: Cohort, sources: Sources) -> tuple[list[_Member], Flow]:
    text_rows = _rows_by_session(sources.text, "patient")
    audio_rows = _rows_by_session(sources.audio)
    members: list[_Member] = []
    excluded: Counter[str] = Counter()
    quarantined: Counter[str] = Counter()
    sessions = sorted(text_rows.keys() | audio_rows.keys())
    for session in sessions:
        found = _usable(session, text_rows, audio_rows, sources)
        if isinstance(found, str):
            quarantined[found] += 1
            continue
        patient, text_row, audio_row = found
        label = cohort.classify(patient)
        if isinstance(label, Exclusion):
            excluded[str(label)] += 1
        else:
            members.append(_Member(session, patient, label, text_row, audio_row))
    return members, Flow(len(sessions), len(members), dict(excluded), dict(quarantined))


def _usable(
    session: str, text_rows: Mapping[str, "_Row"], audio_rows: Mapping[str, "_Row"], sources: Sources
) -> tuple[Patient, int, int] | str:
    """A session's patient and rows, or what is missing or the stage that refused it."""
    text, audio = text_rows.get(session), audio_rows.get(session)
    if text is None:
        return str(Reason.NO_TRANSCRIPT)
    if text.reason != OK:
        return "parsed_transcripts" if text.reason == Reason.TRANSCRIPT_REFUSED else "text_features"
    patient = sources.patients.get(text.patient)
    if patient is None:
        return "raw_metadata" if text.patient in sources.refused_patients else "no_metadata"
    if audio is None or audio.reason == Reason.NO_AUDIO:
        return str(Reason.NO_AUDIO)
    if audio.reason != OK:
        return "audio_features"
    return patient, text.index, audio.index


@dataclass(frozen=True, slots=True)
class _Row:
    index: int
    reason: str
    patient: str


def _rows_by_session(table: pa.Table, patient: str | None = None) -> dict[str, _Row]:
    patients = table[patient].to_pylist() if patient else [""] * table.num_rows
    return {
        session: _Row(index, reason, patients[index])
        for index, (session, reason) in enumerate(
            zip(table["session"].to_pylist(), table["reason"].to_pylist(), strict=True)
        )
    }


def _strings(items: Any) -> NDArray[np.str_]:  # noqa: ANN401 - any iterable of strings
    # An explicit type: NumPy makes an empty list float64.
    return np.array(list(items), dtype=np.str_)


def _inputs_digest(
    cohort: Cohort,
    sources: Sources,
    members: Sequence[_Member],
    text: pa.Table,
    audio: pa.Table,
    covariates: Sequence[str],
) -> str:
    digest = hashlib.sha256()
    for part in (repr(cohort), json.dumps(families_json(sources.families), sort_keys=True), repr(list(covariates))):
        digest.update(part.encode() + b"\n")
    files = zip(text["sha256"].to_pylist(), audio["sha256"].to_pylist(), strict=True)
    for member, (transcript, recording) in zip(members, files, strict=True):
        digest.update(f"{member.patient!r} {transcript} {recording}\n".encode())
    return digest.hexdigest()
