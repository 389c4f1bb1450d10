"""Whether a speaker can be heard: one level for each speaker, the mean power above 60 Hz.

A recording can have a high RMS and peak and still hold no speech: from an offset, mains hum or a test signal. The
level therefore leaves out everything below 60 Hz.

This level decides a status and is the table's column `level`. Families use another one: `frame_levels` has the level
of each frame, above 94 Hz.
"""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from novoic_assets.features.audio.blocks import BLOCK_STEP, Block, cosine_window, squared_magnitude
from novoic_assets.features.audio.frames import Turns
from novoic_assets.features.family import ALL, SPEAKERS, Speaker

INAUDIBLE_DBFS: Final = -70.0
"""Speech at an ordinary recording level is at least 40 dB above this; 12-bit quantisation noise (-74 dBFS) is below."""

_WINDOW_LENGTH: Final = 1_024
assert BLOCK_STEP % _WINDOW_LENGTH == 0, "a block must hold whole windows"  # noqa: S101 - a fact of the constants
# 4-term Blackman-Harris (F. J. Harris, Proc. IEEE 66(1), 1978): its main lobe ends 4 bins from a tone and its
# side lobes are 92 dB down, so that neither an offset nor a tone near 0 Hz reaches bin 4 or higher.
_WINDOW: Final = cosine_window((0.35875, 0.48829, 0.14128, 0.01168), _WINDOW_LENGTH)
# Bin 4 is at 4 * 16,000 / 1,024 = 62.5 Hz.
_LOWEST_BIN: Final = 4
# Digital silence reads -200 dBFS instead of minus infinity.
_POWER_FLOOR: Final = 1e-20


class Audibility:
    """Accumulates the mean power above 60 Hz of each speaker.

    The recording is cut into windows of 1,024 samples without overlap. A window belongs to a speaker if the sample at
    its centre lies in the speaker's own time. The remainder at the end is left out; a recording shorter than one
    window is padded with zeros.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._power = np.zeros(len(SPEAKERS))
        self._n_windows = np.zeros(len(SPEAKERS), np.int64)

    def add(self, block: Block) -> None:
        """Add the windows of a block; blocks come in order, to the last."""
        # Samples beyond the step belong to the next block, too. Only the last block may be shorter than the step.
        samples = block.samples[:BLOCK_STEP]
        if block.first_sample == 0 and len(samples) < _WINDOW_LENGTH:
            samples = np.concatenate([samples, np.zeros(_WINDOW_LENGTH - len(samples), np.float32)])
        n_windows = len(samples) // _WINDOW_LENGTH
        if n_windows == 0:
            return
        windows = samples[: n_windows * _WINDOW_LENGTH].reshape(n_windows, _WINDOW_LENGTH)
        centres = block.first_sample + np.arange(n_windows, dtype=np.int64) * _WINDOW_LENGTH + _WINDOW_LENGTH // 2
        masks = self._turns.own(centres, length=1)
        self._power += masks.astype(np.float64) @ _mean_square_above_60_hz(windows)
        self._n_windows += masks.sum(axis=1)

    def dbfs(self) -> dict[Speaker, float]:
        """Return each speaker's level in dB relative to full scale.

        A full-scale sine reads -3.01. A speaker without a window gets the level of the complete recording.
        """
        power = np.full_like(self._power, self._power[SPEAKERS.index(ALL)] / self._n_windows[SPEAKERS.index(ALL)])
        np.divide(self._power, self._n_windows, out=power, where=self._n_windows > 0)
        level = 10 * np.log10(np.maximum(power, _POWER_FLOOR))
        return {speaker: float(value) for speaker, value in zip(SPEAKERS, level, strict=True)}


def _mean_square_above_60_hz(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Estimate the mean square of each window's content above 60 Hz.

    By Parseval's theorem the squared magnitudes of all bins sum to the length times the energy of the windowed
    samples; division by the energy of the window gives the mean square. Bins above 0 and below half the sample rate
    count twice, for their negative frequencies.

    Args:
        windows: float32, shape (n, 1024).

    Returns:
        float64, shape (n,).
    """
    power = squared_magnitude(scipy.fft.rfft(windows * _WINDOW, axis=1))
    two_sided = 2 * power[:, _LOWEST_BIN:-1].sum(axis=1, dtype=np.float64) + power[:, -1]
    mean_square: NDArray[np.float64] = two_sided / (_WINDOW_LENGTH * np.sum(_WINDOW.astype(np.float64) ** 2))
    return mean_square
