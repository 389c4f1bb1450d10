"""The effective bandwidth of a recording: the frequency up to which it has content.

A telephone, a codec or a resampler ends a spectrum with a cliff, above which only rounding is left. The spectra of
voices and rooms fall off slowly, and their noise reaches the end. So the long-term spectrum is searched for a cliff.
The loudness of the recording has no influence.
"""

from typing import Final

import numpy as np

from novoic_assets.features.audio.blocks import FFT_LENGTH, Block
from novoic_assets.features.family import ALL, SPEAKERS
from novoic_assets.sessions.recording import SAMPLE_RATE, Recording

WIDEBAND_HZ: Final = 7_000.0
"""The bandwidth that a value of the full spectrum needs: a telephone's or a codec's is smaller."""

_HZ_PER_BIN: Final = SAMPLE_RATE / FFT_LENGTH
# The steepest steps of many kinds of speech, soft or noisy, reach 14 dB; those of quiet telephone speech 22 dB.
_CLIFF_DB: Final = 20.0
# No channel for speech ends below 3 kHz. Above 7.5 kHz lies the cliff of our own resampling to 16 kHz.
_SEARCHED: Final = range(round(3_000 / _HZ_PER_BIN), round(7_000 / _HZ_PER_BIN) + 1)
_LAST_BIN: Final = round(7_500 / _HZ_PER_BIN)
# A cliff is the step from the mean level 400 to 100 Hz below it to the highest level from 125 Hz above it on.
_BELOW: Final = (13, 3)
_ABOVE: Final = 4
# The edge is where the level is this far below that before the cliff; lower levels show the skirt of the window.
_EDGE_DB: Final = 10.0
# Levels are means of five bins, 156 Hz, so that no single harmonic stands out.
_SMOOTHED: Final = 5
# Below this share of the strongest bin only the rounding of float32 remains.
_NOTHING: Final = 1e-14


class Bandwidth:
    """Accumulates the power spectrum of all frames outside gaps."""

    def __init__(self, recording: Recording) -> None:
        """Start before the first block.

        Args:
            recording: The recording; its sampling rate is read after the last block.
        """
        self._recording = recording
        self._power = np.zeros(FFT_LENGTH // 2 + 1)

    def add(self, block: Block) -> None:
        """Add the frames of a block."""
        self._power += block.masks[SPEAKERS.index(ALL)].astype(np.float32) @ block.power

    def hz(self) -> float:
        """Return the effective bandwidth in Hz: the edge of the cliff, at most half the source's rate and 8,000."""
        nyquist = min(self._recording.facts.sample_rate, SAMPLE_RATE) / 2
        power = np.convolve(np.pad(self._power, _SMOOTHED // 2, mode="edge"), np.ones(_SMOOTHED) / _SMOOTHED, "valid")
        if power.max() <= 0:
            return nyquist
        level = 10 * np.log10(np.maximum(power, power.max() * _NOTHING))[:_LAST_BIN]
        below = np.array([level[edge - _BELOW[0] : edge - _BELOW[1]].mean() for edge in _SEARCHED])
        above = np.array([level[edge + _ABOVE :].max() for edge in _SEARCHED])
        steepest = int(np.argmax(below - above))
        if below[steepest] - above[steepest] < _CLIFF_DB:
            return nyquist
        edge = np.flatnonzero(level > below[steepest] - _EDGE_DB)[-1]
        return min(nyquist, float(edge) * _HZ_PER_BIN)
