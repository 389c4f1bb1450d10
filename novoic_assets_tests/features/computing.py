"""Computes audio families for signals that a test makes."""

import io

import numpy as np
import soundfile
from scipy.signal import lfilter

from novoic_assets.features.audio.session import audio_features
from novoic_assets.sessions.recording import SAMPLE_RATE
from novoic_assets_tests.features.test_audio_frames import turns_of


def wav_of(samples, rate=SAMPLE_RATE, subtype="FLOAT", form="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def compute(samples, *families, turns=None, rate=SAMPLE_RATE, subtype="FLOAT"):
    """One dictionary for each speaker: by name a value, or why it is undefined (the status if all are undefined)."""
    result = audio_features(io.BytesIO(wav_of(samples, rate, subtype)), turns or turns_of(), families)
    by_speaker = {}
    for family in families:
        for speaker, values in result.values[family.name].items():
            reasons = values.reasons or [values.status if np.isnan(item) else None for item in values.vector]
            named = zip(family.value_names, values.vector, reasons, strict=True)
            by_speaker.setdefault(speaker, {}).update(
                {name: float(item) if reason is None else reason for name, item, reason in named}
            )
    return by_speaker


def white(seconds, dbfs=-20.0, rate=SAMPLE_RATE, seed=0):
    samples = np.random.default_rng(seed).normal(0, 1, round(seconds * rate))
    return samples / np.sqrt(np.mean(samples**2)) * 10 ** (dbfs / 20)


def vowel(f0, formants, seconds=2.0, glide=1.0, bandwidths=(60, 90, 120, 130, 150, 180, 200, 220), seed=0, dbfs=-20.0):
    """A pulse train, softened like a voice's, through resonators in cascade, with white noise 60 dB below it.

    Its pitch rises from `f0 / glide` to `f0 * glide`.
    """
    rng = np.random.default_rng(seed)
    samples = np.zeros(round(seconds * SAMPLE_RATE))
    time = 10.0
    while time < len(samples) - 1:
        index, fraction = int(time), time % 1
        samples[index] += 1 - fraction
        samples[index + 1] += fraction
        time += SAMPLE_RATE / f0 * glide ** (1 - 2 * time / len(samples)) * (1 + 0.005 * rng.normal())
    samples = lfilter([1, -1], [1, -1.94, 0.9409], samples)
    for hz, bandwidth in zip(formants, bandwidths, strict=False):
        radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
        poles = [1, -2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE), radius**2]
        samples = lfilter([sum(poles)], poles, samples)
    samples *= 10 ** (dbfs / 20) / np.sqrt(np.mean(samples**2))
    return samples + white(seconds, dbfs - 60, seed=seed)
