"""How regular a speaker's voice is.

A breathy, rough or unsteady voice repeats itself less exactly from one period to the next. The perturbations here
compare frames of 25 and 40 ms, 10 ms apart. They are not jitter and shimmer, which compare single glottal periods:
these cannot be found in speech that is recorded from a distance. Neighbouring frames overlap, so the values are
smaller.
"""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.blocks import LONGEST_FRAME, Block, cosine_window, squared_magnitude
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.pitch import GREATEST_RATIO, LEAST_FRAMES
from novoic_assets.features.audio.pitch_track import (
    LONGEST_LAG,
    SHORTEST_LAG,
    VOICING_THRESHOLD,
    refined_peak,
    window_autocorrelation,
)
from novoic_assets.features.family import SPEAKERS, Computed, Cost, Speaker, Undefined, Value
from novoic_assets.sessions.recording import SAMPLE_RATE

# Frames that are transformed together: few enough for their arrays to stay in the second-level cache.
_CHUNK: Final = 128
# Neighbouring frames share at least three quarters of their samples, so every second one suffices for a mean.
_EVERY: Final = 2

HNR_FRAME: Final = LONGEST_FRAME
"""75 ms: with a frame of 40 ms, noise at -20 dB would read -25 dB."""
LOWEST_HNR: Final = -30.0
HIGHEST_HNR: Final = 50.0
"""The bounds of a frame's ratio, in dB: float32 cannot distinguish more from a signal without noise."""

_HNR_FFT_LENGTH: Final = 1_536
_HNR_WINDOW: Final = cosine_window((0.5, 0.5), HNR_FRAME)  # Hann
# The interpolation of the autocorrelation uses this many lags on either side, and this many places between two lags. A
# parabola alone is too low by a tenth of a percent at high harmonics, as much as noise at -30 dB.
_SINC_REACH: Final = 10
_SINC_STEPS: Final = 8
_FIRST_LAG: Final = SHORTEST_LAG - _SINC_REACH
_LAST_LAG: Final = LONGEST_LAG + _SINC_REACH
_HNR_WINDOW_FACTOR: Final = 1 / window_autocorrelation(_HNR_WINDOW, _LAST_LAG + 1)[_FIRST_LAG:]

# 1 ms, 2.5 ms and 16.7 ms, in samples.
_REGRESSION_FROM: Final = SAMPLE_RATE // 1_000
_PEAK_FROM: Final = SHORTEST_LAG
_QUEFRENCY_END: Final = LONGEST_LAG + 1


def _sinc_kernel() -> NDArray[np.float32]:
    """Weights that interpolate between lags: float32, shape (2 reach + 1, steps + 3), the middle column at offset 0."""
    offset = np.arange(-_SINC_STEPS // 2 - 1, _SINC_STEPS // 2 + 2) / _SINC_STEPS
    distance = offset[None, :] - np.arange(-_SINC_REACH, _SINC_REACH + 1)[:, None]
    taper = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / (_SINC_REACH + 1), -1, 1))
    kernel: NDArray[np.float32] = (np.sinc(distance) * taper).astype(np.float32)
    return kernel


_SINC_KERNEL: Final = _sinc_kernel()


def harmonicity(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the harmonics-to-noise ratio of frames of 75 ms.

    The ratio is 10 log10(r / (1 - r)). The frame minus its mean is multiplied by a Hann window; r is the highest value
    from 60 to 400 Hz of its autocorrelation divided by that of the window, interpolated by a sinc (Boersma 1993).

    Args:
        frames: float32, shape (n, HNR_FRAME), each with energy.

    Returns:
        float32, shape (n,), in dB from `LOWEST_HNR` to `HIGHEST_HNR`.
    """
    windowed = np.zeros((len(frames), _HNR_FFT_LENGTH), np.float32)
    np.subtract(frames, frames.mean(axis=1, keepdims=True), out=windowed[:, :HNR_FRAME])
    windowed[:, :HNR_FRAME] *= _HNR_WINDOW
    correlation = scipy.fft.dct(squared_magnitude(scipy.fft.rfft(windowed, axis=1)), type=1, axis=1)
    relative = correlation[:, _FIRST_LAG : _LAST_LAG + 1] * _HNR_WINDOW_FACTOR
    peak = relative[:, _SINC_REACH:-_SINC_REACH].argmax(axis=1)
    rows = np.arange(len(frames))
    around = relative[rows[:, None], peak[:, None] + np.arange(2 * _SINC_REACH + 1)]
    fine = around @ _SINC_KERNEL
    highest = fine[:, 1:-1].argmax(axis=1)
    _, height = refined_peak(fine[rows, highest], fine[rows, highest + 1], fine[rows, highest + 2])
    # A constant signal has no energy without its mean.
    energy: NDArray[np.float32] = np.maximum(correlation[:, 0], np.finfo(np.float32).tiny)
    height = height / energy
    # Interpolation may exceed 1, the maximum; fold it back, as Boersma does.
    height = np.where(height > 1, 1 / np.maximum(height, 1), height)
    lowest, greatest = (10 ** (db / 10) / (1 + 10 ** (db / 10)) for db in (LOWEST_HNR, HIGHEST_HNR))
    height = np.clip(height, np.float32(lowest), np.float32(greatest))
    ratio: NDArray[np.float32] = 10 * np.log10(height / (1 - height))
    return ratio


def cepstral_peak_prominence(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cepstral peak prominence of frames.

    It is the highest value of the cepstrum in dB, between 2.5 and 16.7 ms, above the regression line through the
    cepstrum in dB from 1 to 16.7 ms (Hillenbrand, Cleveland & Erickson, "Acoustic correlates of breathy vocal
    quality", JSHR 37, 1994).

    Args:
        power: float32, shape (n, 513): the power spectra, from a transform of 1,024 points.

    Returns:
        float32, shape (n,), in dB.
    """
    tiny = np.float32(np.finfo(np.float32).tiny)
    log_power = np.maximum(power, tiny)
    np.log(log_power, out=log_power)
    cepstrum = scipy.fft.dct(log_power, type=1, axis=1)
    decibels = np.abs(cepstrum[:, _REGRESSION_FROM:_QUEFRENCY_END])
    np.log(np.maximum(decibels, tiny, out=decibels), out=decibels)
    decibels *= np.float32(20 / np.log(10))
    mean = decibels.mean(axis=1)
    slope = decibels @ _REGRESSION
    above_line = (
        decibels[:, _PEAK_FROM - _REGRESSION_FROM :] - slope[:, None] * _QUEFRENCY[_PEAK_FROM - _REGRESSION_FROM :]
    )
    prominence: NDArray[np.float32] = above_line.max(axis=1) - mean
    return prominence


_QUEFRENCY: Final = (np.arange(_REGRESSION_FROM, _QUEFRENCY_END) - (_REGRESSION_FROM + _QUEFRENCY_END - 1) / 2).astype(
    np.float32
)
_REGRESSION: Final = _QUEFRENCY / np.sum(_QUEFRENCY**2)


def local_perturbation(series: NDArray[np.float64], steps: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the differences between neighbours in the same run.

    Args:
        series: float64, shape (frames,).
        steps: bool, shape (frames - 1,): whether a run continues from a frame to the next.

    Returns:
        float64, shape (steps,): their absolute values.

    Example:
        >>> local_perturbation(np.array([1.0, 3.0, 9.0, 8.0]), np.array([True, False, True]))
        array([2., 1.])
    """
    return np.abs(np.diff(series)[steps])


def three_point_perturbation(series: NDArray[np.float64], steps: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the differences between a value and the mean of itself and its two neighbours in the same run.

    Args:
        series: float64, shape (frames,).
        steps: bool, shape (frames - 1,): whether a run continues from a frame to the next.

    Returns:
        float64, shape (triples,): their absolute values.

    Example:
        >>> three_point_perturbation(np.array([1.0, 4.0, 1.0, 8.0]), np.array([True, True, False]))
        array([2.])
    """
    middle = np.flatnonzero(steps[:-1] & steps[1:]) + 1
    return np.abs(2 * series[middle] - series[middle - 1] - series[middle + 1]) / 3


class VoiceQuality:
    """Accumulates the harmonicity and cepstral peak of frames, and compares neighbours at the end."""

    def __init__(self, analysis: Analysis) -> None:
        self._tracker = analysis.pitch
        self._level = analysis.frame_levels
        self._hnr: list[NDArray[np.float32]] = []
        self._cpp: list[NDArray[np.float32]] = []
        self._own_hnr: list[NDArray[np.bool_]] = []

    def add(self, block: Block) -> None:
        """Add every second frame of a block, where it may be voiced."""
        # A block has an even number of frames, so these are frames 0, 2, 4, … of the recording.
        periodic = _EVERY * np.flatnonzero(self._tracker.best_strength[::_EVERY] >= VOICING_THRESHOLD)
        hnr = np.full(block.n_frames, np.nan, np.float32)
        cpp = np.full(block.n_frames, np.nan, np.float32)
        frames = block.frames(HNR_FRAME)
        for start in range(0, len(periodic), _CHUNK):
            chunk = periodic[start : start + _CHUNK]
            hnr[chunk] = harmonicity(frames[chunk])
            cpp[chunk] = cepstral_peak_prominence(self._tracker.power[chunk])
        self._hnr.append(hnr)
        self._cpp.append(cpp)
        self._own_hnr.append(block.own(HNR_FRAME))

    def values(self, speaker: Speaker) -> Computed:
        """Return the speaker's six values."""
        row = SPEAKERS.index(speaker)
        track = self._tracker.track()
        own = track.own[row]
        steps = track.steps(own, GREATEST_RATIO)
        voiced = track.voiced & own
        own_hnr = np.concatenate(self._own_hnr, axis=1)[row]
        period = np.divide(1, track.f0_hz, out=np.zeros(len(voiced)), where=voiced)
        level = self._level.dbfs().astype(np.float64)
        amplitude = 10 ** (level / 20)
        return [
            _mean(np.concatenate(self._hnr)[voiced & own_hnr]),
            _mean(np.concatenate(self._cpp)[voiced]),
            _percent(local_perturbation(period, steps), period[voiced]),
            _percent(three_point_perturbation(period, steps), period[voiced]),
            _mean(local_perturbation(level, steps)),
            _percent(three_point_perturbation(amplitude, steps), amplitude[voiced]),
        ]


def _mean(found: NDArray[np.floating]) -> float | Undefined:
    """The mean of the finite numbers."""
    found = found[np.isfinite(found)]
    return float(found.mean(dtype=np.float64)) if len(found) >= LEAST_FRAMES else Undefined.TOO_SHORT


def _percent(differences: NDArray[np.float64], series: NDArray[np.float64]) -> float | Undefined:
    """The mean difference, in percent of the mean of the series."""
    if len(differences) < LEAST_FRAMES:
        return Undefined.TOO_SHORT
    return float(100 * differences.mean() / series.mean())


_VOICED: Final = f"every second frame, where it is voiced with a candidate of strength {VOICING_THRESHOLD} or more,"
_IN_RUNS: Final = f"of the same voiced run (neighbouring periods have a ratio of at most {GREATEST_RATIO})"
_PRAAT: Final = "of frames, not of glottal periods as in Praat"

VOICE_QUALITY: Final = AudioFamily(
    name="voice_quality",
    version="1",
    cost=Cost(session=1e-3, second=0.0004),
    description="How regular the voice is: harmonics against noise, and the unsteadiness of pitch and level from one"
    " frame to the next.",
    members=tuple(
        Value(
            name=name,
            unit=unit,
            formula=formula,
            source=source,
            typical=typical,
            undefined=(Undefined.TOO_SHORT,),
            least=f"{LEAST_FRAMES} {least}",
        )
        for name, unit, formula, source, typical, least in (
            (
                "hnr_mean",
                "dB",
                (
                    f"mean over {_VOICED} of 10 log10(r / (1 - r)), held from {LOWEST_HNR:g} to {HIGHEST_HNR:g}; r the"
                    " highest normalised autocorrelation of 75 ms under a Hann window from 60 to 400 Hz"
                ),
                "Boersma 1993",
                (5.0, 20.0),
                "voiced frames of 75 ms",
            ),
            (
                "cpp",
                "dB",
                (
                    f"mean over {_VOICED} of the cepstrum's highest value in dB from 2.5 to 16.7 ms above its"
                    " regression line from 1 to 16.7 ms (40 ms Hann, 1,024-point FFT)"
                ),
                "Hillenbrand, Cleveland & Erickson 1994",
                (15.0, 25.0),
                "voiced frames",
            ),
            (
                "f0_frame_perturbation_local",
                "%",
                f"mean |T[i+1] - T[i]| over neighbours {_IN_RUNS} / mean T over voiced frames, T the period",
                f"after local jitter; {_PRAAT}",
                (0.5, 4.0),
                "pairs of voiced frames",
            ),
            (
                "f0_frame_perturbation_rap",
                "%",
                f"mean |T[i] - (T[i-1] + T[i] + T[i+1]) / 3| over neighbours {_IN_RUNS} / mean T over voiced frames",
                f"after the relative average perturbation (Koike 1973); {_PRAAT}",
                (0.1, 1.5),
                "triples of voiced frames",
            ),
            (
                "level_frame_perturbation_local",
                "dB",
                f"mean |L[i+1] - L[i]| over neighbours {_IN_RUNS}, L the level of 25 ms above 94 Hz",
                f"after local shimmer in dB; {_PRAAT}",
                (0.5, 3.0),
                "pairs of voiced frames",
            ),
            (
                "level_frame_perturbation_apq3",
                "%",
                (
                    f"mean |A[i] - (A[i-1] + A[i] + A[i+1]) / 3| over neighbours {_IN_RUNS} / mean A over voiced"
                    " frames, A = 10^(L/20)"
                ),
                f"after the three-point amplitude perturbation quotient; {_PRAAT}",
                (1.0, 12.0),
                "triples of voiced frames",
            ),
        )
    ),
    accumulator=VoiceQuality,
)
