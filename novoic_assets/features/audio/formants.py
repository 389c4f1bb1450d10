"""The resonances of the vocal tract: the lowest three formants of voiced frames.

The method is linear prediction of order 12 up to 5,000 Hz, as for a signal sampled at 10 kHz. The signal is not
resampled: its autocorrelation comes from the bins of the power spectrum up to 5,000 Hz (selective linear prediction,
J. Makhoul, IEEE Trans. ASSP 23(3), 1975), with pre-emphasis as a weight of the bins. A formant is a pole of the
prediction whose bandwidth is below 400 Hz.

Voicing is known only after the last block. So the autocorrelation of every second frame is kept, and the poles of
voiced frames are searched at the end.
"""

from functools import cached_property
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.blocks import FFT_LENGTH, Block
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.track import Track
from novoic_assets.features.family import ALL, SPEAKERS, Computed, Cost, Speaker, Undefined, Value
from novoic_assets.sessions.recording import SAMPLE_RATE

N_FORMANTS: Final = 3
_ORDER: Final = 12
_HIGHEST_HZ: Final = 5_000.0
_LOWEST_FORMANT_HZ: Final = 90.0
_WIDEST_HZ: Final = 400.0
_PREEMPHASIS_HZ: Final = 50.0
_LEAST_FRAMES: Final = 20
# Every second frame of a block is every second frame of the recording, since a block has an even number of frames.
_STEP: Final = 2

_RATE: Final = 2 * _HIGHEST_HZ
_N_BINS: Final = round(_HIGHEST_HZ * FFT_LENGTH / SAMPLE_RATE) + 1
# White noise 90 dB below the signal, so that a predictor exists also for a pure tone.
_CORRECTION: Final = 1 + 1e-9
# Frames whose poles are searched together: enough for the work to outweigh the calls.
_CHUNK: Final = 512

# The search for poles starts from the peaks of 1/|A(z)| on two circles inside the unit circle, one near narrow formants
# and one near wide ones. Two close poles that share a peak on one circle mostly have two peaks on the other.
_CIRCLES: Final = (0.97, 0.9)
_CIRCLE_POINTS: Final = 256
_NEWTON_STEPS: Final = 6
# Newton's method has converged when its last step is below this; two results closer than this are one pole. It is
# 0.2 Hz, the resolution of float32.
_TOLERANCE: Final = 1e-4


class Formants:
    """Keeps the autocorrelation of every second frame, and finds the formants of voiced frames at the end."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._pitch = analysis.pitch
        self._autocorrelation = Track(_ORDER + 1)

    def add(self, block: Block) -> None:
        """Add the frames of a block."""
        autocorrelation = block.power[::_STEP, :_N_BINS].astype(np.float64) @ _TO_AUTOCORRELATION
        # A frame of zeros is nobody's; this only avoids a division by zero.
        autocorrelation /= np.maximum(autocorrelation[:, :1], np.finfo(np.float64).tiny)
        self._autocorrelation.add(autocorrelation.astype(np.float32))

    def values(self, speaker: Speaker) -> Computed:
        """Return the medians of the speaker's lowest three formants, in Hz."""
        frames, formants = self._formants
        formants = formants[self._analysis.masks[SPEAKERS.index(speaker), frames]]
        return [
            float(np.median(found)) if len(found) >= _LEAST_FRAMES else Undefined.TOO_SHORT
            for found in (column[np.isfinite(column)] for column in formants.T)
        ]

    @cached_property
    def _formants(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The voiced ones among every second frame, shape (n,), and their formants in Hz, shape (n, 3)."""
        usable = (self._pitch.track().voiced & self._analysis.masks[SPEAKERS.index(ALL)])[::_STEP]
        wanted = np.flatnonzero(usable)
        formants = np.full((len(wanted), N_FORMANTS), np.nan, np.float32)
        for first in range(0, len(wanted), _CHUNK):
            chunk = slice(first, first + _CHUNK)
            formants[chunk] = find_formants(prediction(self._autocorrelation.rows[wanted[chunk]]))
        return wanted * _STEP, formants


def prediction(autocorrelation: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute prediction error filters by the recursion of Levinson and Durbin.

    Args:
        autocorrelation: Shape (n, order + 1), positive at lag 0.

    Returns:
        The coefficients of A(z) = 1 + a1 z^-1 + ..., shape (order + 1, n).

    Example:
        >>> decaying = np.array([[1.0, 0.5, 0.25]], np.float32)  # x[n] = 0.5 x[n-1] + noise
        >>> prediction(decaying).round(6)
        array([[ 1. ],
               [-0.5],
               [-0. ]])
    """
    lags = autocorrelation.T.astype(np.float64)
    error = lags[0] * _CORRECTION
    coefficients = np.zeros_like(lags)
    coefficients[0] = 1
    for order in range(1, len(lags)):
        reflection = -np.sum(coefficients[:order] * lags[order:0:-1], axis=0) / error
        coefficients[1 : order + 1] += reflection * coefficients[order - 1 :: -1]
        error *= 1 - reflection * reflection
    return coefficients


def find_formants(coefficients: NDArray[np.float64]) -> NDArray[np.float32]:
    """Find the lowest poles that are formants.

    Args:
        coefficients: As `prediction` returns them, shape (order + 1, n).

    Returns:
        float32, shape (n, 3): frequencies in Hz, rising; NaN for a missing formant. In one frame of a thousand the
        search misses a pole, since two close poles share a peak on both circles.
    """
    frame, root = _peaks(coefficients)
    filters = coefficients.astype(np.float32)[:, frame]
    step = np.zeros_like(root)
    for _ in range(_NEWTON_STEPS):
        value, slope = filters[0].astype(np.complex64), np.zeros_like(root)
        for coefficient in filters[1:]:
            slope = slope * root + value
            value = value * root + coefficient
        step = value / slope
        root = root - step
    hz = np.angle(root) * np.float32(_RATE / (2 * np.pi))
    bandwidth_hz = -np.log(np.abs(root)) * np.float32(_RATE / np.pi)
    is_formant = (np.abs(step) < _TOLERANCE) & (bandwidth_hz > 0) & (bandwidth_hz < _WIDEST_HZ)
    is_formant &= (hz > _LOWEST_FORMANT_HZ) & (hz < _HIGHEST_HZ - _LOWEST_FORMANT_HZ)
    return _lowest(frame[is_formant], root[is_formant], hz[is_formant], coefficients.shape[1])


def _peaks(coefficients: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.complex64]]:
    """The peaks of 1/|A(z)| on the circles: the frame of each, shape (n,), and its z, shape (n,)."""
    frames, points = [], []
    for radius in _CIRCLES:
        scaled = (coefficients.T * radius ** -np.arange(_ORDER + 1.0)).astype(np.float32)
        on_circle = scipy.fft.rfft(scaled, _CIRCLE_POINTS, axis=1)
        magnitude = on_circle.real**2 + on_circle.imag**2
        inner = magnitude[:, 1:-1]
        frame, point = np.nonzero((inner < magnitude[:, :-2]) & (inner <= magnitude[:, 2:]))
        frames.append(frame)
        points.append(radius * np.exp(2j * np.pi / _CIRCLE_POINTS * (point + 1)))
    return np.concatenate(frames), np.concatenate(points).astype(np.complex64)


def _lowest(
    frame: NDArray[np.int64], root: NDArray[np.complex64], hz: NDArray[np.float32], n_frames: int
) -> NDArray[np.float32]:
    """Sort poles by frame and frequency, drop duplicates, and keep the lowest three of each frame."""
    order = np.lexsort((hz, frame))
    frame, root, hz = frame[order], root[order], hz[order]
    is_new = np.ones(len(frame), np.bool_)
    is_new[1:] = (frame[1:] != frame[:-1]) | (np.abs(np.diff(root)) > _TOLERANCE)
    frame, hz = frame[is_new], hz[is_new]
    rank = np.arange(len(frame)) - np.searchsorted(frame, frame)
    formants = np.full((n_frames, N_FORMANTS), np.nan, np.float32)
    is_low = rank < N_FORMANTS
    formants[frame[is_low], rank[is_low]] = hz[is_low]
    return formants


def _to_autocorrelation() -> NDArray[np.float64]:
    """The matrix from the power in bins up to 5,000 Hz to the autocorrelation at lags 0 to 12 of 0.1 ms.

    Returns:
        float64, shape (161, 13).
    """
    angle = np.pi * np.arange(_N_BINS) / (_N_BINS - 1)
    # Pre-emphasis y[n] = x[n] - c x[n-1], with Praat's c.
    c = np.exp(-2 * np.pi * _PREEMPHASIS_HZ / _RATE)
    weight = 1 - 2 * c * np.cos(angle) + c * c
    # All bins except the first and the last count twice, for their negative frequencies.
    weight[1:-1] *= 2
    matrix: NDArray[np.float64] = weight[:, None] * np.cos(np.outer(angle, np.arange(_ORDER + 1)))
    return matrix


_TO_AUTOCORRELATION: Final = _to_autocorrelation()

FORMANTS: Final = AudioFamily(
    name="formants",
    version="1",
    cost=Cost(session=1e-3, second=0.0003),
    description="The lowest three resonances of the vocal tract in voiced speech.",
    members=tuple(
        Value(
            name=f"f{index}_median",
            unit="Hz",
            formula=f"median over every second voiced frame of the speaker's of formant {index}: the poles, by"
            " frequency, between 90 and 4,910 Hz with a bandwidth below 400 Hz, of linear prediction of order 12 from"
            " the power spectrum up to 5,000 Hz, pre-emphasised from 50 Hz on",
            source="Makhoul 1975; Markel & Gray 1976",
            typical=typical,
            undefined=(Undefined.TOO_SHORT,),
            least=f"{_LEAST_FRAMES} of these frames that have it",
            highest_hz=_HIGHEST_HZ,
        )
        for index, typical in enumerate(((350, 650), (1_200, 2_000), (2_200, 3_000)), start=1)
    ),
    accumulator=Formants,
)
