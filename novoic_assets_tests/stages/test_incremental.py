"""Plans, compared with a plain statement of the rule; fingerprints; and the guard against mass removal."""

import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from novoic_assets.errors import MassRemovalError
from novoic_assets.fingerprints import fingerprint
from novoic_assets.reasons import OK, Reason
from novoic_assets.stages.incremental import Present, Wanted, guard_removal, plan

KEYS = st.sampled_from("abcdef")
MARKS = st.sampled_from(["1", "2"])
FAMILIES = st.dictionaries(st.sampled_from(["mfcc", "word_vector"]), MARKS)
REASONS = st.sampled_from([OK, str(Reason.NO_AUDIO)])
WANTED = st.dictionaries(KEYS, st.builds(Wanted, fingerprint=MARKS, families=FAMILIES))
PRESENT = st.dictionaries(KEYS, st.builds(Present, fingerprint=MARKS, families=FAMILIES, reason=REASONS))


@settings(max_examples=250)
@given(wanted=WANTED, present=PRESENT)
def test_a_plan_follows_the_rule(wanted: dict[str, Wanted], present: dict[str, Present]) -> None:
    todo = plan(wanted, present)
    unchanged = 0
    for key in "abcdef":
        want, have = wanted.get(key), present.get(key)
        assert (key in todo.new) == (want is not None and have is None)
        assert (key in todo.removed) == (want is None and have is not None)
        stale = {
            family
            for family, mark in (want.families if want else {}).items()
            if have is None or have.fingerprint != want.fingerprint or have.families.get(family) != mark
        }
        if want is None:
            assert key not in todo.families
        elif have is None or have.fingerprint != want.fingerprint:
            assert set(todo.families[key]) == stale == set(want.families)
        elif have.reason == OK and stale:
            assert set(todo.families[key]) == stale
        else:
            assert key not in todo.families
            unchanged += 1
        assert (key in todo.pending) == (key in todo.families)
        assert (key in todo.changed) == (key in todo.families and have is not None)
    assert todo.unchanged == unchanged
    for keys in (todo.new, todo.changed, todo.removed, todo.pending):
        assert list(keys) == sorted(set(keys))


@given(wanted=WANTED)
def test_when_a_plan_is_carried_out_nothing_is_left(wanted: dict[str, Wanted]) -> None:
    done = {key: Present(want.fingerprint, want.families, OK) for key, want in wanted.items()}
    todo = plan(wanted, done)
    assert (todo.pending, list(todo.removed), todo.unchanged) == ([], [], len(wanted))


def test_a_refused_row_is_tried_again_only_when_its_input_changes() -> None:
    refused = {"a": Present("1", {}, str(Reason.UNREADABLE_AUDIO))}
    assert plan({"a": Wanted("1", {"mfcc": "new"})}, refused).pending == []
    assert plan({"a": Wanted("2", {"mfcc": "new"})}, refused).families == {"a": ("mfcc",)}


PARTS = st.lists(
    st.one_of(st.text("1:'\"ab,", max_size=4), st.integers(-2, 12), st.none(), st.floats(0, 3)), max_size=4
)


@settings(max_examples=250)
@given(first=PARTS, second=PARTS)
@example(first=["ab", "c"], second=["a", "bc"])
@example(first=["1"], second=[1])
@example(first=[1, 2], second=[12])
@example(first=[1.5, 2], second=[1.52])
@example(first=["None"], second=[None])
@example(first=[], second=[""])
@example(first=["a", None], second=["a"])
@example(first=["1:'a'"], second=["a"])
def test_two_lists_of_parts_share_a_fingerprint_only_if_they_are_equal(first: list, second: list) -> None:
    equal = [(type(part), part) for part in first] == [(type(part), part) for part in second]
    assert (fingerprint(*first) == fingerprint(*second)) == equal


def test_a_fingerprint_is_32_hexadecimal_digits_and_any_text_has_one() -> None:
    assert len(fingerprint("\udcff", "日本", None, 1.5)) == 32
    int(fingerprint("a"), 16)


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    code = "from novoic_assets.fingerprints import fingerprint; print(fingerprint('ü', 1, None, 0.1))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout.decode()
        for seed in ("1", "2")
    }
    assert found == {fingerprint("ü", 1, None, 0.1) + "\n"}


@pytest.mark.parametrize(
    ("known", "lost", "refused"),
    [
        (5, 5, False),  # a loss of 5 is always allowed
        (6, 6, True),
        (29, 6, True),
        (30, 6, False),  # a loss of 20 % is always allowed
        (31, 6, False),
        (35, 7, False),
        (34, 7, True),
        (100, 20, False),
        (100, 21, True),
        (12_000, 2_400, False),
        (12_000, 2_401, True),
        (0, 0, False),
    ],
)
def test_losing_more_than_5_and_more_than_a_fifth_needs_confirmation(known: int, lost: int, refused: bool) -> None:
    before = {f"S{index}" for index in range(known)}
    now = {f"S{index}" for index in range(lost, known)} | {"new 1", "new 2"}
    if refused:
        with pytest.raises(MassRemovalError) as error:
            guard_removal(before, now, confirmed=False, what="sessions")
        assert f"{lost} of {known} known sessions are gone" in str(error.value)
        assert "S0" not in str(error.value)
    else:
        assert guard_removal(before, now, confirmed=False, what="sessions") == lost
    assert guard_removal(before, now, confirmed=True, what="sessions") == lost


def test_new_inputs_do_not_make_up_for_lost_ones() -> None:
    with pytest.raises(MassRemovalError):
        guard_removal({f"a{i}" for i in range(10)}, {f"b{i}" for i in range(10)}, confirmed=False, what="sessions")
