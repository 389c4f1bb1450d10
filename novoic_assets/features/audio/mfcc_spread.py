"""How the mel-frequency cepstral coefficients vary over a speaker's frames.

The coefficients are those of `mfcc`. Their moments are summed block by block. A slope uses the five frames around a
frame, all of them the speaker's, so no slope crosses the edge of a run of the speaker's frames.
"""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.bandwidth import WIDEBAND_HZ
from novoic_assets.features.audio.blocks import Block
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.mel import DB_PER_NEPER, N_BANDS
from novoic_assets.features.audio.mfcc import N_COEFFICIENTS
from novoic_assets.features.family import SPEAKERS, Computed, Cost, Speaker, Undefined, Value

_LEAST_FRAMES: Final = 100
# Frames on either side of a frame in a regression slope.
_REACH: Final = 2
_HIGHEST_POWER: Final = 4
# A smaller standard deviation, in dB, may come from the rounding of equal frames.
_SMALLEST_SD: Final = 1e-4


class MfccSpread:
    """Accumulates the moments of each speaker's coefficients and of their slopes."""

    def __init__(self, analysis: Analysis) -> None:
        self._bands = analysis.mel_bands
        self._n_frames = np.zeros(len(SPEAKERS), np.int64)
        self._sums = np.zeros((_HIGHEST_POWER, len(SPEAKERS), N_COEFFICIENTS))
        self._n_slopes = np.zeros(len(SPEAKERS), np.int64)
        self._slope_sums = np.zeros((2, len(SPEAKERS), N_COEFFICIENTS))
        # The last frames of earlier blocks, whose slopes need the next block.
        self._coefficients = np.zeros((0, N_COEFFICIENTS))
        self._masks = np.zeros((len(SPEAKERS), 0), np.bool_)

    def add(self, block: Block) -> None:
        """Add the frames of a block."""
        coefficients = self._bands.logarithms(block).astype(np.float64) @ _DCT
        self._n_frames += block.masks.sum(axis=1)
        _add_powers(self._sums, block.masks, coefficients)

        coefficients = np.concatenate([self._coefficients, coefficients])
        masks = np.concatenate([self._masks, block.masks], axis=1)
        if len(coefficients) > 2 * _REACH:
            slopes, own = _slopes(coefficients, masks)
            self._n_slopes += own.sum(axis=1)
            _add_powers(self._slope_sums, own, slopes)
        self._coefficients, self._masks = coefficients[-2 * _REACH :], masks[:, -2 * _REACH :]

    def values(self, speaker: Speaker) -> Computed:
        """Return the speaker's 16 values."""
        row = SPEAKERS.index(speaker)
        spread: list[float | Undefined] = [Undefined.TOO_SHORT] * (N_COEFFICIENTS + 2)
        if self._n_frames[row] >= _LEAST_FRAMES:
            spread = _spread(self._sums[:, row] / self._n_frames[row])
        slope: float | Undefined = Undefined.TOO_SHORT
        if self._n_slopes[row] >= _LEAST_FRAMES:
            mean, mean_square = self._slope_sums[:, row] / self._n_slopes[row]
            slope = float(np.sqrt(np.maximum(mean_square - mean**2, 0)).mean())
        return [*spread, slope]


def _add_powers(sums: NDArray[np.float64], masks: NDArray[np.bool_], values: NDArray[np.float64]) -> None:
    """Add, for each speaker, powers 1, 2, … of the rows of `values` that they own: shape (highest power, 3, values)."""
    own = masks.astype(np.float64)
    power = values
    for index in range(len(sums)):
        sums[index] += own @ power
        power = power * values


def _slopes(
    coefficients: NDArray[np.float64], masks: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The regression slope over 5 frames: sum of n (c[t+n] - c[t-n]) over n = 1, 2, divided by 10.

    Args:
        coefficients: shape (n, 13), n at least 5.
        masks: shape (3, n).

    Returns:
        The slopes of the inner frames, shape (n - 4, 13), and who owns them, shape (3, n - 4).
    """
    n_inner = len(coefficients) - 2 * _REACH
    slopes = np.zeros((n_inner, coefficients.shape[1]))
    own = np.ones((len(masks), n_inner), np.bool_)
    for offset in range(-_REACH, _REACH + 1):
        inner = slice(_REACH + offset, _REACH + offset + n_inner)
        slopes += offset * coefficients[inner]
        own &= masks[:, inner]
    return slopes / sum(offset**2 for offset in range(-_REACH, _REACH + 1)), own


def _spread(moments: NDArray[np.float64]) -> list[float | Undefined]:
    """Standard deviations, mean skewness and mean excess kurtosis, from the raw moments 1 to 4, shape (4, 13)."""
    first, second, third, fourth = moments
    variance = np.maximum(second - first**2, 0)
    sd = np.sqrt(variance)
    if (sd < _SMALLEST_SD).any():
        return [*sd.tolist(), Undefined.ZERO_DENOMINATOR, Undefined.ZERO_DENOMINATOR]
    central_third = third - 3 * first * second + 2 * first**3
    central_fourth = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
    skewness, kurtosis = central_third / sd**3, central_fourth / variance**2 - 3
    return [*sd.tolist(), float(skewness.mean()), float(kurtosis.mean())]


# The matrix from the natural logarithms of 40 bands to 13 coefficients in dB.
_DCT: Final = scipy.fft.dct(np.eye(N_BANDS), type=2, norm="ortho", axis=1)[:, :N_COEFFICIENTS] * DB_PER_NEPER

_SOURCE: Final = "Fraser et al. 2016"
_LEAST: Final = f"{_LEAST_FRAMES} frames"

MFCC_SPREAD: Final = AudioFamily(
    name="mfcc_spread",
    version="1",
    cost=Cost(session=1e-3, second=4e-05),
    description="Spread and movement of the mel-frequency cepstral coefficients: how much the voice's spectrum varies.",
    members=(
        *(
            Value(
                name=f"mfcc_{index}_sd",
                unit="dB",
                formula=f"standard deviation of mfcc coefficient {index} over the speaker's frames",
                source=_SOURCE,
                undefined=(Undefined.TOO_SHORT,),
                least=_LEAST,
                highest_hz=WIDEBAND_HZ,
            )
            for index in range(N_COEFFICIENTS)
        ),
        Value(
            name="mfcc_skewness",
            unit="1",
            formula="mean over the 13 coefficients of m3 / m2^1.5, m the central moments over the speaker's frames",
            source=_SOURCE,
            typical=(-0.5, 0.5),
            undefined=(Undefined.TOO_SHORT, Undefined.ZERO_DENOMINATOR),
            least=_LEAST,
            highest_hz=WIDEBAND_HZ,
        ),
        Value(
            name="mfcc_kurtosis",
            unit="1",
            formula="mean over the 13 coefficients of m4 / m2^2 - 3 (0 for a normal distribution), m the central"
            " moments over the speaker's frames",
            source=_SOURCE,
            typical=(-0.8, 1.5),
            undefined=(Undefined.TOO_SHORT, Undefined.ZERO_DENOMINATOR),
            least=_LEAST,
            highest_hz=WIDEBAND_HZ,
        ),
        Value(
            name="mfcc_delta_sd",
            unit="dB/frame",
            formula="mean over the 13 coefficients of the standard deviation of the regression slope over frames t-2"
            " to t+2, all of them the speaker's: sum of n (c[t+n] - c[t-n]) over n = 1, 2, divided by 10",
            source="Furui 1986",
            undefined=(Undefined.TOO_SHORT,),
            least=f"{_LEAST_FRAMES} frames with two of the speaker's on either side",
            highest_hz=WIDEBAND_HZ,
        ),
    ),
    accumulator=MfccSpread,
)
