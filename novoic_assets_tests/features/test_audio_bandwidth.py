"""The effective bandwidth of all kinds of wideband speech, of telephones and of codecs."""

from functools import cache

import numpy as np
import pytest
import scipy.signal
import soxr

from novoic_assets.features.audio.bandwidth import WIDEBAND_HZ
from novoic_assets.features.audio.mfcc import MFCC
from novoic_assets.features.audio.mfcc_narrow import MFCC_NARROW
from novoic_assets.features.audio.recording_facts import RECORDING
from novoic_assets.features.family import Undefined
from novoic_assets_tests.features import speech
from novoic_assets_tests.features.computing import compute, vowel, white


@cache
def voices():
    return [samples.astype(float) for samples in speech.voices().values()]


def at(samples, dbfs):
    return samples / np.sqrt(np.mean(samples**2)) * 10 ** (dbfs / 20)


def low_pass(samples, hz, transition_hz=200, rate=16_000):
    taps, beta = scipy.signal.kaiserord(70, 2 * transition_hz / rate)
    filter_ = scipy.signal.firwin(taps | 1, hz, window=("kaiser", beta), fs=rate)
    return scipy.signal.fftconvolve(samples, filter_, "same")


def telephone(samples):
    """300 to 3,400 Hz at 8 kHz."""
    line = scipy.signal.butter(4, [300, 3_400], "band", fs=16_000, output="sos")
    return soxr.resample(scipy.signal.sosfilt(line, samples), 16_000, 8_000)


def room(samples, snr_db, poles, seed=1):
    noise = scipy.signal.lfilter([1], poles, white(len(samples) / 16_000, seed=seed))
    level = 10 * np.log10(np.mean(samples**2))
    return samples + at(noise, level - snr_db)[: len(samples)]


def soft(samples):
    """A voice without strong upper partials: 12 dB an octave less above 1.5 kHz."""
    once = scipy.signal.butter(1, 1_500, fs=16_000)
    return scipy.signal.lfilter(*once, scipy.signal.lfilter(*once, samples))


def bandwidths(make, dbfs=-26, rate=16_000, subtype="PCM_16", every=1):
    return np.array(
        [
            compute(at(make(voice), dbfs), RECORDING, rate=rate, subtype=subtype)["all"]["effective_bandwidth"]
            for voice in voices()[::every]
        ]
    )


WIDEBAND = {
    "clean": (lambda voice: voice, -26),
    "quiet": (lambda voice: voice, -55),
    "soft voice": (soft, -45),
    "noise of 6 dB an octave at 10 dB": (lambda voice: room(voice, 10, [1, -0.97]), -26),
    "noise of 12 dB an octave at 10 dB": (lambda voice: room(voice, 10, [1, -1.9, 0.905]), -26),
    "hiss at 20 dB": (lambda voice: room(voice, 20, [1]), -26),
}


@pytest.mark.parametrize("kind", WIDEBAND)
def test_wideband_speech_is_never_called_narrow(kind):
    make, dbfs = WIDEBAND[kind]
    np.testing.assert_array_equal(bandwidths(make, dbfs), 8_000)


@pytest.mark.parametrize("rate", [24_000, 44_100])
def test_the_source_s_rate_is_no_edge(rate):
    # Noise fills the band that the resampling of the voice leaves empty.
    hiss = white(30, -60, rate)

    def make(voice):
        resampled = soxr.resample(at(voice, -26), 16_000, rate)
        return low_pass(resampled, 7_400, rate=rate) + hiss[: len(resampled)]

    np.testing.assert_array_equal(bandwidths(make, rate=rate, every=3), 8_000)


@pytest.mark.parametrize("formants", [(730, 1_090, 2_440), (270, 2_290, 3_010), (300, 870, 2_240)])
@pytest.mark.parametrize("scale", [0.95, 1.17])
def test_a_single_vowel_is_wideband(formants, scale):
    higher = (3_500, 4_500, 5_500, 6_500, 7_500)
    samples = vowel(120 * scale, [scale * hz for hz in (*formants, *higher) if scale * hz < 7_900])
    assert compute(samples, RECORDING)["all"]["effective_bandwidth"] == 8_000


@pytest.mark.parametrize("dbfs", [-26, -50])
@pytest.mark.parametrize(
    ("rate", "subtype"), [(8_000, "PCM_16"), (16_000, "PCM_16"), (44_100, "PCM_16"), (8_000, "ULAW")]
)
def test_telephone_speech(rate, subtype, dbfs):
    found = bandwidths(lambda voice: soxr.resample(telephone(voice), 8_000, rate), dbfs, rate, subtype, 2)
    assert found.min() > 3_400
    assert found.max() <= 4_000


@pytest.mark.parametrize("hz", [4_000, 5_500, 6_500, 7_000])
@pytest.mark.parametrize("is_noisy", [False, True])
def test_the_low_pass_of_a_codec(hz, is_noisy):
    found = bandwidths(lambda voice: low_pass(room(voice, 10, [1, -0.97]) if is_noisy else voice, hz), every=2)
    np.testing.assert_allclose(found, hz, atol=150)


@pytest.mark.parametrize("gain", [0.003, 0.5, 3.0])
def test_gain_moves_nothing(gain):
    for voice in voices()[:4]:
        for samples in (voice, low_pass(voice, 5_500)):
            before, after = (compute(factor * samples, RECORDING)["all"] for factor in (1, gain))
            assert before["effective_bandwidth"] == after["effective_bandwidth"]


@pytest.mark.parametrize(("rate", "expected"), [(8_000, 4_000), (16_000, 8_000), (48_000, 8_000)])
def test_silence_has_half_the_source_s_rate(rate, expected):
    assert compute(np.zeros(rate), RECORDING, rate=rate)["all"]["effective_bandwidth"] == expected


def test_a_telephone_s_values_are_the_narrow_ones():
    values = compute(soxr.resample(telephone(voices()[0]), 8_000, 16_000), MFCC, MFCC_NARROW)["all"]
    assert values["mfcc_1"] == Undefined.NARROWBAND
    assert all(np.isfinite(values[name]) for name in MFCC_NARROW.value_names)
    assert WIDEBAND_HZ == 7_000
