"""The level of each frame of a recording, for families that follow the level through time.

It comes from the power spectra of the frames, whose window spreads an offset up to 80 Hz: hence the bound of 94 Hz.
`audibility` has another level, one for each speaker above 60 Hz, which decides whether a speaker can be heard.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.audio.blocks import FFT_LENGTH, FRAME_LENGTH, Block, cosine_window
from novoic_assets.features.audio.track import Track
from novoic_assets.sessions.recording import SAMPLE_RATE

LOWEST_HZ: Final = 94.0
"""Below it an offset or a hum, spread by the window's main lobe (80 Hz), may hide everything else."""

# Bin 3 is at 3 * 16,000 / 512 = 93.75 Hz.
_LOWEST_BIN: Final = round(LOWEST_HZ * FFT_LENGTH / SAMPLE_RATE)
_WINDOW_ENERGY: Final = float(np.sum(cosine_window((0.5, 0.5), FRAME_LENGTH).astype(np.float64) ** 2))
# Digital silence reads -200 dBFS instead of minus infinity.
_POWER_FLOOR: Final = 1e-20


class FrameLevels:
    """The level of each frame of 25 ms: its mean square above 94 Hz. A full-scale sine reads -3.01 dBFS."""

    def __init__(self) -> None:
        self._track = Track()

    def add(self, block: Block) -> None:
        """Add the frames of a block."""
        self._track.add(levels_of_power(block.power))

    def dbfs(self) -> NDArray[np.float32]:
        """Return the level of every frame, whoever speaks: float32, shape (frames of the recording,), in dBFS."""
        return self._track.rows[:, 0]


def levels_of_power(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the level of frames from their power spectra, by Parseval's theorem.

    Args:
        power: As `Block.power`, shape (n, 257).

    Returns:
        float32, shape (n,), in dB relative to a mean square of 1, not below -200.
    """
    # Bins between 0 and half the sample rate count twice, for their negative frequencies.
    two_sided = 2 * power[:, _LOWEST_BIN:-1].sum(axis=1) + power[:, -1]
    mean_square = two_sided * np.float32(1 / (FFT_LENGTH * _WINDOW_ENERGY))
    level: NDArray[np.float32] = 10 * np.log10(np.maximum(mean_square, np.float32(_POWER_FLOOR)))
    return level


def mean_level(levels: NDArray[np.float32]) -> float:
    """Return the level of the mean power of frames.

    Args:
        levels: float32, shape (n,), n at least 1, in dB.

    Returns:
        The level in dB.

    Example:
        >>> round(mean_level(np.array([-20.0, -40.0], np.float32)), 2)
        -22.97
    """
    return float(10 * np.log10(np.mean(10 ** (levels.astype(np.float64) / 10))))
