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

from novoic_assets.features.audio.frames import Turns

FRAME_LENGTH: Final = 400
"""25 ms."""
HOP: Final = 160
"""10 ms."""
FFT_LENGTH: Final = 512
"""A frame is padded with zeros to this length."""
LONGEST_FRAME: Final = 1_200
"""75 ms: the longest frame that there may be around the centre of one of 25 ms."""
MARGIN: Final = 640
"""Samples of the recording that a block has on either side of its own: what the longest frame takes, and more."""

# 10 ms: no gap that a frame touches is shorter, nor would chance make one in a room.
_GAP: Final = 160
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

    Frame `k` of the recording has its centre at sample `160 k + 200`, whatever its length: the frames of 25 ms
    that most families look at, and longer ones around the same centres.

    Attributes:
        first_sample: Where in the recording `samples` starts, in samples at 16 kHz.
        samples: float32: all samples of the frames of 25 ms. A whole block shares its last
            `FRAME_LENGTH - HOP` samples with the next one; only the last block of a recording is shorter
            than the others, and it may be too short to hold a frame.
        surrounded: float32: `samples` with `MARGIN` samples of the recording before and after them, zeros where
            it has none.
        masks: bool, shape (3, frames): whose each frame of 25 ms is, rows in the order of `SPEAKERS`. A frame
            that touches a gap (`_gaps`) is nobody's.
        n_gap_samples: Number of the samples up to the next block's first that lie in a gap.
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

        The squared magnitude of the DFT of each frame times a periodic Hann window. It is computed when
        first asked for, and once for all families.
        """
        return self._spectrum.of(self.samples, self.n_frames)

    @property
    def n_frames(self) -> int:
        """Number of frames whose 25 ms lie inside the recording."""
        return int(self.masks.shape[1])

    def frames(self, length: int) -> NDArray[np.float32]:
        """The frames of some length around the same centres.

        Args:
            length: Samples in each, even, from `FRAME_LENGTH` to `LONGEST_FRAME`.

        Returns:
            float32, shape (frames, length), a view; zeros where the recording has no samples.
        """
        first = MARGIN - (length - FRAME_LENGTH) // 2
        frames: NDArray[np.float32] = sliding_window_view(self.surrounded[first:], length)[::HOP][: self.n_frames]
        return frames

    def own(self, length: int) -> NDArray[np.bool_]:
        """Whose the frames of some length are.

        Args:
            length: As for `frames`.

        Returns:
            bool, shape (3, frames), rows in the order of `SPEAKERS`. A frame that touches a gap or passes the
            recording's ends is nobody's.
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
        # Before a recording's first sample there is a margin of zeros.
        self._n_waiting = MARGIN
        self._first_sample = 0

    def add(self, samples: NDArray[np.float32]) -> Iterator[Block]:
        """Yield the blocks that the next samples complete; each is valid until the next is asked for."""
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
        """Yield what the whole blocks left: one block or two, the last possibly without samples."""
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
        """Samples added so far."""
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
        start: Where the recording starts in it; may be negative.
        end: Where the recording's known samples end in it; may be beyond it.

    Returns:
        bool, shape (n,), whether each sample is in a gap; None where there is none. What is outside the recording
        is in none.
    """
    zero = surrounded == 0
    zero[: max(start, 0)] = zero[max(end, 0) :] = False
    if np.count_nonzero(zero) < _GAP:
        return None
    # The bounds of runs of zeros, found where the truth changes.
    bounds = np.flatnonzero(np.diff(zero, prepend=False, append=False))
    starts, ends = bounds[::2], bounds[1::2]
    # A run that goes on outside the array and is short inside it ends too far from any frame to matter: the margin
    # is longer than what the longest frame and a gap take.
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
    """Square the magnitude of complex numbers, overwriting them: complex64 to float32 of the same shape."""
    # Squaring real and imaginary parts as one contiguous array is faster than separately.
    parts = spectrum.view(np.float32)
    np.square(parts, out=parts)
    power: NDArray[np.float32] = spectrum.real + spectrum.imag
    return power
