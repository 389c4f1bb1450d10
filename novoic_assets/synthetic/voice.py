"""Speech-like sound for words: glottal pulses and noise, shaped by formants.

The source (a train of pulses, and noise for breath and fricatives) is cut into overlapping frames of 20 ms. The
spectrum of each frame is multiplied by that of a sum of damped sinusoids, one for each formant, whose frequencies glide
from sound to sound. The frames are then added up. The result is not natural speech, but it has pitch, loudness, vowels
and consonants where the transcript says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from novoic_assets.synthetic.people import Voice
from novoic_assets.synthetic.pronunciation import pronounce

FRAMES_PER_SECOND = 100  # a frame is two hops long
RAMP_SECONDS = 0.004  # at either end of a part, against clicks
GLIDE_SECONDS = 0.006  # between the loudnesses of two sounds
HIGH_FORMANTS = (3500.0, 4500.0)  # Hz, the same for every sound
FORMANT_HALF_WIDTHS = np.array([35.0, 45.0, 65.0, 100.0, 130.0], np.float32)  # Hz
TILT_REFERENCE = 500.0  # Hz, where the spectral tilt neither raises nor lowers a formant
BREATH_CORNER = 1500.0  # Hz, above which breath noise is as strong as its formants allow
F0_LIMITS = (60.0, 400.0)  # Hz

Samples = NDArray[np.float32]
Spectra = NDArray[np.complex64]


@dataclass(frozen=True)
class Phone:
    """A sound.

    Attributes:
        seconds: Usual length in s.
        formants: The first three formants of an average man in Hz.
        voicing: Amplitude of the voice; about 1 in a vowel.
        noise: Amplitude of the noise, on the same scale.
        band: Centre and half-width of the noise's band in Hz; None for noise that passes through the formants.
    """

    seconds: float
    formants: tuple[float, float, float]
    voicing: float
    noise: float = 0.0
    band: tuple[float, float] | None = None


PHONES: dict[str, Phone] = {
    "iy": Phone(0.110, (300, 2250, 2950), 1.0),
    "ih": Phone(0.080, (400, 1950, 2550), 1.0),
    "eh": Phone(0.090, (540, 1800, 2450), 1.0),
    "ae": Phone(0.110, (670, 1700, 2400), 1.0),
    "aa": Phone(0.110, (730, 1120, 2450), 1.0),
    "ao": Phone(0.115, (580, 860, 2420), 1.0),
    "uh": Phone(0.080, (450, 1050, 2250), 1.0),
    "uw": Phone(0.110, (320, 900, 2250), 0.9),
    "ah": Phone(0.085, (620, 1200, 2400), 1.0),
    "er": Phone(0.110, (490, 1350, 1700), 0.9),
    "m": Phone(0.070, (280, 1000, 2200), 0.45),
    "n": Phone(0.065, (280, 1500, 2500), 0.45),
    "ng": Phone(0.075, (280, 2000, 2700), 0.45),
    "l": Phone(0.065, (360, 1200, 2700), 0.6),
    "r": Phone(0.065, (400, 1200, 1600), 0.6),
    "w": Phone(0.060, (300, 700, 2200), 0.5),
    "s": Phone(0.095, (350, 1700, 2600), 0.0, 0.25, (6000, 1500)),
    "sh": Phone(0.095, (350, 1900, 2600), 0.0, 0.25, (3200, 1000)),
    "f": Phone(0.085, (350, 1000, 2300), 0.0, 0.12, (5000, 3500)),
    "th": Phone(0.075, (350, 1400, 2500), 0.0, 0.12, (5500, 2500)),
    "hh": Phone(0.060, (500, 1400, 2400), 0.0, 0.20),
    "z": Phone(0.080, (320, 1700, 2600), 0.30, 0.15, (6000, 1500)),
    "zh": Phone(0.075, (320, 1900, 2600), 0.30, 0.15, (3200, 1000)),
    "v": Phone(0.065, (320, 1000, 2300), 0.35, 0.06, (5000, 3500)),
    "dh": Phone(0.050, (320, 1400, 2500), 0.40, 0.05, (5500, 2500)),
    "p-": Phone(0.050, (350, 900, 2200), 0.0),
    "t-": Phone(0.045, (350, 1700, 2600), 0.0),
    "k-": Phone(0.050, (350, 2000, 2500), 0.0),
    "b-": Phone(0.045, (250, 900, 2200), 0.08),
    "d-": Phone(0.040, (250, 1700, 2600), 0.08),
    "g-": Phone(0.045, (250, 2000, 2500), 0.08),
    "p": Phone(0.035, (400, 900, 2200), 0.0, 0.25, (1200, 800)),
    "t": Phone(0.040, (400, 1700, 2600), 0.0, 0.25, (4200, 1500)),
    "k": Phone(0.040, (400, 2000, 2500), 0.0, 0.25, (2000, 700)),
    "b": Phone(0.025, (350, 900, 2200), 0.40, 0.15, (1200, 800)),
    "d": Phone(0.025, (350, 1700, 2600), 0.40, 0.15, (4200, 1500)),
    "g": Phone(0.025, (350, 2000, 2500), 0.40, 0.15, (2000, 700)),
}
_NAMES = list(PHONES)
_FORMANTS = np.array([phone.formants for phone in PHONES.values()])  # (phones, 3) Hz
_VOICING = np.array([phone.voicing for phone in PHONES.values()])  # (phones,)
_NOISE = np.array([phone.noise for phone in PHONES.values()])  # (phones,)
_HAS_BAND = np.array([phone.band is not None for phone in PHONES.values()])  # (phones,)
_SECONDS = np.array([phone.seconds for phone in PHONES.values()])  # (phones,) s


@lru_cache(maxsize=8)
def _frequencies(sample_rate: int) -> Samples:
    """The frequencies of a frame's spectrum in Hz. A frame is padded to four hops, as formants ring on after it."""
    hop = sample_rate // FRAMES_PER_SECOND
    return np.fft.rfftfreq(4 * hop, 1 / sample_rate).astype(np.float32)


@lru_cache(maxsize=8)
def _bands(sample_rate: int) -> Samples:
    """The amplitude of each sound's noise band over frequency, of unit RMS: shape (phones, frequencies)."""
    frequencies = _frequencies(sample_rate)
    bands = np.ones((len(PHONES), len(frequencies)), np.float32)
    for i, phone in enumerate(PHONES.values()):
        if phone.band is not None:
            centre = min(phone.band[0], 0.4 * sample_rate)
            bands[i] = np.exp(-0.5 * ((frequencies - centre) / phone.band[1]) ** 2)
    return _unit_rms(bands)


def _unit_rms(spectra: Samples) -> Samples:
    unit: Samples = spectra / np.sqrt(np.mean(spectra**2, axis=-1, keepdims=True))
    return unit


def _lay_out(words: Sequence[str], durations: Sequence[int], size: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Place the sounds of words in time.

    Args:
        words: Words and punctuation.
        durations: Length of each in ms.
        size: Total length in samples.

    Returns:
        The index in `PHONES` of each sound, shape (sounds,), and the edges between them in samples, shape
        (sounds + 1,), from 0 to `size`.
    """
    phones: list[int] = []
    lengths: list[NDArray[np.float64]] = []
    for word, duration in zip(words, durations, strict=True):
        indices = [_NAMES.index(phone) for phone in pronounce(word)]
        if not phones and indices and _NAMES[indices[0]].endswith("-"):
            indices = indices[1:]  # a closure at the very start would sound like a late start
        if indices:
            weights = _SECONDS[indices]
            phones += indices
            lengths.append(duration * weights / weights.sum())
    edges = np.concatenate([[0.0], np.cumsum(np.concatenate(lengths))])
    return np.array(phones), edges * (size / edges[-1])


def _pulses(
    centres: NDArray[np.float64], size: int, voice: Voice, sample_rate: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Time the glottal pulses: a falling pitch with an accent on each sound, and jitter.

    Args:
        centres: Middles of the sounds in samples, shape (sounds,).
        size: Length in samples.
        voice: The voice.
        sample_rate: Sample rate in Hz.
        rng: Source of randomness.

    Returns:
        Times of the pulses in samples and their amplitudes, for unit power, both of shape (pulses,).
    """
    ticks = np.arange(0.0, size + sample_rate / FRAMES_PER_SECOND, sample_rate / FRAMES_PER_SECOND)
    accents = np.interp(ticks, centres, 0.7 * rng.standard_normal(len(centres)))
    semitones = voice.f0_range * (accents + np.linspace(0.8, -0.8, len(ticks)))
    f0 = np.clip(voice.f0 * 2 ** (semitones / 12), *F0_LIMITS)
    cycles = np.concatenate([[0.0], np.cumsum(f0[:-1] / FRAMES_PER_SECOND)])
    times = np.interp(np.arange(0.1, cycles[-1]), cycles, ticks)  # the first pulse a tenth of a period after the start
    periods = sample_rate / np.interp(times, ticks, f0)
    times += voice.jitter * periods * rng.standard_normal(len(times))
    amplitudes = np.sqrt(periods) * (1 + voice.shimmer * rng.standard_normal(len(times)))
    inside = (times >= 0) & (times < size - 1)
    return times[inside], amplitudes[inside]


def _formant_spectra(formants: NDArray[np.float64], voice: Voice, sample_rate: int) -> Spectra:
    """The spectra of sums of damped sinusoids, of unit RMS.

    Args:
        formants: Frequencies in Hz for an average man, shape (frames, 5).
        voice: The voice whose vocal tract and spectral tilt apply.
        sample_rate: Sample rate in Hz. Formants above half of it are left out.

    Returns:
        Complex spectra, shape (frames, frequencies).
    """
    frequencies = _frequencies(sample_rate)
    scaled = (voice.formant_scale * formants).astype(np.float32)
    amplitudes = 10 ** (voice.tilt * np.log2(scaled / TILT_REFERENCE) / 20)
    spectra = np.zeros((len(formants), len(frequencies)), np.complex64)
    for k, half_width in enumerate(FORMANT_HALF_WIDTHS):
        centre = scaled[:, k, None]
        # Neighbours of opposite sign add up between their peaks instead of cancelling out.
        sign = 1 if k % 2 == 0 else -1
        amplitude = np.where(centre < sample_rate / 2, sign * half_width * amplitudes[:, k, None], 0)
        spectra += amplitude.astype(np.float32) / (half_width + np.complex64(1j) * (frequencies - centre))
    spectra[:, 0] = 0  # no constant offset
    power = np.mean(spectra.real**2 + spectra.imag**2, axis=1, keepdims=True)
    unit: Spectra = spectra / np.sqrt(power)
    return unit


def _frames(signal: Samples, hop: int, count: int) -> Spectra:
    """Spectra of Hann-windowed frames, two hops long and padded to four. Frame k is centred on hop k."""
    padded = np.zeros((count + 1) * hop, np.float32)
    padded[hop : hop + len(signal)] = signal
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
    hann = (0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)).astype(np.float32)
    return np.fft.rfft(windows * hann, 4 * hop).astype(np.complex64, copy=False)


def say(
    words: Sequence[str],
    durations: Sequence[int],
    size: int,
    voice: Voice,
    channel: Samples,
    sample_rate: int,
    rng: np.random.Generator,
) -> Samples:
    """Speak words without a break, audible from the first sample to the last.

    Args:
        words: Words and punctuation; at least one word.
        durations: Length of each in ms; they are scaled to fit `size`.
        size: Length in samples.
        voice: The speaker's voice.
        channel: Gain of the recording over frequency, from `draw_channel`.
        sample_rate: Sample rate in Hz.
        rng: Source of randomness.

    Returns:
        Samples relative to full scale, shape (size,), with the RMS level of the voice.
    """
    phones, edges = _lay_out(words, durations, size)
    centres = (edges[:-1] + edges[1:]) / 2
    hop = sample_rate // FRAMES_PER_SECOND
    count = -(-size // hop) + 1
    frame_times = hop * np.arange(count)

    glide = np.minimum(GLIDE_SECONDS * sample_rate, 0.5 * np.diff(edges)) / 2
    knots = np.stack([edges[:-1] + glide, edges[1:] - glide], axis=1).ravel()
    times, amplitudes = _pulses(centres, size, voice, sample_rate, rng)
    amplitudes *= np.interp(times, knots, np.repeat(_VOICING[phones], 2))
    whole = times.astype(np.intp)
    part = times - whole
    pulses = np.bincount(whole, amplitudes * (1 - part), size) + np.bincount(whole + 1, amplitudes * part, size)

    breath = 10 ** (voice.breath / 20)
    loudness = np.maximum(_NOISE[phones], breath * _VOICING[phones])
    noise = rng.standard_normal(size, np.float32)
    noise *= np.interp(np.arange(size), knots, np.repeat(loudness, 2)).astype(np.float32)

    formants = np.empty((count, 5))
    for k in range(3):
        formants[:, k] = np.interp(frame_times, centres, _FORMANTS[phones, k])
    formants[:, 3:] = HIGH_FORMANTS
    tract = _formant_spectra(formants, voice, sample_rate)

    at_frame = phones[np.clip(np.searchsorted(edges, frame_times, side="right") - 1, 0, len(phones) - 1)]
    frequencies = _frequencies(sample_rate)
    noise_shape = tract * (frequencies / (frequencies + np.float32(BREATH_CORNER)))
    has_band = _HAS_BAND[at_frame]
    noise_shape[has_band] = _bands(sample_rate)[at_frame[has_band]]

    spectra = _frames(pulses.astype(np.float32), hop, count) * tract + _frames(noise, hop, count) * noise_shape
    shaped = np.fft.irfft(spectra * channel, 4 * hop)
    hops = np.zeros((count + 3, hop), np.float32)
    for i in range(4):
        hops[i : i + count] += shaped[:, i * hop : (i + 1) * hop]
    sound = hops.ravel()[hop : hop + size]

    sound *= np.float32(10 ** (voice.level / 20)) / np.sqrt(np.mean(sound**2))
    ramp = np.linspace(0, 1, round(RAMP_SECONDS * sample_rate), dtype=np.float32)
    sound[: len(ramp)] *= ramp
    sound[-len(ramp) :] *= ramp[::-1]
    return sound


def draw_channel(sample_rate: int, rng: np.random.Generator) -> Samples:
    """Draw a recording's microphone and room: a smooth gain over frequency, the same for all its speakers.

    Args:
        sample_rate: Sample rate in Hz.
        rng: Source of randomness.

    Returns:
        Gains, shape (frequencies,).
    """
    ripples = rng.normal(0.0, (1.6, 1.0, 0.7))  # dB
    position = np.log2(1 + _frequencies(sample_rate) / 500)
    decibels = sum(ripple * np.cos(np.pi * (k + 1) * position / 5) for k, ripple in enumerate(ripples))
    return (10 ** (np.asarray(decibels) / 20)).astype(np.float32)
