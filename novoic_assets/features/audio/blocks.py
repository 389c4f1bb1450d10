"""Blocks of a recording that the audio families process together: samples, masks and spectra.

A recording is cut into blocks of a fixed number of frames from its first sample on. Memory stays constant. Vectorised
arithmetic may round differently at another place in an array, so fixed blocks also make results independent of how
the samples arrive.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from novoic_assets.features.audio.frames import Turns

FRAME_LENGTH: Final = 400
"""25 ms."""
HOP: Final = 160
"""10 ms."""
FFT_LENGTH: Final = 512
"""A frame is padded with zeros to this length."""
LONGEST_FRAME: Final = 1_200
"""75 ms: the longest frame around the centre of one of 25 ms."""
MARGIN: Final = 640
"""Samples of the recording on either side of a block: more than the longest frame needs."""

# 10 ms: in a room, so many exact zeros in a row do not occur by chance.
_GAP: Final = 160
# Frames in a block: few enough for its arrays to stay in the processor's second-level cache.
_BLOCK_FRAMES: Final = 512
BLOCK_STEP: Final = _BLOCK_FRAMES * HOP
"""Samples from the start of a block to the start of the next."""
_BLOCK_LENGTH: Final = BLOCK_STEP + FRAME_LENGTH - HOP


def cosine_window(coefficients: Sequence[float], length: int) -> NDArray[np.float32]:
    """Return a periodic window of cosines: w[n] = a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N) - ...

    scipy.signal has such windows, too, but its import would cost every run a second.

    Args:
        coefficients: a0, a1, ...
        length: N, in samples.

    Returns:
        float32, shape (length,).

    Example:
        >>> cosine_window((0.5, 0.5), 4)  # Hann
        array([0. , 0.5, 1. , 0.5], dtype=float32)
    """
    phase = 2 * np.pi * np.arange(length) / length
    terms = [(-1) ** order * weight * np.cos(order * phase) for order, weight in enumerate(coefficients)]
    window: NDArray[np.float32] = np.sum(terms, axis=0).astype(np.float32)
    return window


_WINDOW: Final = cosine_window((0.5, 0.5), FRAME_LENGTH)  # Hann


class _PowerSpectrum:
    """Computes power spectra in memory that is allocated once: fresh pages take a sixth of the total time."""

    def __init__(self) -> None:
        # The padding after the samples of a frame is never written and stays zero.
        self._windowed = np.zeros((_BLOCK_FRAMES, FFT_LENGTH), np.float32)

    def of(self, samples: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
        """Return float32, shape (n_frames, FFT_LENGTH / 2 + 1)."""
        windowed = self._windowed[:n_frames]
        frames = sliding_window_view(samples, FRAME_LENGTH)[::HOP]
        np.multiply(frames, _WINDOW, out=windowed[:, :FRAME_LENGTH])
        # SciPy's transform stays in float32 and handles several frames at a time; NumPy's is a third as fast.
        return squared_magnitude(scipy.fft.rfft(windowed, axis=1))


@dataclass(frozen=True, eq=False)
class Block:
    """Some consecutive frames of a recording. The next block overwrites its arrays.

    Frame `k` of the recording has its centre at sample `160 k + 200`, whatever its length: most families use frames
    of 25 ms, some use longer ones around the same centres.

    Attributes:
        first_sample: Where in the recording `samples` starts, in samples at 16 kHz.
        samples: float32: all samples of the frames of 25 ms. A full block shares its last `FRAME_LENGTH - HOP`
            samples with the next one. Only the last block of a recording is shorter; it may be too short for a frame.
        surrounded: float32: `samples` with the `MARGIN` samples of the recording before and after them; zeros beyond
            the recording's ends.
        masks: bool, shape (3, frames): whose each frame of 25 ms is, rows in the order of `SPEAKERS`. A frame that
            touches a gap (`_gaps`) is nobody's.
        n_gap_samples: How many of the samples before the next block's first lie in a gap.
    """

    first_sample: int
    samples: NDArray[np.float32]
    surrounded: NDArray[np.float32]
    masks: NDArray[np.bool_]
    n_gap_samples: int
    _turns: Turns
    _gap: NDArray[np.bool_] | None
    _n_recorded: int
    _spectrum: _PowerSpectrum

    @cached_property
    def power(self) -> NDArray[np.float32]:
        """Power spectrum of the frames: float32, shape (frames, FFT_LENGTH / 2 + 1).

        The squared magnitude of the DFT of each frame times a periodic Hann window. It is computed at the first
        access, once for all families.
        """
        return self._spectrum.of(self.samples, self.n_frames)

    @property
    def n_frames(self) -> int:
        """Number of frames of 25 ms."""
        return int(self.masks.shape[1])

    def frames(self, length: int) -> NDArray[np.float32]:
        """Return the frames of another length around the same centres.

        Args:
            length: Samples in each frame, even, from `FRAME_LENGTH` to `LONGEST_FRAME`.

        Returns:
            float32, shape (frames, length), a view; zeros beyond the recording's ends.
        """
        first = MARGIN - (length - FRAME_LENGTH) // 2
        frames: NDArray[np.float32] = sliding_window_view(self.surrounded[first:], length)[::HOP][: self.n_frames]
        return frames

    def own(self, length: int) -> NDArray[np.bool_]:
        """Return whose the frames of another length are.

        Args:
            length: As for `frames`.

        Returns:
            bool, shape (3, frames), rows in the order of `SPEAKERS`. A frame that touches a gap or extends beyond
            the recording's ends is nobody's.
        """
        if length == FRAME_LENGTH:
            return self.masks
        return _own(self._turns, self.first_sample, self.n_frames, length, self._gap, self._n_recorded)


class Blocks:
    """Cuts a stream of samples into blocks."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._spectrum = _PowerSpectrum()
        self._waiting = np.zeros(MARGIN + _BLOCK_LENGTH + MARGIN, np.float32)
        # A margin of zeros precedes the first sample of a recording.
        self._n_waiting = MARGIN
        self._first_sample = 0

    def add(self, samples: NDArray[np.float32]) -> Iterator[Block]:
        """Yield the blocks that the next samples complete; each is valid only until the next one is requested."""
        taken = 0
        while taken < len(samples):
            part = samples[taken : taken + len(self._waiting) - self._n_waiting]
            self._waiting[self._n_waiting : self._n_waiting + len(part)] = part
            self._n_waiting += len(part)
            taken += len(part)
            if self._n_waiting == len(self._waiting):
                yield self._block(_BLOCK_LENGTH)
                self._step()

    def finish(self) -> Iterator[Block]:
        """Yield the rest after the full blocks: one block or two, the last possibly without samples."""
        n_left = self._n_waiting - MARGIN
        self._waiting[self._n_waiting :] = 0
        if n_left >= _BLOCK_LENGTH:
            yield self._block(_BLOCK_LENGTH)
            self._step()
            self._waiting[self._n_waiting :] = 0
            n_left -= BLOCK_STEP
        yield self._block(n_left)

    @property
    def n_samples(self) -> int:
        """Number of samples added so far."""
        return self._first_sample + self._n_waiting - MARGIN

    def _step(self) -> None:
        self._waiting[:-BLOCK_STEP] = self._waiting[BLOCK_STEP:]
        self._n_waiting -= BLOCK_STEP
        self._first_sample += BLOCK_STEP

    def _block(self, length: int) -> Block:
        n_frames = max(0, (length - FRAME_LENGTH) // HOP + 1)
        surrounded = self._waiting[: MARGIN + length + MARGIN]
        n_recorded = self.n_samples
        gap = _gaps(surrounded, MARGIN - self._first_sample, MARGIN + n_recorded - self._first_sample)
        n_gap_samples = 0 if gap is None else int(np.sum(gap[MARGIN : MARGIN + min(length, BLOCK_STEP)]))
        return Block(
            first_sample=self._first_sample,
            samples=surrounded[MARGIN : MARGIN + length],
            surrounded=surrounded,
            masks=_own(self._turns, self._first_sample, n_frames, FRAME_LENGTH, gap, n_recorded),
            n_gap_samples=n_gap_samples,
            _turns=self._turns,
            _gap=gap,
            _n_recorded=n_recorded,
            _spectrum=self._spectrum,
        )


def _gaps(surrounded: NDArray[np.float32], start: int, end: int) -> NDArray[np.bool_] | None:
    """Find gaps: stretches of at least 10 ms of exact zeros, which no microphone in a room records.

    Args:
        surrounded: A block's samples with their margins, shape (n,).
        start: Where the recording starts in the array; may be negative.
        end: Where the recording's known samples end in the array; may be beyond its end.

    Returns:
        bool, shape (n,): whether each sample is in a gap; None if no sample is. Nothing outside the recording is in
        a gap.
    """
    zero = surrounded == 0
    zero[: max(start, 0)] = zero[max(end, 0) :] = False
    if np.count_nonzero(zero) < _GAP:
        return None
    # The bounds of runs of zeros are where the mask changes.
    bounds = np.flatnonzero(np.diff(zero, prepend=False, append=False))
    starts, ends = bounds[::2], bounds[1::2]
    # A run that continues outside the array but is short inside it lies too far from any frame to matter: the margin
    # is longer than the reach of the longest frame plus a gap.
    long = ends - starts >= _GAP
    if not long.any():
        return None
    gap = np.zeros(len(zero) + 1, np.int8)
    gap[starts[long]] += 1
    gap[ends[long]] -= 1
    in_gap: NDArray[np.bool_] = np.cumsum(gap[:-1]) > 0
    return in_gap


def _own(
    turns: Turns, first_sample: int, n_frames: int, length: int, gap: NDArray[np.bool_] | None, n_recorded: int
) -> NDArray[np.bool_]:
    starts = first_sample + np.arange(n_frames, dtype=np.int64) * HOP - (length - FRAME_LENGTH) // 2
    masks = turns.own(starts, length)
    masks &= (starts >= 0) & (starts + length <= n_recorded)
    if gap is not None:
        before = np.concatenate([[0], np.cumsum(gap)])
        inside = starts - first_sample + MARGIN
        masks &= before[inside + length] == before[inside]
    return masks


def squared_magnitude(spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the squared magnitude of complex numbers, overwriting them: complex64 to float32 of the same shape."""
    # Squaring real and imaginary parts as one contiguous array is faster than squaring them separately.
    parts = spectrum.view(np.float32)
    np.square(parts, out=parts)
    power: NDArray[np.float32] = spectrum.real + spectrum.imag
    return power
