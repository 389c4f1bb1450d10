"""Level, pauses and syllables: sounds with set pauses and syllables, and Praat on speech."""

from functools import cache

import numpy as np
import parselmouth
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from parselmouth.praat import call

from novoic_assets.features.audio.frames import runs
from novoic_assets.features.audio.level_and_pauses import LEVEL_AND_PAUSES
from novoic_assets.features.family import SPEAKERS, Undefined
from novoic_assets_tests.features import speech
from novoic_assets_tests.features.computing import compute, white
from novoic_assets_tests.features.test_audio_frames import SEGMENT, turns_of

PAUSES = ("pause_rate", "pause_mean", "pause_frac", "speech_run_mean")


@cache
def voices():
    return {name: samples.astype(float) for name, samples in speech.voices().items()}


def values_of(samples, turns=None, speaker="all"):
    return compute(samples, LEVEL_AND_PAUSES, turns=turns)[speaker]


def in_turn_by_rule(segments, first, length, speaker):
    """The rule, sample by sample, for the frame from `first` on."""
    if speaker == "all":
        return True
    spans = [(round(start * 16_000), round(end * 16_000), whose) for start, end, whose in segments]
    spoken = {sample: {whose for start, end, whose in spans if start <= sample < end} for sample in range(200)}
    own = sorted((start, end) for start, end, whose in spans if whose == speaker and start < end)
    turns = []
    for start, end in own:
        is_same = turns and all(not spoken[sample] - {speaker} for sample in range(turns[-1][1], start))
        if is_same:
            turns[-1] = (turns[-1][0], max(turns[-1][1], end))
        else:
            turns.append((start, end))
    frame = range(first, first + length)
    is_inside = any(start <= first and first + length <= end for start, end in turns)
    return is_inside and all(not spoken[sample] - {speaker} for sample in frame)


@settings(max_examples=200, deadline=None)
@given(
    segments=st.lists(SEGMENT, max_size=8),
    first=st.integers(0, 60),
    length=st.integers(1, 8),
)
def test_turns_follow_the_rule(segments, first, length):
    found = turns_of(*segments).in_turn(np.array([first]), length)[:, 0]
    assert found.tolist() == [in_turn_by_rule(segments, first, length, speaker) for speaker in SPEAKERS]


@given(st.lists(st.booleans(), max_size=30))
def test_runs_cover_what_is_true(mask):
    starts, ends = runs(np.array(mask, bool))
    covered = np.zeros(len(mask), bool)
    for start, end in zip(starts, ends, strict=True):
        assert start < end
        covered[start:end] = True
    assert covered.tolist() == mask
    assert (starts[1:] > ends[:-1]).all()


def talk(sound_s, pause_s, times, range_db=40, dbfs=-20):
    """Sound and pause in turn, ending with sound."""
    parts = []
    for index in range(times):
        parts += [white(sound_s, dbfs, seed=index), white(pause_s, dbfs - range_db, seed=100 + index)]
    return np.concatenate([*parts, white(sound_s, dbfs, seed=99)])


class TestPausesByConstruction:
    @pytest.mark.parametrize(("sound_s", "pause_s"), [(1.0, 0.3), (0.6, 0.6), (2.0, 1.5)])
    @pytest.mark.parametrize("dbfs", [-15, -35])
    def test_they_are_found(self, sound_s, pause_s, dbfs):
        samples = talk(sound_s, pause_s, 10, dbfs=dbfs)
        found = values_of(samples)
        seconds = len(samples) / 16_000
        assert found["pause_rate"] == pytest.approx(600 / seconds, rel=0.01)
        # A frame at an edge is loud if any part of it is: a pause reads up to a frame too short.
        assert found["pause_mean"] == pytest.approx(pause_s, abs=0.025)
        assert found["pause_frac"] == pytest.approx(10 * pause_s / seconds, abs=0.025)
        assert found["speech_run_mean"] == pytest.approx(sound_s, abs=0.025)
        assert found["level_range"] == pytest.approx(40, abs=2)

    def test_shorter_ones_are_none(self):
        found = values_of(talk(0.5, 0.2, 10))
        assert found["pause_rate"] == found["pause_frac"] == 0
        assert found["pause_mean"] == Undefined.ZERO_DENOMINATOR
        assert found["speech_run_mean"] == pytest.approx(7.48, abs=0.05)

    def test_a_transcript_cut_at_the_pauses_leaves_them(self):
        samples = talk(1, 0.5, 8)
        one = values_of(samples, turns_of((0, 13, "patient")), "patient")
        cut = turns_of(*((1.5 * index, 1.5 * index + 1, "patient") for index in range(9)))
        many = values_of(samples, cut, "patient")
        assert {name: one[name] for name in PAUSES} == {name: many[name] for name in PAUSES}

    def test_who_waits_for_the_other_does_not_pause(self):
        samples = talk(1, 0.5, 8)
        order = ["patient", "investigator"] * 5
        turns = turns_of(*((1.5 * index, 1.5 * index + 1, order[index]) for index in range(9)))
        found = compute(samples, LEVEL_AND_PAUSES, turns=turns)
        assert found["patient"]["pause_rate"] == Undefined.FLAT_LEVEL
        assert found["all"]["pause_rate"] == pytest.approx(60 * 8 / 13, rel=0.01)

    @pytest.mark.parametrize(("range_db", "is_flat"), [(0, True), (17, True), (23, False)])
    def test_flat_levels_tell_of_no_pauses(self, range_db, is_flat):
        found = values_of(talk(1, 0.5, 8, range_db))
        assert all((found[name] == Undefined.FLAT_LEVEL) == is_flat for name in PAUSES)

    def test_exact_zeros_are_no_pauses(self):
        samples = talk(1, 0.5, 8)
        cut = np.insert(samples, 16_000 * 2, np.zeros(16_000 * 3))
        expected, found = values_of(samples), values_of(cut)
        assert found["pause_frac"] == pytest.approx(expected["pause_frac"], abs=0.01)
        assert found["pause_rate"] == pytest.approx(expected["pause_rate"], rel=0.02)

    def test_too_short(self):
        found = values_of(white(0.9))
        assert found["level_mean"] == pytest.approx(-20, abs=0.2)
        assert {found[name] for name in found if name != "level_mean"} == {Undefined.TOO_SHORT}


def syllables(rate_hz, depth_db, seconds=6, voice_hz=120):
    time = np.arange(round(seconds * 16_000)) / 16_000
    level = -depth_db / 2 * (np.cos(2 * np.pi * rate_hz * time) + 1)
    source = sum(np.cos(2 * np.pi * voice_hz * n * time) / n for n in range(1, 30)) if voice_hz else white(seconds, 0)
    return 0.05 * source * 10 ** (level / 20) + white(seconds, -75, seed=1)


class TestSyllablesByConstruction:
    @pytest.mark.parametrize("rate_hz", [2, 4, 6])
    @pytest.mark.parametrize("voice_hz", [85, 120, 230])
    def test_voiced_peaks_count(self, rate_hz, voice_hz):
        found = values_of(syllables(rate_hz, 12, voice_hz=voice_hz))["syllable_rate"]
        assert found == pytest.approx(rate_hz, rel=0.05)

    def test_shallow_dips_and_noise_do_not(self):
        # The level falls once, at the end of the sound.
        assert values_of(syllables(4, 1))["syllable_rate"] <= 1 / 6 + 0.01
        assert values_of(syllables(4, 12, voice_hz=None))["syllable_rate"] < 0.4

    def test_each_run_of_frames_counts_for_itself(self):
        samples = syllables(4, 12)
        turns = turns_of((0, 2, "patient"), (2, 4, "investigator"), (4, 6, "patient"))
        found = compute(samples, LEVEL_AND_PAUSES, turns=turns)
        assert found["patient"]["syllable_rate"] == pytest.approx(4, rel=0.08)
        assert found["investigator"]["syllable_rate"] == pytest.approx(4, rel=0.08)


def test_gain_moves_the_level_alone():
    samples = voices()["en-us+m4"]
    expected, found = values_of(samples), values_of(0.1 * samples)
    assert found.pop("level_mean") == pytest.approx(expected.pop("level_mean") - 20, abs=0.01)
    assert found == pytest.approx(expected, rel=1e-5)


def test_level_of_a_sine_of_full_scale():
    sine = np.sin(2 * np.pi * 1_000 * np.arange(32_000) / 16_000)
    assert values_of(sine)["level_mean"] == pytest.approx(-3.01, abs=0.01)
    assert values_of(0.1 * sine + 0.2)["level_mean"] == pytest.approx(-23.01, abs=0.05), "an offset has no level"


class TestAgainstPraat:
    def test_level(self):
        for samples in voices().values():
            # Praat's level is relative to 20 micropascals.
            praat = parselmouth.Sound(samples, 16_000).get_intensity() + 20 * np.log10(2e-5)
            assert values_of(samples)["level_mean"] == pytest.approx(praat, abs=0.3)

    def test_pauses(self):
        """Silences by Praat's own search, with the threshold from the percentiles of the level."""
        ours, theirs = [], []
        for samples in (self.with_pauses(voice) for voice in list(voices().values())[:12]):
            found = values_of(samples)
            power = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160]
            level = 10 * np.log10(np.mean(power**2, axis=1))
            low, high = np.percentile(level, [5, 95])
            intensity = parselmouth.Sound(samples, 16_000).to_intensity(minimum_pitch=100, time_step=0.01)
            loudest = call(intensity, "Get maximum", 0, 0, "Parabolic") + 20 * np.log10(2e-5)
            threshold = low + 0.35 * (high - low) - loudest
            grid = call(intensity, "To TextGrid (silences)", threshold, 0.25, 0.01, "silent", "sounding")
            lengths = [
                call(grid, "Get end time of interval", 1, k) - call(grid, "Get start time of interval", 1, k)
                for k in range(1, call(grid, "Get number of intervals", 1) + 1)
                if call(grid, "Get label of interval", 1, k) == "silent"
            ]
            seconds = len(samples) / 16_000
            ours.append((found["pause_rate"], found["pause_frac"], found["pause_mean"]))
            theirs.append((60 * len(lengths) / seconds, sum(lengths) / seconds, np.mean(lengths)))
        difference = np.abs(np.array(ours) - theirs)
        assert np.median(difference[:, 0] / np.array(theirs)[:, 0]) < 0.05
        assert difference[:, 1].max() < 0.05
        assert difference[:, 2].max() < 0.1

    @staticmethod
    def with_pauses(samples):
        """Add a second of the room after each third of the recording."""
        parts = np.array_split(samples, 3)
        quiet = np.random.default_rng(0).normal(size=16_000) * np.sqrt(np.mean(samples**2)) * 10 ** (-40 / 20)
        return np.concatenate([parts[0], quiet, parts[1], quiet, parts[2]])

    def test_syllables(self):
        """The method of de Jong and Wempe on Praat's intensity and pitch."""
        ours, theirs = [], []
        for samples in voices().values():
            sound = parselmouth.Sound(samples, 16_000)
            intensity = sound.to_intensity(minimum_pitch=50, time_step=0.01)
            pitch = sound.to_pitch_ac(time_step=0.02, pitch_floor=60, pitch_ceiling=400, voicing_threshold=0.45)
            level, times = intensity.values[0], intensity.xs()
            peaks = np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] >= level[2:])) + 1
            peaks = peaks[level[peaks] > np.percentile(level, 99) - 25]
            ends = [*peaks[1:], len(level)]
            n_nuclei = sum(
                level[peak] - level[peak:end].min() > 2 and pitch.get_value_at_time(times[peak]) > 0
                for peak, end in zip(peaks, ends, strict=True)
            )
            theirs.append(n_nuclei)
            ours.append(values_of(samples)["syllable_rate"] * (len(samples) // 160) / 100)
        assert sum(ours) == pytest.approx(sum(theirs), rel=0.1)
        assert scipy.stats.pearsonr(ours, theirs).statistic > 0.9
