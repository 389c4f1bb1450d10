"""Mel bands of a block's frames, for the families of cepstral coefficients.

Slaney's mel scale and normalisation: "Auditory Toolbox", Interval Research Technical Report 1998-010.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.audio.blocks import FFT_LENGTH, Block
from novoic_assets.sessions.recording import SAMPLE_RATE

N_BANDS: Final = 40
_LOWEST_HZ: Final = 20.0
_HIGHEST_HZ: Final = 8_000.0
_POWER_FLOOR: Final = 1e-10
DB_PER_NEPER: Final = 10 / np.log(10)
"""Factor from the natural logarithm of a power to dB."""


class MelBands:
    """The mel bands of a block's frames, computed once for all families that use them."""

    def __init__(self, lowest_hz: float = _LOWEST_HZ, highest_hz: float = _HIGHEST_HZ, n_bands: int = N_BANDS) -> None:
        self.n_bands = n_bands
        self._filters = mel_filters(lowest_hz, highest_hz, n_bands)
        self._block: Block | None = None
        self._logarithms = np.zeros((0, n_bands), np.float32)

    def logarithms(self, block: Block) -> NDArray[np.float32]:
        """Return the natural logarithm of each band's power, at least that of -100 dB: shape (frames, bands)."""
        if block is not self._block:
            bands = block.power @ self._filters
            np.maximum(bands, np.float32(_POWER_FLOOR), out=bands)
            # NumPy vectorises the logarithm of float32 on every processor, log10 only on some.
            self._logarithms = np.log(bands, out=bands)
            self._block = block
        return self._logarithms


def mel_filters(lowest_hz: float, highest_hz: float, n_bands: int) -> NDArray[np.float32]:
    """Compute a mel filterbank.

    Args:
        lowest_hz: Start of the first triangle.
        highest_hz: End of the last triangle.
        n_bands: Number of triangles, equally spaced on Slaney's mel scale.

    Returns:
        float32, shape (FFT_LENGTH / 2 + 1, n_bands): the weight of each bin of the power spectrum in each
        band. Each triangle has unit area over frequency in Hz (Slaney's normalisation).
    """
    bin_hz = np.arange(FFT_LENGTH // 2 + 1)[:, None] * SAMPLE_RATE / FFT_LENGTH
    edges_mel = np.linspace(_hz_to_mel(lowest_hz), _hz_to_mel(highest_hz), n_bands + 2)
    edges_hz = _mel_to_hz(edges_mel)
    lower, centre, upper = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bin_hz - lower) / (centre - lower)
    falling = (upper - bin_hz) / (upper - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: NDArray[np.float32] = (triangles * 2 / (upper - lower)).astype(np.float32)
    return filters


# Slaney's mel scale: linear with 200/3 Hz per mel up to 1,000 Hz, then logarithmic with 27 mels per factor of 6.4.
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
