"""The stretch of a recording that the audio families look at together: samples, masks, spectrum.

A recording is cut into blocks of a fixed number of frames from its first sample on. That keeps memory
constant and, since vectorised arithmetic may round by position in an array, makes results independent of
how the samples arrived.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from novoic_assets.features.audio.frames import Turns, speaker_masks

FRAME_LENGTH: Final = 400
"""25 ms."""
HOP: Final = 160
"""10 ms."""
FFT_LENGTH: Final = 512
"""A frame is padded with zeros to this length."""

# Frames in a block: few enough that the arrays of a block stay in the processor's second-level cache.
_BLOCK_FRAMES: Final = 512
BLOCK_STEP: Final = _BLOCK_FRAMES * HOP
"""Samples from the start of a block to the start of the next."""
_BLOCK_LENGTH: Final = BLOCK_STEP + FRAME_LENGTH - HOP


def cosine_window(coefficients: Sequence[float], length: int) -> NDArray[np.float32]:
    """A periodic sum of cosines: w[n] = a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N) - ...

    scipy.signal has such windows too, but takes a second to import, which every run would wait for.

    Args:
        coefficients: a0, a1, ...
        length: N, in samples.

    Returns:
        float32, shape (length,).
    """
    phase = 2 * np.pi * np.arange(length) / length
    terms = [(-1) ** order * weight * np.cos(order * phase) for order, weight in enumerate(coefficients)]
    window: NDArray[np.float32] = np.sum(terms, axis=0).astype(np.float32)
    return window


_WINDOW: Final = cosine_window((0.5, 0.5), FRAME_LENGTH)  # Hann


class _PowerSpectrum:
    """Computes power spectra in memory that is allocated once: fresh pages cost a sixth of all the time."""

    def __init__(self) -> None:
        # Behind the samples of a frame its padding stays zero for good.
        self._windowed = np.zeros((_BLOCK_FRAMES, FFT_LENGTH), np.float32)

    def of(self, samples: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
        """Return float32, shape (n_frames, FFT_LENGTH / 2 + 1)."""
        windowed = self._windowed[:n_frames]
        frames = sliding_window_view(samples, FRAME_LENGTH)[::HOP]
        np.multiply(frames, _WINDOW, out=windowed[:, :FRAME_LENGTH])
        # SciPy's transform stays in float32 and works on several frames at a time; NumPy's is a third as fast.
        return squared_magnitude(scipy.fft.rfft(windowed, axis=1))


@dataclass(frozen=True, eq=False)
class Block:
    """Some consecutive frames of a recording. Its arrays are overwritten by the next block.

    Attributes:
        first_sample: Where in the recording `samples` starts, in samples at 16 kHz.
        samples: float32: all samples of the frames. A whole block shares its last
            `FRAME_LENGTH - HOP` samples with the next one; only the last block of a recording is shorter
            than the others, and it may be too short to hold a frame.
        masks: bool, shape (3, frames): whose each frame is, rows in the order of `SPEAKERS`.
    """

    first_sample: int
    samples: NDArray[np.float32]
    masks: NDArray[np.bool_]
    _spectrum: _PowerSpectrum

    @cached_property
    def power(self) -> NDArray[np.float32]:
        """Power spectrum of the frames: float32, shape (frames, FFT_LENGTH / 2 + 1).

        The squared magnitude of the DFT of each frame times a periodic Hann window. It is computed when
        first asked for, and once for all families.
        """
        return self._spectrum.of(self.samples, self.masks.shape[1])


class Blocks:
    """Cuts a stream of samples into blocks."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._spectrum = _PowerSpectrum()
        self._waiting = np.empty(_BLOCK_LENGTH, np.float32)
        self._n_waiting = 0
        self._first_sample = 0

    def add(self, samples: NDArray[np.float32]) -> Iterator[Block]:
        """Yield the blocks that the next samples complete; each is valid until the next is asked for."""
        taken = 0
        while taken < len(samples):
            part = samples[taken : taken + _BLOCK_LENGTH - self._n_waiting]
            self._waiting[self._n_waiting : self._n_waiting + len(part)] = part
            self._n_waiting += len(part)
            taken += len(part)
            if self._n_waiting == _BLOCK_LENGTH:
                yield self._block()
                self._n_waiting = _BLOCK_LENGTH - BLOCK_STEP
                self._waiting[: self._n_waiting] = self._waiting[BLOCK_STEP:]
                self._first_sample += BLOCK_STEP

    def finish(self) -> Block:
        """Return the last block: what the whole blocks left, possibly no samples at all."""
        return self._block()

    @property
    def n_samples(self) -> int:
        """Samples added so far."""
        return self._first_sample + self._n_waiting

    def _block(self) -> Block:
        n_frames = max(0, (self._n_waiting - FRAME_LENGTH) // HOP + 1)
        masks = speaker_masks(self._turns, self._first_sample // HOP, n_frames, FRAME_LENGTH, HOP)
        return Block(self._first_sample, self._waiting[: self._n_waiting], masks, self._spectrum)


def squared_magnitude(spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Square the magnitude of complex numbers, overwriting them: complex64 to float32 of the same shape."""
    # Squaring real and imaginary parts as one contiguous array is faster than separately.
    parts = spectrum.view(np.float32)
    np.square(parts, out=parts)
    power: NDArray[np.float32] = spectrum.real + spectrum.imag
    return power
