"""The spectral family and the spread of MFCC: sounds of known spectra, librosa, SciPy and openSMILE."""

from functools import cache

import librosa
import numpy as np
import opensmile
import pytest
import scipy.fft
import scipy.stats
import soxr

from novoic_assets.features.audio.mfcc import MFCC
from novoic_assets.features.audio.mfcc_narrow import MFCC_NARROW
from novoic_assets.features.audio.mfcc_spread import MFCC_SPREAD
from novoic_assets.features.audio.spectral import SPECTRAL
from novoic_assets.features.family import Undefined
from novoic_assets_tests.features import speech
from novoic_assets_tests.features.computing import compute, white
from novoic_assets_tests.features.test_audio_frames import masks_of, turns_of

HZ = np.arange(257) * 16_000 / 512
USED = (HZ >= 93) & (HZ <= 7_000)


@cache
def voices():
    return {name: samples.astype(float) for name, samples in speech.voices().items()}


def spectra(samples):
    """Magnitudes by librosa: shape (257, frames)."""
    # librosa puts the 400 samples of a frame in the middle of its 512.
    padded = np.pad(samples, 56)
    return np.abs(librosa.stft(padded, n_fft=512, win_length=400, hop_length=160, window="hann", center=False))


def audible(magnitude, own):
    level = 10 * np.log10(np.sum(magnitude[3:] ** 2, axis=0))
    return own & (level >= np.percentile(level[own], 95) - 25)


def by_librosa(samples, own):
    magnitude = spectra(samples)
    loud = audible(magnitude, own)
    pairs = np.flatnonzero(loud[1:] & loud[:-1]) + 1
    used, hz = magnitude[USED], HZ[USED]
    power = used**2
    unit = used / np.linalg.norm(used, axis=0)
    alpha = power[hz <= 1_000].sum(axis=0) / power[(hz > 1_000) & (hz <= 5_000)].sum(axis=0)
    low = hz <= 500
    slope = np.polyfit(hz[low], 10 * np.log10(power[low]), 1)[0]
    per_frame = {
        "centroid": librosa.feature.spectral_centroid(S=used, freq=hz)[0],
        "bandwidth": librosa.feature.spectral_bandwidth(S=used, freq=hz)[0],
        "rolloff85": librosa.feature.spectral_rolloff(S=power, freq=hz, roll_percent=0.85)[0],
        "flatness": librosa.feature.spectral_flatness(S=used, amin=1e-30)[0],
        "alpha_ratio": 10 * np.log10(alpha),
        "slope_0_500": slope,
    }
    values = {name: float(track[loud].mean()) for name, track in per_frame.items()}
    values["flux"] = float(np.mean([np.linalg.norm(unit[:, k] - unit[:, k - 1]) for k in pairs]))
    return values


def test_spectral_equals_librosa_on_speech():
    for samples in voices().values():
        expected = by_librosa(samples, np.ones((len(samples) - 400) // 160 + 1, bool))
        found = compute(samples, SPECTRAL)["all"]
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_each_speaker_s_frames_are_theirs():
    samples = voices()["en-us+f1"]
    turns = turns_of((0.1, 2.03, "patient"), (2.1, 4.3, "investigator"), (4.4, 6, "patient"), (6.2, 7.2, "other"))
    found = compute(samples, SPECTRAL, turns=turns)
    masks = masks_of(turns, 0, (len(samples) - 400) // 160 + 1, 400, 160)
    for speaker, own in zip(("patient", "investigator"), masks, strict=False):
        assert found[speaker] == pytest.approx(by_librosa(samples, own), rel=1e-3, abs=1e-5)


class TestSpectraByConstruction:
    def test_white_noise(self):
        found = compute(white(20), SPECTRAL)["all"]
        width = 7_000 - 94
        assert found["centroid"] == pytest.approx((7_000 + 94) / 2, rel=0.01)
        assert found["bandwidth"] == pytest.approx(width / np.sqrt(12), rel=0.01)
        assert found["rolloff85"] == pytest.approx(94 + 0.85 * width, rel=0.01)
        # The periodogram of white noise is exponentially distributed, and E[log x] = -0.5772 (Euler's constant).
        assert found["flatness"] == pytest.approx(np.exp(-np.euler_gamma), rel=0.03)
        assert found["alpha_ratio"] == pytest.approx(10 * np.log10((1_000 - 94) / 4_000), abs=0.2)
        assert found["slope_0_500"] == pytest.approx(0, abs=0.002)

    def test_a_tone(self):
        tone = 0.1 * np.sin(2 * np.pi * 1_500 * np.arange(32_000) / 16_000)
        found = compute(tone + white(2, -100), SPECTRAL)["all"]
        assert found["centroid"] == pytest.approx(1_500, rel=0.05)
        assert found["rolloff85"] == pytest.approx(1_500, abs=40)
        assert found["flatness"] < 1e-4
        assert found["flux"] < 0.01
        assert found["alpha_ratio"] < -40

    @pytest.mark.parametrize("slope", [-0.04, 0.03])
    def test_a_slope(self, slope):
        noise = np.fft.rfft(white(20))
        hz = np.fft.rfftfreq(320_000, 1 / 16_000)
        shaped = np.fft.irfft(noise * 10 ** (slope * np.minimum(hz, 600) / 20))
        assert compute(shaped, SPECTRAL)["all"]["slope_0_500"] == pytest.approx(slope, abs=0.003)

    def test_no_change_crosses_the_edge_of_a_run(self):
        """Two sounds alternate, each in a separate segment of the patient: the change between them does not count."""
        time = np.arange(16_000 * 6) / 16_000
        low, high = np.sin(2 * np.pi * 300 * time), np.sin(2 * np.pi * 2_000 * time)
        samples = 0.1 * np.where(time // 0.2 % 2, low, high) + white(6, -90)
        edges = np.arange(0, 6, 0.2)
        patient = turns_of(*((start + 1e-6, start + 0.2, "patient") for start in edges))
        assert compute(samples, SPECTRAL, turns=patient)["patient"]["flux"] < 0.02
        assert compute(samples, SPECTRAL, turns=turns_of((0, 6, "patient")))["patient"]["flux"] > 0.05

    def test_silence_between_words_does_not_count(self):
        sound = white(2, -20)
        spaced = np.concatenate([sound, white(4, -70, seed=1), sound])
        assert compute(spaced, SPECTRAL)["all"]["centroid"] == pytest.approx(3_547, rel=0.02)

    def test_too_short(self):
        found = compute(white(0.15), SPECTRAL, MFCC_SPREAD)["all"]
        assert set(found.values()) == {Undefined.TOO_SHORT}


@pytest.mark.parametrize("family", [SPECTRAL, MFCC_SPREAD])
def test_gain_and_offset_move_nothing(family):
    samples = voices()["en-gb+m2"]
    expected = compute(samples, family)["all"]
    assert compute(0.3 * samples, family)["all"] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    if family is SPECTRAL:
        assert compute(samples + 0.01, family)["all"] == pytest.approx(expected, rel=0.01, abs=1e-3)


def test_the_source_s_rate_moves_nothing():
    samples = voices()["en-us+m1"]
    expected = compute(samples, SPECTRAL)["all"]
    found = compute(soxr.resample(samples, 16_000, 44_100), SPECTRAL, rate=44_100)["all"]
    assert found == pytest.approx(expected, rel=5e-3, abs=1e-3)


def test_voices_rank_as_with_opensmile():
    """eGeMAPS has the same ratio and slope over the same audible frames, with another frame length and from 0 Hz on."""
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)
    ours, theirs = [], []
    for samples in voices().values():
        frames = smile.process_signal(samples.astype(np.float32), 16_000)
        magnitude = spectra(samples)
        loud = audible(magnitude, np.ones(magnitude.shape[1], bool))
        start = frames.index.get_level_values("start").total_seconds().to_numpy()
        loud = loud[np.minimum(np.rint(start / 0.01).astype(int), len(loud) - 1)]
        found = compute(samples, SPECTRAL)["all"]
        ours.append((found["alpha_ratio"], found["slope_0_500"]))
        # openSMILE's ratio is the high band over the low one.
        theirs.append((-frames["alphaRatio_sma3"][loud].mean(), frames["slope0-500_sma3"][loud].mean()))
    ours, theirs = np.array(ours), np.array(theirs)
    assert scipy.stats.spearmanr(ours[:, 0], theirs[:, 0]).statistic > 0.95
    assert np.abs(ours[:, 0] - theirs[:, 0]).max() < 1
    # openSMILE's line begins below the first harmonic, where the voice has no energy; so only the order is similar.
    assert scipy.stats.spearmanr(ours[:, 1], theirs[:, 1]).statistic > 0.65


def mfcc_by_librosa(samples, n_bands=40, highest_hz=8_000):
    mel = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=n_bands, fmin=20, fmax=highest_hz, htk=False, norm="slaney")
    db = librosa.power_to_db(mel @ spectra(samples) ** 2, ref=1.0, amin=1e-10, top_db=None)
    return scipy.fft.dct(db, type=2, norm="ortho", axis=0)[:13]


def spread_by_scipy(coefficients, own):
    mine = coefficients[:, own]
    inside = np.array([own[k - 2 : k + 3].all() for k in range(2, len(own) - 2)])
    slopes = librosa.feature.delta(coefficients, width=5)[:, 2:-2][:, inside]
    return {
        **{f"mfcc_{index}_sd": float(sd) for index, sd in enumerate(mine.std(axis=1))},
        "mfcc_skewness": float(scipy.stats.skew(mine, axis=1).mean()),
        "mfcc_kurtosis": float(scipy.stats.kurtosis(mine, axis=1).mean()),
        "mfcc_delta_sd": float(slopes.std(axis=1).mean()),
    }


class TestMfcc:
    def test_spread_equals_librosa_and_scipy(self):
        # Some runs end in the first block, one continues across the edge to the second block, at frame 512.
        turns = turns_of((0.1, 1.6, "patient"), (1.7, 3, "investigator"), (3.1, 4.2, "patient"), (4.3, 6.5, "patient"))
        for samples in voices().values():
            coefficients = mfcc_by_librosa(samples)
            masks = masks_of(turns, 0, coefficients.shape[1], 400, 160)
            found = compute(samples, MFCC_SPREAD, turns=turns)
            for speaker, own in zip(("patient", "investigator", "all"), masks, strict=True):
                if own.sum() < 120:
                    continue
                assert found[speaker] == pytest.approx(spread_by_scipy(coefficients, own), abs=1e-3)

    def test_frames_that_are_equal_have_no_shape(self):
        period = white(0.01)
        found = compute(np.tile(period, 200), MFCC_SPREAD)["all"]
        assert found["mfcc_skewness"] == found["mfcc_kurtosis"] == Undefined.ZERO_DENOMINATOR
        assert found["mfcc_1_sd"] == pytest.approx(0, abs=1e-2)
        assert found["mfcc_delta_sd"] == pytest.approx(0, abs=1e-2)

    def test_narrow_equals_librosa(self):
        for samples in voices().values():
            expected = mfcc_by_librosa(samples, 30, 3_800).mean(axis=1)
            found = compute(samples, MFCC_NARROW)["all"]
            np.testing.assert_allclose(list(found.values()), expected, atol=1e-3)

    def test_narrow_is_the_same_of_a_telephone_s_rate(self):
        samples = voices()["en-us+m4"]
        wide = compute(samples, MFCC_NARROW)["all"]
        narrow = compute(soxr.resample(samples, 16_000, 8_000), MFCC_NARROW, MFCC, rate=8_000)["all"]
        # The filter before the sampling removes the band from 3,650 Hz up.
        np.testing.assert_allclose([narrow[name] for name in wide], list(wide.values()), atol=6)
        assert narrow["mfcc_1"] == Undefined.NARROWBAND
