"""The shape of the spectrum of a speaker's audible frames.

All values use the band from 94 to 7,000 Hz. An offset or a hum may lie below it, and the resampler's filter above it,
which would reveal the source's sampling rate instead of the voice. Only frames at most 25 dB below the 95th percentile
of the level of the speaker's frames count, so that the noise between words does not pass for speech.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.bandwidth import WIDEBAND_HZ
from novoic_assets.features.audio.blocks import FFT_LENGTH, Block
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.track import Track
from novoic_assets.features.family import SPEAKERS, Computed, Cost, Speaker, Undefined, Value
from novoic_assets.sessions.recording import SAMPLE_RATE

_LEAST_FRAMES: Final = 20
_BELOW_LOUDEST_DB: Final = 25.0
_ROLLOFF_SHARE: Final = 0.85
_HZ_PER_BIN: Final = SAMPLE_RATE / FFT_LENGTH
_BINS: Final = slice(round(94 / _HZ_PER_BIN), round(WIDEBAND_HZ / _HZ_PER_BIN) + 1)
_HZ: Final = (np.arange(FFT_LENGTH // 2 + 1) * _HZ_PER_BIN).astype(np.float32)[_BINS]
_KHZ: Final = _HZ / 1_000
# Negligible beside the power of any frame that is not digital silence.
_TINY: Final = np.float32(1e-30)
_DB_PER_NEPER: Final = np.float32(10 / np.log(10))

_BELOW_500_HZ: Final = slice(0, int(np.count_nonzero(_HZ <= 500)))
# Weights of sums over the bins, several in one product: 1, f and f squared for the magnitude; for the power, all bins,
# those up to 1 kHz and those from there to 5 kHz.
_MOMENTS: Final = np.stack([np.ones_like(_KHZ), _KHZ, _KHZ**2], axis=1)
_BANDS: Final = np.stack([_HZ > 0, _HZ <= 1_000, (_HZ > 1_000) & (_HZ <= 5_000)], axis=1).astype(np.float32)
_N_VALUES: Final = 7
_FLUX: Final = 4


class Spectral:
    """Computes the values of every frame, and at the end their means over a speaker's audible frames."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._level = analysis.frame_levels
        self._track = Track(_N_VALUES)
        self._last_unit = np.zeros((1, len(_HZ)), np.float32)

    def add(self, block: Block) -> None:
        """Add the frames of a block."""
        power = block.power[:, _BINS] + _TINY
        amplitude = np.sqrt(power)
        total_amplitude, first_moment, second_moment = (amplitude @ _MOMENTS).T
        total_power, below_1_khz, below_5_khz = (power @ _BANDS).T

        centroid = first_moment / total_amplitude
        spread = second_moment / total_amplitude - centroid * centroid
        logarithm = np.log(power)
        flatness = np.exp(logarithm.mean(axis=1)) / (total_power / np.float32(len(_HZ)))
        alpha = np.log(below_1_khz / below_5_khz) * _DB_PER_NEPER
        slope = logarithm[:, _BELOW_500_HZ] @ _SLOPE_WEIGHTS

        amplitude /= np.sqrt(total_power)[:, None]
        change = np.diff(amplitude, axis=0, prepend=self._last_unit)
        flux = np.sqrt(np.einsum("ij,ij->i", change, change))
        self._last_unit = amplitude[-1:].copy()
        columns = (
            centroid * 1_000,
            np.sqrt(np.maximum(spread, 0)) * 1_000,
            _rolloff(power),
            flatness,
            flux,
            alpha,
            slope,
        )
        self._track.add(np.stack(columns, axis=1, dtype=np.float32))

    def values(self, speaker: Speaker) -> Computed:
        """Return the speaker's 7 values."""
        level, own = self._level.dbfs(), self._analysis.masks[SPEAKERS.index(speaker)]
        audible = own & (level >= np.percentile(level[own], 95) - _BELOW_LOUDEST_DB)
        # Flux compares a frame with the previous one, which must be audible, too.
        after_audible = audible & np.concatenate([[False], audible[:-1]])
        if np.count_nonzero(after_audible) < _LEAST_FRAMES:
            return [Undefined.TOO_SHORT] * _N_VALUES
        # Column by column: all audible rows together would take as much memory as the track.
        tracks = self._track.rows.T
        return [
            float(track[after_audible if index == _FLUX else audible].mean(dtype=np.float64))
            for index, track in enumerate(tracks)
        ]


def _rolloff(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """The lowest frequency up to which 85 % of each frame's power lies, in Hz.

    A running sum over all bins would take longer than everything else in this module. So one runs over groups of
    bins, and a second one inside the group that reaches the share.
    """
    frames = np.arange(len(power))
    groups = power.reshape(len(power), -1, _GROUP)
    sums = np.cumsum(power @ _TO_GROUPS, axis=1)
    wanted = _ROLLOFF_SHARE * sums[:, -1]
    group = np.argmax(sums >= wanted[:, None], axis=1)
    missing = wanted - np.where(group > 0, sums[frames, group - 1], 0)
    inside = np.cumsum(groups[frames, group], axis=1) < missing[:, None]
    bins = group * _GROUP + np.minimum(np.count_nonzero(inside, axis=1), _GROUP - 1)
    hz: NDArray[np.float32] = _HZ[bins]
    return hz


def _slope_weights() -> NDArray[np.float32]:
    """Weights whose sum with the natural logarithms of power is the regression slope over the bins, in dB/Hz."""
    hz = _HZ[_BELOW_500_HZ].astype(np.float64)
    centred = hz - hz.mean()
    weights: NDArray[np.float32] = (centred / np.sum(centred**2) * 10 / np.log(10)).astype(np.float32)
    return weights


_GROUP: Final = 6
assert len(_HZ) % _GROUP == 0, "the bins must make whole groups"  # noqa: S101 - a fact of the constants
_TO_GROUPS: Final = np.repeat(np.eye(len(_HZ) // _GROUP, dtype=np.float32), _GROUP, axis=0)
_SLOPE_WEIGHTS: Final = _slope_weights()
_AUDIBLE: Final = "mean over the speaker's audible frames, 94 to 7,000 Hz, of"


def _value(
    name: str, unit: str, formula: str, source: str, typical: tuple[float, float], highest_hz: float | None
) -> Value:
    return Value(
        name=name,
        unit=unit,
        formula=formula,
        source=source,
        typical=typical,
        undefined=(Undefined.TOO_SHORT,),
        least=f"{_LEAST_FRAMES} audible frames after another one (at most 25 dB below p95 of the level)",
        highest_hz=highest_hz,
    )


_PEETERS: Final = "Peeters 2004"
_EYBEN: Final = "Eyben et al. 2016"

SPECTRAL: Final = AudioFamily(
    name="spectral",
    version="1",
    cost=Cost(session=1e-3, second=0.00015),
    description="Where the voice has its energy, and how fast that changes.",
    members=(
        _value("centroid", "Hz", f"{_AUDIBLE} sum f A / sum A, A the magnitude", _PEETERS, (800, 2_500), WIDEBAND_HZ),
        _value(
            "bandwidth",
            "Hz",
            f"{_AUDIBLE} sqrt(sum (f - centroid)^2 A / sum A), A the magnitude",
            _PEETERS,
            (800, 1_900),
            WIDEBAND_HZ,
        ),
        _value(
            "rolloff85",
            "Hz",
            f"{_AUDIBLE} the lowest frequency up to which there is 85 % of the power",
            _PEETERS,
            (600, 3_000),
            WIDEBAND_HZ,
        ),
        _value(
            "flatness",
            "1",
            f"{_AUDIBLE} the geometric over the arithmetic mean of the power",
            "Gray & Markel 1974",
            (0.005, 0.2),
            WIDEBAND_HZ,
        ),
        _value(
            "flux",
            "1",
            f"{_AUDIBLE} the Euclidean distance of the magnitudes, scaled to a sum of squares of 1, from the frame"
            " before's, of pairs of such frames",
            _PEETERS,
            (0.2, 0.6),
            WIDEBAND_HZ,
        ),
        _value(
            "alpha_ratio",
            "dB",
            "mean over the speaker's audible frames of 10 log10 of the power from 94 to 1,000 Hz over that from 1,000"
            " to 5,000 Hz",
            _EYBEN,
            (0, 25),
            5_000.0,
        ),
        _value(
            "slope_0_500",
            "dB/Hz",
            "mean over the speaker's audible frames of the regression slope of the power in dB from 94 to 500 Hz",
            _EYBEN,
            (-0.05, 0.05),
            None,
        ),
    ),
    accumulator=Spectral,
)
