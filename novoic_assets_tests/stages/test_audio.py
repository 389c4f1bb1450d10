"""The turns of sessions are found in Arrow, and are those that their segments say."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.sessions.transcript import ROLES
from novoic_assets.stages.audio import TURNS, _seconds, _turns, turns_of
from novoic_assets.stages.text import to_segments
from novoic_assets.storage import schemas

WORDS = st.lists(st.fixed_dictionaries({"text": st.text(max_size=5), "speaker": st.sampled_from(ROLES)}), max_size=4)
TIMES = st.floats(0, 1e6)
SEGMENTS = st.lists(st.fixed_dictionaries({"start": TIMES, "end": TIMES, "words": WORDS}), max_size=6)


def expected(segments: list[dict[str, object]]) -> list[dict[str, object]]:
    """One segment at a time, as a transcript tells it."""
    return [
        {"start": segment.start, "end": segment.end, "speaker": segment.sole_speaker}
        for segment in to_segments(segments)
        if segment.words
    ]


@settings(deadline=None)
@given(sessions=st.lists(SEGMENTS, max_size=5), skipped=st.integers(0, 2))
def test_turns_are_the_segments_that_have_words(sessions: list[list[dict[str, object]]], skipped: int) -> None:
    # A slice, whose arrays do not begin where their memory does.
    column = pa.array([[], *sessions], schemas.SEGMENTS).slice(1 + min(skipped, len(sessions)))
    turns = turns_of(column)
    assert turns.type == TURNS
    assert turns.to_pylist() == [expected(segments) for segments in sessions[skipped:]]


def test_turns_follow_the_order_of_the_sessions_whatever_that_of_the_rows() -> None:
    def rows(*sessions: str) -> pa.RecordBatch:
        segments = [
            [{"start": float(session[1:]), "end": 9.0, "words": [{"text": "a", "speaker": "patient"}]}]
            for session in sessions
        ]
        return pa.record_batch(
            [pa.array(sessions), pa.array(segments, schemas.SEGMENTS)], names=["session", "segments"]
        )

    found = _turns(iter([rows("S3", "S1"), rows("S2")]), ["S1", "S2", "S0", "S3"]).to_pylist()
    assert [turns and turns[0]["start"] for turns in found] == [1.0, 2.0, None, 3.0]
    assert _turns(iter([]), ["S0"]).to_pylist() == [None]


@pytest.mark.parametrize(
    ("path", "size", "least", "most"),
    [
        ("audio/S.wav", 32_000 * 60, 20, 120),  # 16 kHz of 16 bits
        ("audio/S.WAV", 144_000 * 60, 60, 180),  # 48 kHz of 24 bits
        ("audio/S.flac", 16_000 * 60, 30, 120),
        ("audio/S.opus", 3_000 * 60, 30, 120),
    ],
)
def test_the_length_of_a_recording_is_guessed_by_its_size(path: str, size: int, least: float, most: float) -> None:
    assert least < _seconds({"path": path, "size": size}) < most
