"""Who owns a frame: against a direct transcription of the rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.features.audio.frames import Turns, speaker_seconds
from novoic_assets.features.family import SPEAKERS


def turns_of(*segments):
    """Make turns from (start in s, end in s, speaker)."""
    start, end, speaker = zip(*segments, strict=True) if segments else ((), (), ())
    return Turns(np.array(start, np.float64), np.array(end, np.float64), speaker)


def masks_of(turns, first_frame, n_frames, length, hop):
    return turns.own(np.arange(first_frame, first_frame + n_frames) * hop, length)


def rule(segments, first, length, speaker):
    """The rule, sample by sample, for the frame of samples `first` to `first + length - 1`."""
    if speaker == "all":
        return True
    frame = set(range(first, first + length))
    spans = [(set(range(round(start * 16_000), round(end * 16_000))), whose) for start, end, whose in segments]
    inside_one = any(frame <= span for span, whose in spans if whose == speaker)
    touches_anyone_elses = any(frame & span for span, whose in spans if whose != speaker)
    return inside_one and not touches_anyone_elses


SEGMENT = st.tuples(st.integers(0, 60), st.integers(0, 25), st.sampled_from(["patient", "investigator", "other"])).map(
    lambda segment: (segment[0] / 16_000, (segment[0] + segment[1]) / 16_000, segment[2])
)


@settings(max_examples=400, deadline=None)
@given(
    segments=st.lists(SEGMENT, max_size=8),
    first_frame=st.integers(0, 5),
    n_frames=st.integers(0, 20),
    length=st.integers(1, 8),
    hop=st.integers(1, 6),
)
def test_masks_follow_the_rule(segments, first_frame, n_frames, length, hop):
    masks = masks_of(turns_of(*segments), first_frame, n_frames, length, hop)
    expected = [
        [rule(segments, (first_frame + k) * hop, length, speaker) for k in range(n_frames)] for speaker in SPEAKERS
    ]
    np.testing.assert_array_equal(masks, np.array(expected, bool).reshape(len(SPEAKERS), n_frames))


@settings(max_examples=200, deadline=None)
@given(segments=st.lists(SEGMENT, max_size=8), n_samples=st.integers(0, 70))
def test_seconds_follow_the_rule(segments, n_samples):
    seconds = speaker_seconds(turns_of(*segments), n_samples)
    for speaker in SPEAKERS:
        expected = sum(rule(segments, sample, 1, speaker) for sample in range(n_samples)) / 16_000
        assert seconds[speaker] == pytest.approx(expected)


def test_two_adjacent_segments_are_not_one():
    turns = turns_of((0, 0.05, "patient"), (0.05, 0.1, "patient"))
    masks = masks_of(turns, 0, 8, 400, 160)  # frames of 25 ms every 10 ms
    np.testing.assert_array_equal(masks[0], [True, True, True, False, False, True, True, True])


def test_segments_may_end_after_the_recording():
    assert speaker_seconds(turns_of((1.0, 4.266, "investigator")), 32_000)["investigator"] == 1.0


def test_times_beyond_any_recording():
    turns = turns_of((0, 1e300, "patient"))
    assert masks_of(turns, 0, 3, 400, 160)[0].all()
