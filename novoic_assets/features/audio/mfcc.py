"""Mel-frequency cepstral coefficients, averaged over a speaker's frames.

Definition: the power spectrum of `blocks.Block`; 40 triangular mel bands (Slaney's mel scale and
normalisation, "Auditory Toolbox", Interval Research Technical Report 1998-010) from 20 to 8,000 Hz;
10 log10 of each band, not below -100 dB; orthonormal DCT-II over the bands; coefficients 0 to 12; mean
over frames. It is librosa's `mfcc(..., dct_type=2, norm="ortho")` of the same spectrum without `top_db`.

The coefficients are in dB: an orthonormal transform of decibels. `mfcc_0` is the mean level of the bands
times sqrt(40).
"""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from novoic_assets.features.audio.blocks import FFT_LENGTH, Block
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.family import SPEAKERS
from novoic_assets.sessions.recording import SAMPLE_RATE

N_COEFFICIENTS: Final = 13
_N_BANDS: Final = 40
_LOWEST_HZ: Final = 20.0
_HIGHEST_HZ: Final = 8_000.0
_POWER_FLOOR: Final = 1e-10


class MeanMfcc:
    """Accumulates the mean MFCC vector of each speaker.

    The DCT is linear, so the mean is taken of the bands in dB and transformed once.
    """

    def __init__(self) -> None:
        self._sum_db = np.zeros((len(SPEAKERS), _N_BANDS))
        self._n_frames = np.zeros(len(SPEAKERS), np.int64)

    def add(self, block: Block) -> None:
        """Add the frames of a block."""
        bands = block.power @ _MEL_FILTERS
        np.maximum(bands, np.float32(_POWER_FLOOR), out=bands)
        # NumPy's float32 log is vectorised on every processor, its log10 only on some.
        np.log(bands, out=bands)
        self._sum_db += block.masks.astype(np.float64) @ bands.astype(np.float64) * (10 / np.log(10))
        self._n_frames += block.masks.sum(axis=1)

    def values(self) -> NDArray[np.float64]:
        """Return float64, shape (3, 13), rows in the order of `SPEAKERS`; NaN for who has no frame."""
        mean_db = np.full_like(self._sum_db, np.nan)
        np.divide(self._sum_db, self._n_frames[:, None], out=mean_db, where=self._n_frames[:, None] > 0)
        coefficients: NDArray[np.float64] = scipy.fft.dct(mean_db, type=2, norm="ortho", axis=1)
        return coefficients[:, :N_COEFFICIENTS]


def mel_filters() -> NDArray[np.float32]:
    """Compute the mel filterbank.

    Returns:
        float32, shape (FFT_LENGTH / 2 + 1, 40): the weight of each bin of the power spectrum in each
        band. Each triangle has unit area over frequency in Hz (Slaney's normalisation).
    """
    bin_hz = np.arange(FFT_LENGTH // 2 + 1)[:, None] * SAMPLE_RATE / FFT_LENGTH
    edges_mel = np.linspace(_hz_to_mel(_LOWEST_HZ), _hz_to_mel(_HIGHEST_HZ), _N_BANDS + 2)
    edges_hz = _mel_to_hz(edges_mel)
    lower, centre, upper = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bin_hz - lower) / (centre - lower)
    falling = (upper - bin_hz) / (upper - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: NDArray[np.float32] = (triangles * 2 / (upper - lower)).astype(np.float32)
    return filters


# Slaney's mel scale: linear with 200/3 Hz per mel up to 1,000 Hz, above it logarithmic with 27 mels per factor of 6.4.
_HZ_PER_MEL: Final = 200 / 3
_BREAK_HZ: Final = 1_000.0
_BREAK_MEL: Final = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP: Final = np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _HZ_PER_MEL
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _HZ_PER_MEL, logarithmic)


_MEL_FILTERS: Final = mel_filters()

MFCC: Final = AudioFamily(
    name="mfcc",
    version="1",
    value_names=tuple(f"mfcc_{index}" for index in range(N_COEFFICIENTS)),
    units=("dB",) * N_COEFFICIENTS,
    accumulator=MeanMfcc,
)
