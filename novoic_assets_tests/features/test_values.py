"""Feature values in Arrow, against loops over plain rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.features import values
from novoic_assets.features.family import (
    PATIENT,
    REASONS,
    SPEAKERS,
    Family,
    FeatureValues,
    Status,
    Undefined,
    Value,
    feature_values,
    nothing,
)
from novoic_assets.storage.schemas import VALUES


def family(name: str, width: int, **changes: Any) -> Family:
    members = tuple(
        Value(name=f"{name}_{index}", unit="1", formula="", source="", undefined=(Undefined.FLAT_LEVEL,))
        for index in range(width)
    )
    return Family(**{"name": name, "version": "1", "description": "", "members": members, **changes})


FAMILIES = {
    "mfcc": family("mfcc", 3),
    "word_vector": family("word_vector", 2, speakers=(PATIENT,)),
    "another": family("another", 4),
}
STORED = ("mfcc", "word_vector")
WORST_FIRST = ("no_speech", "too_short", "inaudible", "partial", "ok")
NUMBERS = st.one_of(st.floats(-9, 9, width=32), st.sampled_from([np.nan, np.inf, -np.inf]))


@st.composite
def rows_of_values(draw: st.DrawFn, right: bool = True) -> list[dict[str, Any]] | None:
    """A row of a `values` column: null, or any number of families and speakers."""
    if draw(st.integers(0, 4)) == 0:
        return None
    keys = [(name, speaker) for name in STORED for speaker in FAMILIES[name].speakers]
    chosen = draw(st.lists(st.sampled_from(keys), unique=True))
    rows = []
    for name, speaker in chosen:
        width, status = len(FAMILIES[name].members), draw(st.sampled_from(WORST_FIRST))
        vector = draw(
            st.lists(NUMBERS, min_size=width, max_size=width)
            if right
            else st.lists(st.one_of(NUMBERS, st.none()), max_size=4)
        )
        reasons: list[str | None] = []
        if status == "partial":
            reasons = [
                draw(st.sampled_from(["flat_level", None] if not right else ["flat_level"]))
                if number is None or np.isnan(number)
                else None
                for number in vector
            ]
        rows.append({"family": name, "speaker": speaker, "status": status, "vector": vector, "reasons": reasons})
    return rows


@st.composite
def columns(draw: st.DrawFn, right: bool = True) -> tuple[list[list[dict[str, Any]] | None], pa.ChunkedArray]:
    """Rows, and the same rows as a column whose chunks are slices of longer arrays."""
    chunks = draw(st.lists(st.lists(rows_of_values(right), max_size=4), max_size=3))
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    padding = [{"family": "mfcc", "speaker": "all", "status": "ok", "vector": [7.0] * 3, "reasons": []}]
    arrays = [
        pa.array([*[padding] * before, *chunk, *[padding] * after], VALUES).slice(before, len(chunk))
        for chunk in chunks
    ]
    return [row for chunk in chunks for row in chunk], pa.chunked_array(arrays, VALUES)


def entry(row: list[dict[str, Any]] | None, family: str, speaker: str) -> dict[str, Any] | None:
    found = [value for value in row or [] if (value["family"], value["speaker"]) == (family, speaker)]
    return found[0] if found else None


@settings(max_examples=80, deadline=None)
@given(drawn=columns(), speaker=st.sampled_from(SPEAKERS), name=st.sampled_from(list(FAMILIES)))
def test_a_matrix_has_each_rows_vector_or_nan_and_the_reason(drawn: tuple, speaker: str, name: str) -> None:
    rows, column = drawn
    width = len(FAMILIES[name].members)
    found, codes = values.matrix(column, FAMILIES[name], speaker)
    expected = np.full((len(rows), width), np.nan, np.float32)
    missing = "not_computed" if speaker in FAMILIES[name].speakers else "other_speaker"
    reasons: list[list[str | None]] = [[missing] * width for _ in rows]
    for index, row in enumerate(rows):
        if (value := entry(row, name, speaker)) is not None:
            expected[index] = value["vector"]
            told = value["status"] if value["status"] in ("no_speech", "too_short", "inaudible") else None
            reasons[index] = value["reasons"] or [told if np.isnan(number) else None for number in value["vector"]]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    assert codes.dtype == np.uint8
    assert [[[None, *REASONS][code] for code in row] for row in codes.tolist()] == reasons


@settings(max_examples=80, deadline=None)
@given(
    drawn=columns(),
    speaker=st.sampled_from(SPEAKERS),
    names=st.lists(st.sampled_from(list(FAMILIES)), max_size=3, unique=True),
)
def test_a_status_is_the_worst_of_the_families(drawn: tuple, speaker: str, names: list[str]) -> None:
    rows, column = drawn
    expected = []
    for row in rows:
        found = [
            (entry(row, name, speaker) or {"status": "no_speech"})["status"]
            for name in names
            if speaker in FAMILIES[name].speakers
        ]
        expected.append(min(found, key=WORST_FIRST.index, default="no_speech"))
    assert values.statuses(column, [FAMILIES[name] for name in names], speaker).tolist() == expected


@settings(max_examples=80, deadline=None)
@given(drawn=columns(right=False))
def test_wrong_vectors_are_counted(drawn: tuple) -> None:
    rows, column = drawn
    entries = [value for row in rows for value in row or []]
    widths = {"mfcc": 3}  # a family that left the catalogue has no length
    wrong = sum(value["family"] == "mfcc" and len(value["vector"]) != 3 for value in entries)
    assert values.wrong_lengths(column, widths) == wrong
    bad = sum(
        value["status"] in ("ok", "partial")
        and any(
            (number is None or not np.isfinite(number)) and reason is None
            for number, reason in zip(value["vector"], value["reasons"] or [None] * 4, strict=False)
        )
        for value in entries
    )
    assert values.not_finite(column) == bad
    for speaker in SPEAKERS:
        for status in Status:
            own = [any((v["speaker"], v["status"]) == (speaker, status) for v in row or []) for row in rows]
            assert values.count_with_status(column, speaker, status) == sum(own)


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
        values.matrix(pa.chunked_array([pa.array([row], VALUES)]), FAMILIES["mfcc"], "all")


def test_an_unknown_speaker_is_an_error_and_no_empty_matrix() -> None:
    with pytest.raises(ValueError, match="speaker"):
        values.matrix(pa.chunked_array([], VALUES), FAMILIES["mfcc"], "nurse")  # type: ignore[arg-type]


def test_values_become_rows_and_rows_a_matrix_without_loss() -> None:
    vectors = np.random.default_rng(0).normal(size=(len(SPEAKERS), 3)).astype(np.float32)
    session = {
        "mfcc": {speaker: FeatureValues(Status.OK, vector) for speaker, vector in zip(SPEAKERS, vectors, strict=True)}
    }
    column = pa.chunked_array([pa.array([values.to_rows(session)], VALUES)])
    for speaker, vector in zip(SPEAKERS, vectors, strict=True):
        np.testing.assert_array_equal(values.matrix(column, FAMILIES["mfcc"], speaker)[0], [vector])


PROMISES: dict[str, tuple[list[Any], str]] = {
    "another number of values": ([1.0, 2.0], "gave 2 values instead of 3"),
    "a NaN without a reason": ([1.0, 2.0, np.nan], "not finite"),
    "beyond float32": ([1.0, 2.0, 1e39], "not finite"),
    "a reason that was not declared": ([1.0, 2.0, Undefined.NARROWBAND], "mfcc_2 does not declare"),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize(("computed", "message"), PROMISES.values(), ids=PROMISES)
def test_a_family_that_breaks_its_promise_is_found_out(computed: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        feature_values(FAMILIES["mfcc"], computed)


def test_numbers_and_reasons_become_a_vector_and_a_status() -> None:
    whole = feature_values(FAMILIES["mfcc"], [1.0, 2.0, 3.0])
    assert (whole.status, whole.vector.tolist(), whole.reasons) == (Status.OK, [1, 2, 3], ())
    partial = feature_values(FAMILIES["mfcc"], [1.0, Undefined.FLAT_LEVEL, 3.0])
    assert partial.status == Status.PARTIAL
    np.testing.assert_array_equal(partial.vector, np.array([1, np.nan, 3], np.float32))
    assert partial.reasons == (None, Undefined.FLAT_LEVEL, None)
    column = pa.chunked_array([pa.array([values.to_rows({"mfcc": {"all": partial}})], VALUES)])
    assert values.matrix(column, FAMILIES["mfcc"], "all")[1].tolist() == [[0, REASONS.index("flat_level") + 1, 0]]
    assert np.isnan(nothing(FAMILIES["mfcc"], Status.NO_SPEECH).vector).all()


def test_a_high_value_may_be_narrowband_without_saying_so() -> None:
    high = replace(FAMILIES["mfcc"].members[0], highest_hz=7_000.0)
    found = feature_values(replace(FAMILIES["mfcc"], members=(high,)), [Undefined.NARROWBAND])
    assert found.reasons == (Undefined.NARROWBAND,)
