"""Pitch: against signals of known pitch, plain algorithms, and Praat on real speech."""

import io
import itertools
import math

import hypothesis.extra.numpy as arrays
import numpy as np
import parselmouth
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.features.audio.blocks import Blocks
from novoic_assets.features.audio.pitch import PITCH, run_slopes
from novoic_assets.features.audio.pitch_track import PitchTrack, PitchTracker, best_path
from novoic_assets.features.audio.session import audio_features
from novoic_assets.features.family import Status, Undefined
from novoic_assets.sessions.recording import SAMPLE_RATE
from novoic_assets_tests.features.speech import espeak_voices, recordings, voices
from novoic_assets_tests.features.test_audio_frames import turns_of

NOBODY = turns_of()


def features(family, samples, turns=NOBODY, speaker="all"):
    """The values of a family by name, and their status."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    values = audio_features(file, turns, [family]).values[family.name][speaker]
    return dict(zip(family.value_names, values.vector.tolist(), strict=True)), values


def pitch(samples, turns=NOBODY, speaker="all"):
    return features(PITCH, samples, turns, speaker)[0]


def pitch_track(samples):
    tracker = PitchTracker()
    blocks = Blocks(NOBODY)
    for block in itertools.chain(blocks.add(np.asarray(samples, np.float32)), blocks.finish()):
        tracker.add(block)
    return tracker.track()


def voice(f0_hz, seed=0, snr_db=60.0):
    """Harmonics that fall by 12 dB per octave, in noise, with a pitch for each sample: float32, peak about 0.3."""
    phase = 2 * np.pi * np.cumsum(np.asarray(f0_hz, float)) / SAMPLE_RATE
    harmonics = range(1, int(4_000 / np.max(f0_hz)) + 1)
    clean = sum(np.sin(order * phase + order**2) / order**2 for order in harmonics)
    noise = np.random.default_rng(seed).normal(size=len(clean))
    noise *= np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return (0.2 * (clean + noise)).astype(np.float32)


def constant(hz, seconds):
    return np.full(round(seconds * SAMPLE_RATE), float(hz))


def room(seconds, seed=1):
    return np.random.default_rng(seed).normal(0, 1e-4, round(seconds * SAMPLE_RATE)).astype(np.float32)


def semitones(hz):
    return 12 * math.log2(hz / 27.5)


@pytest.mark.parametrize("hz", [62, 80, 113.7, 220, 317.3, 395])
def test_a_steady_voice_has_its_pitch_and_no_spread(hz):
    for signal in (voice(constant(hz, 2)), 0.2 * np.sin(2 * np.pi * hz * np.arange(32_000) / SAMPLE_RATE)):
        values = pitch(signal)
        for name in ("f0_median", "f0_p5", "f0_p95"):
            # 0.6 %: a frame holds only two and a half periods of the lowest pitch.
            assert values[name] == pytest.approx(semitones(hz), abs=0.1)
        assert values["f0_iqr"] < 0.1
        assert values["voiced_frac"] == 1


def test_a_pulse_train_has_the_pitch_of_its_pulses():
    signal = np.zeros(2 * SAMPLE_RATE, np.float32)
    signal[::128] = 0.5
    assert pitch(signal + room(2))["f0_median"] == pytest.approx(semitones(SAMPLE_RATE / 128), abs=0.03)


@pytest.mark.parametrize("slope", [-30.0, -5.0, 0.0, 12.0])
def test_the_slope_is_that_of_the_glides(slope):
    time = np.arange(round(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
    glides = [np.concatenate([voice(start * 2 ** (slope * time / 12)), room(0.2)]) for start in range(110, 180, 10)]
    assert pitch(np.concatenate(glides))["f0_slope"] == pytest.approx(slope, rel=0.03, abs=0.05)


def test_the_voiced_share_is_that_of_the_time():
    values = pitch(np.concatenate([np.concatenate([voice(constant(120, 0.6)), room(0.4)]) for _ in range(5)]))
    # A frame with half a period too few is unvoiced: up to 20 ms on either side.
    assert values["voiced_frac"] == pytest.approx(0.6, abs=0.04)


def test_noise_is_not_voiced_and_its_values_have_a_reason():
    by_name, values = features(PITCH, np.random.default_rng(0).normal(0, 0.1, 10 * SAMPLE_RATE))
    assert by_name["voiced_frac"] < 0.02
    assert values.status == Status.PARTIAL
    assert values.reasons == (*[Undefined.TOO_SHORT] * 5, None)


def test_a_click_and_a_distant_hum_silence_nobody():
    signal = np.concatenate([np.concatenate([voice(constant(150, 0.5)), room(0.5)]) for _ in range(6)])
    hum = 1e-3 * np.sin(2 * np.pi * 100 * np.arange(len(signal)) / SAMPLE_RATE)
    clicked = 0.05 * signal + 0.05 * hum
    clicked[12_000] = 1.0
    assert pitch(clicked)["voiced_frac"] == pytest.approx(pitch(signal)["voiced_frac"], abs=0.02)
    assert pitch(clicked)["f0_median"] == pytest.approx(semitones(150), abs=0.03)


def test_no_run_crosses_the_edge_of_a_turn_or_of_a_slip():
    track = PitchTrack(
        f0_hz=np.array([100, 110, np.nan, 100, 140, 141, 141, 141], np.float32),
        voiced=np.array([1, 1, 0, 1, 1, 1, 1, 1], bool),
        strength=np.ones(8, np.float32),
        own=np.array([[1, 1, 1, 1, 1, 1, 0, 1], [0] * 8, [1] * 8], bool),
    )
    assert track.steps(track.own[0], 1.3).tolist() == [True, False, False, False, True, False, False]
    assert track.steps(track.own[2], 1.3).tolist() == [True, False, False, False, True, True, True]


def test_a_speakers_pitch_is_that_of_their_own_turns():
    signal = np.concatenate([voice(constant(hz, 1)) for hz in (100, 200, 100, 200)])
    turns = turns_of((0, 1, "patient"), (1, 2, "investigator"), (2, 3, "patient"), (3, 4, "investigator"))
    for speaker, hz in (("patient", 100), ("investigator", 200)):
        values = pitch(signal, turns, speaker)
        assert values["f0_p5"] == pytest.approx(semitones(hz), abs=0.03)
        assert values["f0_p95"] == pytest.approx(semitones(hz), abs=0.03)


def test_how_loud_the_recording_is_and_what_silence_follows_moves_no_pitch():
    speech = next(iter(espeak_voices().values()))
    values = pitch(speech)
    for changed in (0.25 * speech, 0.037 * speech, np.concatenate([speech, np.zeros(50_000, np.float32)])):
        assert pitch(changed) == pytest.approx(values, abs=1e-3)


def score(lag, strength, unvoiced_strength, choice):
    """The sum of strengths minus costs of a path between two unvoiced frames."""
    total, before = 0.0, None
    for frame, candidate in enumerate([*choice.tolist(), -1]):
        octave = math.log2(lag[frame, candidate]) if candidate >= 0 else None
        if (octave is None) != (before is None):
            total -= 0.14
        elif octave is not None:
            total -= 0.35 * abs(octave - before)
        if frame < len(choice):
            total += float(unvoiced_strength[frame] if candidate < 0 else strength[frame, candidate])
        before = octave
    return total


def greatest_score(lag, strength, unvoiced_strength):
    """Viterbi's algorithm, one state at a time."""
    states = {None: 0.0}
    for lags, strengths, unvoiced in zip(lag, strength, unvoiced_strength, strict=True):
        octaves = [(math.log2(each), float(by)) for each, by in zip(lags, strengths, strict=True) if np.isfinite(by)]
        following = {
            None: float(unvoiced) + max(at - (0.14 if state is not None else 0) for state, at in states.items())
        }
        for octave, by in octaves:
            came = max(at - (0.14 if state is None else 0.35 * abs(octave - state)) for state, at in states.items())
            following[octave] = max(by + came, following.get(octave, -math.inf))
        states = following
    return max(at - (0.14 if state is not None else 0) for state, at in states.items())


@settings(max_examples=50)
@given(st.data())
def test_the_path_is_the_best_there_is(data):
    n = data.draw(st.integers(1, 30))
    numbers = st.floats(0, 1, width=32)
    lag = 40 + 226 * data.draw(arrays.arrays(np.float32, (n, 3), elements=numbers))
    strength = data.draw(arrays.arrays(np.float32, (n, 3), elements=numbers))
    strength = -np.sort(-np.where(strength < 0.2, np.float32(-np.inf), strength), axis=1)
    unvoiced_strength = np.float32(0.45) + data.draw(
        arrays.arrays(np.float32, n, elements=st.sampled_from([0.0, 0.0, 0.3, 2.0]))
    )
    choice = best_path(lag, strength, unvoiced_strength)
    assert score(lag, strength, unvoiced_strength, choice) == pytest.approx(
        greatest_score(lag, strength, unvoiced_strength), abs=1e-4
    )


@given(arrays.arrays(np.bool_, st.integers(1, 100), elements=st.sampled_from([True, True, True, True, False])))
def test_a_runs_slope_is_that_of_the_regression_line(steps):
    semitone = np.random.default_rng(0).normal(30, 2, len(steps) + 1)
    expected, start = [], 0
    for end, goes_on in enumerate([*steps.tolist(), False]):
        if not goes_on:
            if end - start + 1 >= 10:
                expected.append(np.polyfit(np.arange(start, end + 1) / 100, semitone[start : end + 1], 1)[0])
            start = end + 1
    np.testing.assert_allclose(run_slopes(semitone, steps), expected, rtol=1e-8, atol=1e-8)


def praat_sound(samples, window):
    """The stretch of a recording whose frames in Praat, which centres them, have the same centres as ours.

    Args:
        samples: At 16 kHz.
        window: Samples in a frame of Praat, even.
    """
    # One more sample than the frames need on either side, so that Praat's number of frames does not depend on rounding.
    first = (200 - window // 2 - 1) % 160
    n_steps = (len(samples) - first - window - 2) // 160
    stretch = samples[first : first + window + 160 * n_steps + 2]
    return parselmouth.Sound(np.asarray(stretch, float), SAMPLE_RATE, first / SAMPLE_RATE)


def praat_pitch(samples):
    """Praat's pitch of our frames with our settings, 0 where unvoiced: frame numbers and Hz."""
    found = praat_sound(samples, window=800).to_pitch_ac(
        time_step=0.01,
        pitch_floor=60,
        max_number_of_candidates=15,
        silence_threshold=0.03,
        voicing_threshold=0.45,
        octave_cost=0.01,
        octave_jump_cost=0.35,
        voiced_unvoiced_cost=0.14,
        pitch_ceiling=400,
    )
    frames = (found.xs() * SAMPLE_RATE - 200) / 160
    np.testing.assert_allclose(frames, np.rint(frames), atol=1e-3)
    return np.rint(frames).astype(int), found.selected_array["frequency"]


def agreement(samples):
    """Numbers of frames, of frames voiced in both, of gross errors and of voicing errors; the ratio of the medians."""
    track = pitch_track(samples)
    frames, praat_hz = praat_pitch(samples)
    hz = np.where(track.voiced, track.f0_hz, 0)[frames]
    common = (hz > 0) & (praat_hz > 0)
    gross = np.abs(hz[common] / praat_hz[common] - 1) > 0.2
    voicing = (hz > 0) != (praat_hz > 0)
    return (
        np.array([len(frames), common.sum(), gross.sum(), voicing.sum()]),
        np.median(hz[common]) / np.median(praat_hz[common]),
    )


def test_pitch_agrees_with_praat():
    counts, medians = zip(*[agreement(samples) for samples in espeak_voices().values()], strict=True)
    np.testing.assert_allclose(medians, 1, atol=0.005)
    n_frames, n_common, n_gross, n_voicing = sum(counts)
    assert n_common > 0.5 * n_frames
    assert n_gross < 0.01 * n_common
    assert n_voicing < 0.05 * n_frames


def test_pitch_of_real_speech_agrees_with_praat():
    counts, medians = zip(*[agreement(samples) for samples in recordings().values()], strict=True)
    np.testing.assert_allclose(medians, 1, atol=0.01)
    n_frames, n_common, n_gross, n_voicing = sum(counts)
    assert n_common > 0.4 * n_frames
    assert n_gross < 0.05 * n_common
    assert n_voicing < 0.1 * n_frames


def test_speech_lies_in_the_typical_ranges():
    for samples in voices().values():
        by_name = pitch(samples)
        for value in PITCH.members:
            low, high = value.typical
            if value.name in ("f0_median", "voiced_frac"):
                assert low <= by_name[value.name] <= high
