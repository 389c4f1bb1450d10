"""Voice quality: against signals of known noise and unsteadiness, plain algorithms, and Praat on real speech."""

import hypothesis.extra.numpy as arrays
import numpy as np
import opensmile
import parselmouth
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal.windows import hann
from scipy.stats import spearmanr

from novoic_assets.features.audio.pitch import PITCH
from novoic_assets.features.audio.pitch_track import HIGHEST_HZ, LOWEST_HZ, VOICING_THRESHOLD
from novoic_assets.features.audio.voice_quality import (
    HIGHEST_HNR,
    HNR_FRAME,
    VOICE_QUALITY,
    cepstral_peak_prominence,
    harmonicity,
    local_perturbation,
    three_point_perturbation,
)
from novoic_assets.features.family import Status, Undefined
from novoic_assets.sessions.recording import SAMPLE_RATE
from novoic_assets_tests.features.speech import espeak_voices, recordings, voices
from novoic_assets_tests.features.test_audio_frames import turns_of
from novoic_assets_tests.features.test_audio_pitch import (
    NOBODY,
    constant,
    features,
    pitch_track,
    praat_sound,
    room,
    voice,
)


def quality(samples, turns=NOBODY, speaker="all"):
    return features(VOICE_QUALITY, samples, turns, speaker)[0]


@pytest.mark.parametrize("hz", [80, 123.4, 217, 330])
def test_the_hnr_is_the_snr(hz):
    for snr_db in (0, 5, 10, 15, 20, 25, 30):
        assert quality(voice(constant(hz, 2), snr_db=snr_db))["hnr_mean"] == pytest.approx(snr_db, abs=0.8)


def test_a_voice_without_noise_has_an_hnr_all_the_same():
    tone = 0.3 * np.sin(2 * np.pi * 100 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE)
    assert 40 < quality(tone)["hnr_mean"] <= HIGHEST_HNR


def test_the_cpp_falls_with_noise():
    cpp = [quality(voice(constant(140, 2), snr_db=snr_db))["cpp"] for snr_db in (40, 30, 20, 10, 0)]
    assert all(np.diff(cpp) < -0.2)


def unsteady(percent, frequency_hz=8.0):
    """A voice whose pitch wavers up and down by `percent`: the change from frame to frame grows in proportion."""
    time = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    return voice(150 * (1 + percent / 100 * np.sin(2 * np.pi * frequency_hz * time)))


def pulses(percent, seed=0):
    """Pulses whose periods vary at random by `percent`."""
    periods = 1 / 125 * (1 + percent / 100 * np.random.default_rng(seed).normal(size=400))
    times = np.cumsum(periods) * SAMPLE_RATE
    signal = np.zeros(int(times[-1]) + SAMPLE_RATE // 10)
    decay = np.exp(-np.arange(200) / 30) * np.cos(2 * np.pi * 600 * np.arange(200) / SAMPLE_RATE)
    for time in times.astype(int):
        signal[time : time + len(decay)] += 0.3 * decay
    return signal.astype(np.float32) + room(len(signal) / SAMPLE_RATE)[: len(signal)]


def test_the_perturbation_of_pitch_grows_with_that_of_the_pulses():
    found = [quality(pulses(percent)) for percent in (0, 0.5, 1, 2, 4)]
    for name in ("f0_frame_perturbation_local", "f0_frame_perturbation_rap"):
        values = [each[name] for each in found]
        assert all(np.diff(values) > 0)
        assert values[0] < 0.2


def test_the_perturbation_of_pitch_is_that_of_the_wavering():
    # A sine's mean absolute change per frame is 4 A f times the step between frames.
    values = quality(unsteady(2, frequency_hz=3.0))
    assert values["f0_frame_perturbation_local"] == pytest.approx(4 * 2 * 3.0 * 0.01, rel=0.1)


def test_the_perturbation_of_level_grows_with_that_of_the_amplitude():
    slow = np.repeat(np.random.default_rng(0).normal(size=100), 480)
    found = [
        quality(voice(constant(150, 3)) * (1 + share * np.tanh(slow)).astype(np.float32))
        for share in (0, 0.05, 0.1, 0.2, 0.4)
    ]
    for name in ("level_frame_perturbation_local", "level_frame_perturbation_apq3"):
        assert all(np.diff([each[name] for each in found]) > 0)
        assert found[0][name] < 1


def test_no_perturbation_crosses_the_edge_of_a_turn():
    # Two voices, a semitone and 6 dB apart, alternate every 0.2 s: each voice alone is steady.
    parts = [gain * voice(constant(hz, 0.2)) for hz, gain in [(150, 1.0), (159, 0.5)] * 10]
    segments = [(0.2 * i, 0.2 * (i + 1), "patient" if i % 2 == 0 else "investigator") for i in range(20)]
    signal = np.concatenate(parts)
    everybody = quality(signal)
    for speaker in ("patient", "investigator"):
        own = quality(signal, turns_of(*segments), speaker)
        assert own["f0_frame_perturbation_local"] < 0.05 < everybody["f0_frame_perturbation_local"]
        assert own["level_frame_perturbation_local"] < 0.1 < everybody["level_frame_perturbation_local"]


def test_too_little_voice_has_a_reason():
    for signal in (np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE), voice(constant(150, 0.15))):
        _, values = features(VOICE_QUALITY, signal)
        assert values.status == Status.PARTIAL
        assert values.reasons == (Undefined.TOO_SHORT,) * len(VOICE_QUALITY.members)


_STEPS = arrays.arrays(np.bool_, st.integers(2, 80))


@given(_STEPS)
def test_perturbations_are_those_of_a_loop(steps):
    series = np.random.default_rng(len(steps)).normal(size=len(steps) + 1)
    neighbours = [abs(series[i + 1] - series[i]) for i in range(len(steps)) if steps[i]]
    triples = [
        abs(series[i] - np.mean(series[i - 1 : i + 2])) for i in range(1, len(steps)) if steps[i - 1] and steps[i]
    ]
    np.testing.assert_allclose(local_perturbation(series, steps), neighbours, rtol=1e-12)
    np.testing.assert_allclose(three_point_perturbation(series, steps), triples, rtol=1e-9, atol=1e-12)


def plain_cpp(frame):
    """The cepstral peak prominence of 640 samples, in float64 and with a fitted line."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(640) / 640)
    spectrum = np.abs(np.fft.fft((frame - frame.mean()) * window, 1_024))
    cepstrum = 20 * np.log10(np.abs(np.fft.ifft(20 * np.log10(spectrum))))
    quefrency_ms = np.arange(1_024) / 16
    fitted = (quefrency_ms >= 1) & (quefrency_ms <= 16.7)
    line = np.polyval(np.polyfit(quefrency_ms[fitted], cepstrum[fitted], 1), quefrency_ms)
    sought = fitted & (quefrency_ms >= 2.5)
    return np.max((cepstrum - line)[sought])


def test_cpp_is_that_of_a_plain_implementation():
    for samples in list(voices().values())[::6]:
        track = pitch_track(samples)
        frames = np.flatnonzero(track.voiced & (track.strength >= VOICING_THRESHOLD))
        frames = [samples[160 * k - 120 : 160 * k + 520].astype(float) for k in frames[frames % 2 == 0]]
        # SciPy's Hann window.
        windowed = [(frame - frame.mean()) * hann(640, sym=False) for frame in frames]
        power = np.abs(np.fft.rfft(windowed, 1_024)) ** 2
        plain = [plain_cpp(frame) for frame in frames]
        np.testing.assert_allclose(cepstral_peak_prominence(power.astype(np.float32)), plain, atol=0.05)
        # In a few frames the best candidate is strong enough, but the path takes a weaker one.
        assert quality(samples)["cpp"] == pytest.approx(np.mean(plain), abs=0.2)


def praat_hnr(samples):
    """Praat's harmonicity of our frames with our settings, NaN if Praat finds none: frame numbers and dB."""
    # Praat's Gaussian window is twice as long as its nominal length, 4.5 periods of 60 Hz.
    found = praat_sound(samples, window=2_400).to_harmonicity_ac(0.01, LOWEST_HZ, 0.1, 4.5)
    frames = (found.xs() * SAMPLE_RATE - 200) / 160
    np.testing.assert_allclose(frames, np.rint(frames), atol=1e-3)
    return np.rint(frames).astype(int), np.where(found.values[0] < -199, np.nan, found.values[0])


def common_hnr(samples):
    """The HNR here and in Praat, of frames voiced in both: two arrays in dB."""
    track = pitch_track(samples)
    numbers, praat_db = praat_hnr(samples)
    common = track.voiced[numbers] & (track.strength[numbers] >= VOICING_THRESHOLD) & np.isfinite(praat_db)
    centres = 160 * numbers[common] + 200
    half = HNR_FRAME // 2
    frames = np.stack([samples[centre - half : centre + half] for centre in centres])
    return harmonicity(frames), praat_db[common]


def test_hnr_agrees_with_praat():
    ours, praats = zip(*[common_hnr(samples[32_000:64_000]) for samples in espeak_voices().values()], strict=True)
    for own, praat in zip(ours, praats, strict=True):
        assert np.mean(own) == pytest.approx(np.mean(praat), abs=0.5)
        assert np.corrcoef(own, praat)[0, 1] > 0.95
    assert np.mean(np.concatenate(ours)) == pytest.approx(np.mean(np.concatenate(praats)), abs=0.2)


def test_hnr_of_real_speech_agrees_with_praat():
    for samples in recordings().values():
        own, praat = common_hnr(samples)
        assert np.mean(own) == pytest.approx(np.mean(praat), abs=0.5)
        assert np.corrcoef(own, praat)[0, 1] > 0.95


def praat_cpps(samples):
    """Praat's smoothed cepstral peak prominence of the complete recording, in dB."""
    cepstrogram = parselmouth.praat.call(
        parselmouth.Sound(samples.astype(float), SAMPLE_RATE), "To PowerCepstrogram", LOWEST_HZ, 0.01, 8_000, 0.001
    )
    smoothing = (False, 0.01, 0.0005)
    peak = (LOWEST_HZ, HIGHEST_HZ, 0.05, "Parabolic")
    line = (0.001, 0.0167, "Straight", "Least squares")
    return parselmouth.praat.call(cepstrogram, "Get CPPS", *smoothing, *peak, *line)


def test_cpp_ranks_voices_and_noise_as_praats_cpps_does():
    own, praat = [], []
    for seed, speech in enumerate(espeak_voices().values()):
        for snr_db in (40, 15):
            noise = np.random.default_rng(seed).normal(size=2 * SAMPLE_RATE)
            part = speech[2 * SAMPLE_RATE : 4 * SAMPLE_RATE].astype(float)
            noisy = (part + noise * np.sqrt(np.mean(part**2)) * 10 ** (-snr_db / 20)).astype(np.float32)
            own.append(quality(noisy)["cpp"])
            praat.append(praat_cpps(noisy))
    assert spearmanr(own, praat).statistic > 0.8
    assert spearmanr(own[::2], praat[::2]).statistic > 0.7


@pytest.mark.slow
def test_pitch_and_its_unsteadiness_rank_voices_as_opensmile_does():
    egemaps = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    names = ["F0semitoneFrom27.5Hz_sma3nz_percentile50.0", "HNRdBACF_sma3nz_amean", "jitterLocal_sma3nz_amean"]
    theirs = np.array(
        [egemaps.process_signal(each, SAMPLE_RATE)[names].to_numpy()[0] for each in espeak_voices().values()]
    )
    own = np.array(
        [
            [features(PITCH, each)[0]["f0_median"], by_name["hnr_mean"], by_name["f0_frame_perturbation_local"]]
            for each in espeak_voices().values()
            for by_name in [quality(each)]
        ]
    )
    assert np.median(np.abs(own[:, 0] - theirs[:, 0])) < 0.2
    for column, least in enumerate((0.95, 0.6, 0.5)):
        assert spearmanr(own[:, column], theirs[:, column]).statistic > least


def test_speech_lies_in_the_typical_ranges():
    for samples in voices().values():
        by_name = quality(samples)
        for value in VOICE_QUALITY.members:
            low, high = value.typical
            assert low <= by_name[value.name] <= high
