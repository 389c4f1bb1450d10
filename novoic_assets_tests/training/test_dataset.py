"""A dataset accounts for every session, its rows belong to their sessions, and equal data have equal versions."""

import dataclasses
import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.errors import NovoicError
from novoic_assets.features.family import SPEAKERS
from novoic_assets.reasons import OK, Reason
from novoic_assets.training.cohorts import COHORTS, Cohort, Label
from novoic_assets.training.dataset import Dataset, assemble, check_covariates
from novoic_assets.training.members import Flow, Sources
from novoic_assets.training.pseudonyms import Pseudonyms
from novoic_assets_tests.training.builders import (
    AD_VS_HC,
    FAMILIES,
    PSEUDONYMS,
    Session,
    cohort_of_eight,
    family,
    patient,
    sources,
    vector,
)

REFUSED_TEXT, REFUSED_AUDIO = str(Reason.INTERNAL_ERROR), str(Reason.TRUNCATED_AUDIO)


def make(made: Sources, cohort: Cohort = AD_VS_HC, covariates: tuple[str, ...] = ()) -> Dataset:
    return assemble(cohort, made, PSEUDONYMS, covariates)


# The flow


@pytest.mark.parametrize(
    ("session", "quarantined"),
    [
        (Session("s", "nobody knows"), "no_metadata"),
        (Session("s", "refused"), "raw_metadata"),
        (Session("s", "P", text=None), "no_transcript"),
        (Session("s", "P", text=None, audio=str(Reason.NO_TRANSCRIPT)), "no_transcript"),
        (Session("s", "P", text=str(Reason.TRANSCRIPT_REFUSED)), "parsed_transcripts"),
        (Session("s", "P", text=REFUSED_TEXT), "text_features"),
        (Session("s", "P", audio=None), "no_audio"),
        (Session("s", "P", audio=str(Reason.NO_AUDIO)), "no_audio"),
        (Session("s", "P", audio=REFUSED_AUDIO), "audio_features"),
        (Session("s", "P", text=REFUSED_TEXT, audio=REFUSED_AUDIO), "text_features"),
        (Session("s", "nobody knows", audio=None), "no_metadata"),
    ],
)
def test_a_session_that_cannot_be_used_is_counted_once_by_what_is_missing(session: Session, quarantined: str) -> None:
    dataset = make(sources([patient("P")], [session], refused=["refused"]))
    assert dataset.flow == Flow(1, 0, {}, {quarantined: 1})
    assert dataset.flow.balanced
    assert len(dataset.arrays["y"]) == 0


def test_an_excluded_patient_is_counted_by_the_reason() -> None:
    mci, under_60 = COHORTS[1], COHORTS[2]
    made = sources(
        [patient("a", mmse=20, ad_status=1), patient("b", mmse=None, ad_status=1), patient("c", age=50)],
        [Session("1", "a"), Session("2", "a"), Session("3", "b"), Session("4", "c")],
    )
    assert make(made, mci).flow.to_json() == {
        "in": 4,
        "included": 1,
        "excluded": {"mmse": 2, "mmse_missing": 1},
        "quarantined": {},
    }
    assert make(made, under_60).flow.to_json()["excluded"] == {"age": 3}


def test_a_flow_that_does_not_add_up_is_not_balanced() -> None:
    assert Flow(3, 1, {"age": 1}, {"no_audio": 1}).balanced
    assert not Flow(4, 1, {"age": 1}, {"no_audio": 1}).balanced


TEXT = st.sampled_from([None, OK, OK, OK, REFUSED_TEXT, str(Reason.TRANSCRIPT_REFUSED)])
AUDIO = st.sampled_from([None, OK, OK, OK, REFUSED_AUDIO, str(Reason.NO_AUDIO), str(Reason.NO_TRANSCRIPT)])
STATUSES = st.dictionaries(
    st.tuples(st.sampled_from(["text", "audio"]), st.sampled_from(SPEAKERS)),
    st.sampled_from(["no_speech", "too_short", "inaudible"]),
    max_size=2,
)


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list, list[Session], list[str]]:
    """Patients that are valid, refused or missing, and sessions whose parts may be missing or refused."""
    patients, refused = [], []
    for name in ("pa", "pb", "pc", "pd"):
        kind = draw(st.sampled_from(["valid", "valid", "refused", "missing"]))
        if kind == "valid":
            patients.append(
                patient(
                    name,
                    age=draw(st.sampled_from([40, 59, 60, 89, 90, 97])),
                    mmse=draw(st.sampled_from([None, 20, 26, 27, 30])),
                    ad_status=draw(st.integers(0, 1)),
                    split=draw(st.sampled_from(["train", "test"])),
                )
            )
        elif kind == "refused":
            refused.append(name)
    sessions = [
        Session(
            f"s{index}",
            draw(st.sampled_from(["pa", "pb", "pc", "pd"])),
            text,
            audio,
            seed=index,
            statuses=draw(STATUSES),
        )
        for index, (text, audio) in enumerate(draw(st.lists(st.tuples(TEXT, AUDIO), max_size=7)))
        if text or audio
    ]
    return patients, sessions, refused


@settings(max_examples=80, deadline=None)
@given(corpus=corpora(), cohort=st.sampled_from(COHORTS))
def test_every_session_is_accounted_for_and_every_row_belongs_to_its_session(corpus: tuple, cohort: Cohort) -> None:
    patients, sessions, refused = corpus
    dataset = assemble(cohort, sources(patients, sessions, refused), PSEUDONYMS, ("age", "gender", "mmse"))
    by_name = {row.patient: row for row in patients}
    usable = [s for s in sessions if s.text == OK and s.audio == OK and s.patient in by_name]
    members = [s for s in usable if isinstance(cohort.classify(by_name[s.patient]), Label)]

    flow, arrays = dataset.flow, dataset.arrays
    assert flow.balanced
    assert flow.sessions == len(sessions)
    assert flow.included == len(members) == len(arrays["y"])
    assert sum(flow.excluded.values()) == len(usable) - len(members)

    members.sort(key=lambda session: PSEUDONYMS.session(session.name))
    assert arrays["session"].tolist() == [PSEUDONYMS.session(session.name) for session in members]
    owners = [by_name[session.patient] for session in members]
    assert arrays["patient"].tolist() == [PSEUDONYMS.patient(owner.patient) for owner in owners]
    assert arrays["y"].tolist() == [owner.ad_status for owner in owners]
    assert arrays["split"].tolist() == [owner.split for owner in owners]
    assert dataset.covariates.to_pydict() == {
        "age": [min(owner.age, 90) for owner in owners],
        "gender": [owner.gender for owner in owners],
        "mmse": [owner.mmse for owner in owners],
    }
    counts = Counter(session.patient for session in members)
    np.testing.assert_allclose(arrays["weight"], [1 / counts[session.patient] for session in members])
    for modality, speaker in itertools.product(("text", "audio"), SPEAKERS):
        status = [session.statuses.get((modality, speaker), OK) for session in members]
        assert arrays[f"status_{modality}_{speaker}"].tolist() == status
        families = [family for family in FAMILIES[modality] if not family.is_covariate]
        expected = np.array(
            [np.hstack([vector(session, modality, family, speaker) for family in families]) for session in members],
            np.float32,
        ).reshape(len(members), 3)
        expected[[value in ("no_speech", "too_short") for value in status]] = np.nan
        first_of = [place for family in families for place in [0, *[None] * (len(family.members) - 1)]]
        described = [speaker in family.speakers for family in families for _ in family.members]
        reasons = [
            [
                "other_speaker" if not of_speaker
                else value if value in ("no_speech", "too_short")
                else "flat_level" if value == "partial" and place == 0
                else ""
                for place, of_speaker in zip(first_of, described, strict=True)
            ]
            for value in status
        ]  # fmt: skip
        expected[:, [not of_speaker for of_speaker in described]] = np.nan
        expected[np.array(reasons).reshape(len(members), 3) == "flat_level"] = np.nan
        np.testing.assert_array_equal(arrays[f"X_{modality}_{speaker}"], expected)
        codes = arrays[f"reason_{modality}_{speaker}"]
        assert codes.dtype == np.uint8
        assert arrays["reasons"][codes].tolist() == reasons
    room = np.array([vector(session, "audio", FAMILIES["audio"][1], "all") for session in members], np.float32)
    np.testing.assert_array_equal(arrays["recording"], room.reshape(len(members), 2))


def test_an_empty_dataset_has_its_types_and_shapes() -> None:
    dataset = make(sources([], []), covariates=("age", "gender"))
    assert dataset.arrays["X_text_patient"].shape == (0, 3)
    assert dataset.arrays["X_audio_all"].shape == (0, 3)
    assert {dataset.arrays[name].dtype.kind for name in ("patient", "session", "split", "status_text_all")} == {"U"}
    assert len(dataset.version) == 16


def test_the_names_of_the_values_are_the_families_side_by_side() -> None:
    arrays = cohort_of_eight().arrays
    assert arrays["text_names"].tolist() == ["words_0", "words_1", "pauses_0"]
    assert arrays["audio_names"].tolist() == ["mfcc_0", "mfcc_1", "mfcc_2"]
    assert arrays["recording_names"].tolist() == ["room_0", "room_1"]


def test_arrays_have_the_types_that_the_format_promises() -> None:
    arrays = cohort_of_eight().arrays
    assert {name: arrays[name].dtype for name in ("y", "weight", "X_text_patient", "X_audio_all")} == {
        "y": np.int8,
        "weight": np.float32,
        "X_text_patient": np.float32,
        "X_audio_all": np.float32,
    }
    assert all(array.dtype.kind in "fiuU" for array in arrays.values())


def test_ages_from_90_on_are_one_class_and_the_cohorts_use_the_true_age() -> None:
    over_91 = Cohort("x", "", case=AD_VS_HC.case, control=AD_VS_HC.control, age_from=92)
    made = sources(
        [patient("a", age=91), patient("b", age=92), patient("c", age=99)],
        [Session("1", "a"), Session("2", "b"), Session("3", "c")],
    )
    dataset = make(made, over_91, ("age",))
    assert dataset.flow.included == 2
    assert dataset.covariates.to_pydict() == {"age": [90, 90]}


def test_the_score_is_published_on_request_and_never_inside_the_matrices() -> None:
    plain, asked = cohort_of_eight(), cohort_of_eight(covariates=("mmse",))
    assert plain.covariates.column_names == ["age", "gender"]
    assert asked.covariates.column_names == ["mmse"]
    for name, array in plain.arrays.items():
        np.testing.assert_array_equal(array, asked.arrays[name])
        assert "mmse" not in str(array.tolist())


def test_only_known_columns_may_be_covariates() -> None:
    assert check_covariates(["mmse", "age", "mmse"]) == ("mmse", "age")
    assert check_covariates([]) == ()
    with pytest.raises(NovoicError, match="age, gender, mmse"):
        check_covariates(["age", "patient"])


def test_a_dataset_may_have_no_covariates() -> None:
    assert cohort_of_eight(covariates=()).covariates.column_names == []


def test_a_vector_of_another_length_stops_the_dataset() -> None:
    wider = {**FAMILIES, "audio": (family("mfcc", 4),)}
    made = sources([patient("P")], [Session("s", "P")])
    with pytest.raises(ValueError, match="mfcc"):
        make(replace(made, families=wider))


# The version


def corpus(**of_the_first: Any) -> Sources:
    families = of_the_first.pop("families", FAMILIES)
    seed = of_the_first.pop("seed", 1)
    statuses = of_the_first.pop("statuses", {})
    people = [patient("a", **of_the_first), patient("b", age=50, ad_status=1, split="test"), patient("c")]
    sessions = [
        Session("1", "a", seed=seed, statuses=statuses),
        *(Session(str(index), "bc"[index % 2], seed=index) for index in range(2, 6)),
    ]
    return sources(people, sessions, families=families)


ALL_COVARIATES = ("age", "gender", "mmse")
VERSION = make(corpus(), covariates=ALL_COVARIATES).version


@settings(max_examples=30, deadline=None)
@given(text=st.permutations(range(5)), audio=st.permutations(range(5)), people=st.permutations("abc"))
def test_equal_data_have_equal_versions_whatever_the_order_of_the_rows(text: list, audio: list, people: list) -> None:
    made = corpus()
    shuffled = dataclasses.replace(
        made,
        tables={"text": made.tables["text"].take(pa.array(text)), "audio": made.tables["audio"].take(pa.array(audio))},
        patients={name: made.patients[name] for name in people},
    )
    dataset = make(shuffled, covariates=ALL_COVARIATES)
    assert dataset.version == VERSION
    assert dataset.inputs == make(made, covariates=ALL_COVARIATES).inputs


CHANGES: dict[str, dict[str, Any]] = {
    "a value": {"seed": 99},
    "a status": {"statuses": {("audio", "all"): "inaudible"}},
    "a missing value": {"statuses": {("audio", "all"): "too_short"}},
    "an age": {"age": 66},
    "a gender": {"gender": "male"},
    "a score": {"mmse": 27},
    "a score that is missing": {"mmse": None},
    "a label": {"ad_status": 1},
    "a split": {"split": "test"},
    "a family's version": {"families": {**FAMILIES, "audio": (family("mfcc", 3, version="2"),)}},
    "a family's settings": {"families": {**FAMILIES, "audio": (family("mfcc", 3, settings="model 2"),)}},
    "a family's unit": {"families": {**FAMILIES, "audio": (family("mfcc", 3, unit="dB"),)}},
    "the families' order": {"families": {**FAMILIES, "text": FAMILIES["text"][::-1]}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_version_changes_with(change: str) -> None:
    changed = make(corpus(**CHANGES[change]), covariates=ALL_COVARIATES)
    assert changed.version != VERSION
    assert changed.inputs != make(corpus(), covariates=ALL_COVARIATES).inputs or change in (
        "a status",
        "a missing value",
    )


def test_the_version_changes_with_the_covariates_the_key_and_the_members() -> None:
    made = corpus()
    fewer = replace(made, patients={name: made.patients[name] for name in "ab"})
    versions = {
        VERSION,
        make(made).version,
        make(made, covariates=("age",)).version,
        assemble(AD_VS_HC, made, Pseudonyms("another key of the tests"), ALL_COVARIATES).version,
        make(fewer, covariates=ALL_COVARIATES).version,
    }
    assert len(versions) == 5


def test_a_cohort_with_the_same_members_has_the_same_version_and_other_inputs() -> None:
    made = corpus()
    again = Cohort("again", "", case=AD_VS_HC.case, control=AD_VS_HC.control)
    assert make(made, again, ALL_COVARIATES).version == VERSION
    assert make(made, again, ALL_COVARIATES).inputs != make(made, covariates=ALL_COVARIATES).inputs


def test_a_file_with_other_bytes_and_the_same_values_changes_the_inputs_alone() -> None:
    made = corpus()
    audio = made.tables["audio"]
    index = audio.schema.get_field_index("sha256")
    other = audio.set_column(index, "sha256", pa.array(["other"] * audio.num_rows))
    dataset = make(replace(made, tables={**made.tables, "audio": other}), covariates=ALL_COVARIATES)
    assert dataset.version == VERSION
    assert dataset.inputs != make(made, covariates=ALL_COVARIATES).inputs


def test_the_bits_of_a_nan_do_not_change_the_version() -> None:
    dataset = cohort_of_eight()
    matrix = dataset.arrays["X_audio_all"].copy()
    versions = set()
    for bits in (0x7FC00000, 0xFFC00000, 0x7FC00001):
        matrix.view(np.uint32)[0, 0] = bits
        versions.add(replace(dataset, arrays={**dataset.arrays, "X_audio_all": matrix.copy()}).version)
    assert len(versions) == 1


def test_sessions_are_counted_by_split_and_class() -> None:
    assert cohort_of_eight().counts() == {
        "train": {"cases": 2, "controls": 4},
        "test": {"cases": 1, "controls": 1},
    }
