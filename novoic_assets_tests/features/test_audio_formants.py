"""Formants: vowels with set formants, exact roots, and Praat on speech."""

from functools import cache

import numpy as np
import parselmouth
import pytest
import scipy.linalg
import soxr

from novoic_assets.features.audio.blocks import Blocks
from novoic_assets.features.audio.formants import _TO_AUTOCORRELATION, FORMANTS, find_formants, prediction
from novoic_assets.features.family import Undefined
from novoic_assets_tests.features import speech
from novoic_assets_tests.features.computing import compute, vowel, white
from novoic_assets_tests.features.test_audio_frames import turns_of

# Formants of men and women in Hz (G. E. Peterson and H. L. Barney, JASA 24(2), 1952).
VOWELS = {
    "a": (730, 1_090, 2_440),
    "i": (270, 2_290, 3_010),
    "u": (300, 870, 2_240),
    "e": (530, 1_840, 2_480),
    "uh": (640, 1_190, 2_390),
    "a, a woman's": (850, 1_220, 2_810),
    "e, a woman's": (610, 2_330, 2_990),
}
HIGHER = (3_500, 4_500, 5_500, 6_500, 7_500)


@cache
def voices():
    return {name: samples.astype(float) for name, samples in speech.voices().items()}


def formants_of(samples, turns=None, speaker="all"):
    return list(compute(samples, FORMANTS, turns=turns)[speaker].values())


@pytest.mark.parametrize("name", VOWELS)
@pytest.mark.parametrize("f0", [100, 125, 160])
def test_vowels_by_construction(name, f0):
    """Every linear prediction draws a formant below the second harmonic towards one of the lowest two."""
    higher = (4_000, 5_000, 6_000, 7_000) if "woman" in name else HIGHER
    found = formants_of(vowel(f0, (*VOWELS[name], *higher), 2, glide=1.25))
    lowest = VOWELS[name][0]
    assert found[0] == pytest.approx(lowest, rel=0.1 if lowest < 2 * f0 else 0.05)
    np.testing.assert_allclose(found[1:], VOWELS[name][1:], rtol=0.02)


@cache
def predictions():
    """Predictors of every fourth frame of all voices, shape (13, n)."""
    parts = []
    for samples in voices().values():
        blocks = Blocks(turns_of())
        for block in (*blocks.add(samples.astype(np.float32)), *blocks.finish()):
            lags = block.power[::4, :161].astype(float) @ _TO_AUTOCORRELATION
            parts.append(lags[lags[:, 0] > 0] / lags[lags[:, 0] > 0][:, :1])
    return np.concatenate(parts)


def test_prediction_solves_the_normal_equations():
    lags = predictions()[::50]
    found = prediction(lags.astype(np.float32))
    for row, coefficients in zip(lags.astype(np.float32).astype(float), found.T, strict=True):
        column = row[:-1].copy()
        column[0] *= 1 + 1e-9
        np.testing.assert_allclose(
            coefficients[1:], scipy.linalg.solve_toeplitz(column, -row[1:]), rtol=1e-5, atol=1e-6
        )


def test_poles_are_those_of_numpy():
    coefficients = prediction(predictions().astype(np.float32))
    found = find_formants(coefficients)
    exact = np.full_like(found, np.nan)
    for index, row in enumerate(coefficients.T):
        roots = np.roots(row)
        hz, bandwidth_hz = np.angle(roots) * 5_000 / np.pi, -np.log(np.abs(roots)) * 10_000 / np.pi
        formants = np.sort(hz[(hz > 90) & (hz < 4_910) & (bandwidth_hz < 400)])[:3]
        exact[index, : len(formants)] = formants
    same = (np.abs(found - exact) < 1) | (np.isnan(found) & np.isnan(exact))
    assert len(found) > 2_000
    assert same.all(axis=1).mean() > 0.995


def test_a_frame_s_result_does_not_depend_on_its_company():
    coefficients = prediction(predictions()[:600].astype(np.float32))
    together = find_formants(coefficients)
    np.testing.assert_array_equal(together[::-1], find_formants(coefficients[:, ::-1].copy()))
    np.testing.assert_array_equal(together[200:300], find_formants(coefficients[:, 200:300].copy()))


class TestWhichFrames:
    def test_each_speaker_s_own(self):
        samples = np.concatenate([vowel(120, (*VOWELS[name], *HIGHER), 1.5) for name in "ai"])
        turns = turns_of((0, 1.49, "patient"), (1.51, 3, "investigator"))
        np.testing.assert_allclose(formants_of(samples, turns, "patient"), VOWELS["a"], rtol=0.05)
        np.testing.assert_allclose(formants_of(samples, turns, "investigator"), VOWELS["i"], rtol=0.05)

    def test_voiced_ones_alone(self):
        voiced = vowel(120, (*VOWELS["a"], *HIGHER), 2)
        mixed = np.concatenate([white(3), voiced, white(3, seed=1)])
        np.testing.assert_allclose(formants_of(mixed), formants_of(voiced), rtol=0.02)

    def test_too_few(self):
        samples = np.concatenate([white(1), vowel(120, (*VOWELS["a"], *HIGHER), 0.3), white(1, seed=1)])
        assert formants_of(samples) == [Undefined.TOO_SHORT] * 3
        assert formants_of(white(2)) == [Undefined.TOO_SHORT] * 3

    def test_gain_moves_nothing(self):
        samples = voices()["en-us+f3"]
        np.testing.assert_allclose(formants_of(0.05 * samples), formants_of(samples), rtol=1e-3)

    def test_a_telephone_has_none(self):
        telephone = soxr.resample(voices()["en-us+m1"], 16_000, 8_000)
        found = compute(telephone, FORMANTS, rate=8_000, subtype="PCM_16")["all"]
        assert set(found.values()) == {Undefined.NARROWBAND}


@cache
def voiced_times(name):
    """The centres of the frames that are voiced in Praat, in s."""
    samples = voices()[name]
    pitch = parselmouth.Sound(samples, 16_000).to_pitch_ac(time_step=0.01, pitch_floor=60, pitch_ceiling=400)
    times = (np.arange((len(samples) - 400) // 160 + 1) * 160 + 200) / 16_000
    return [time for time in times if pitch.get_value_at_time(time) > 0]


@cache
def our_formants():
    return {name: formants_of(samples) for name, samples in voices().items()}


def praat_formants(name, ceiling_hz, n_formants, widest_hz):
    """The lowest three formants of every second voiced frame by Praat: shape (frames, 3)."""
    sound = parselmouth.Sound(voices()[name], 16_000)
    times = voiced_times(name)[::2]
    burg = sound.to_formant_burg(time_step=0.01, max_number_of_formants=n_formants, maximum_formant=ceiling_hz)
    numbers = range(1, n_formants + 1)
    hz = np.array([[burg.get_value_at_time(number, time) for number in numbers] for time in times])
    width = np.array([[burg.get_bandwidth_at_time(number, time) for number in numbers] for time in times])
    return np.sort(np.where(width < widest_hz, hz, np.nan), axis=1)[:, :3]


class TestAgainstPraat:
    def deviations(self, **praat):
        """Relative differences of the medians of each voice: shape (voices, 3)."""
        return np.array(
            [
                formants / np.nanmedian(praat_formants(name, **praat), axis=0) - 1
                for name, formants in our_formants().items()
            ]
        )

    def test_with_equal_settings(self):
        """Order 12 at 10 kHz, poles narrower than 400 Hz."""
        found = np.abs(self.deviations(ceiling_hz=5_000, n_formants=6, widest_hz=400))
        assert (found.mean(axis=0) < [0.02, 0.05, 0.03]).all()
        assert (found.max(axis=0) < [0.07, 0.12, 0.13]).all()

    def test_with_praat_s_own(self):
        """Order 10 at 11 kHz, all poles: in weak frames Praat takes wide poles for the lowest, and reads higher."""
        found = self.deviations(ceiling_hz=5_500, n_formants=5, widest_hz=np.inf)
        assert (np.abs(np.median(found, axis=0)) < [0.1, 0.1, 0.15]).all()
        assert (np.abs(found).max(axis=0) < [0.25, 0.25, 0.15]).all()
