"""Measure what the samples show about how a recording was made: its offset, its clipping, the bits it uses."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Bits of a sample by libsndfile's subtype. Other subtypes are lossy and have no fixed number of bits.
_BITS: Final = {
    "PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "ULAW": 8, "ALAW": 8, "FLOAT": 32, "DOUBLE": 64,
}  # fmt: skip
# Bits of an integer that a float32 holds exactly; libsndfile returns samples as float32.
_EXACT_BITS: Final = 24
# -20 dB of full scale: 12 steps of 8 bits.
_LOWEST_CLIPPING: Final = 0.1


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """What the samples show about how a recording was made, before channels are averaged and samples resampled.

    Attributes:
        offset: The mean of all samples, relative to full scale.
        clipped_share: The share of samples at the recording's own highest or lowest value. One sample at each does
            not count as clipping. A value below -20 dB of full scale does not count either, since a coarse
            quantisation has few steps there.
        bits: Bits per sample of the encoding; None if it has no fixed number, as in lossy encodings.
        used_bits: How many of these bits are used, from the highest down to the lowest one ever set; None if the
            samples are not integers.
    """

    offset: float
    clipped_share: float
    bits: int | None
    used_bits: int | None


class SampleObserver:
    """Gather the `SampleFacts` of a recording from the blocks of its source.

    Example:
        >>> observer = SampleObserver("PCM_16")
        >>> observer.add(np.array([[0.5], [0.5], [0.0], [-0.5]], np.float32))
        >>> observer.facts(full_scale=1.0)
        SampleFacts(offset=0.125, clipped_share=0.25, bits=16, used_bits=2)
    """

    def __init__(self, subtype: str) -> None:
        """Start without samples.

        Args:
            subtype: libsndfile's name of the sample format, such as `PCM_16`.
        """
        self._bits = _BITS.get(subtype)
        self._is_integer = subtype.startswith("PCM_")
        self._used = 0
        self._sum = 0.0
        self._n_samples = 0
        self._lowest, self._n_lowest = np.inf, 0
        self._highest, self._n_highest = -np.inf, 0

    def add(self, block: NDArray[np.float32]) -> None:
        """Add a block of the source's samples: float32, shape (frames, channels), at least one frame."""
        samples = block.reshape(-1)
        self._n_samples += len(samples)
        self._sum += float(samples.sum())
        # Most blocks do not reach the extremes of earlier blocks, and need no counting.
        lowest, highest = float(samples.min()), float(samples.max())
        if lowest <= self._lowest:
            before = self._n_lowest if lowest == self._lowest else 0
            self._lowest, self._n_lowest = lowest, before + int(np.count_nonzero(samples == lowest))
        if highest >= self._highest:
            before = self._n_highest if highest == self._highest else 0
            self._highest, self._n_highest = highest, before + int(np.count_nonzero(samples == highest))
        if self._is_integer and self._bits is not None and self._used_bits < min(self._bits, _EXACT_BITS):
            integers = (samples * np.float32(2 ** (_EXACT_BITS - 1))).astype(np.int32)
            self._used |= int(np.bitwise_or.reduce(integers))

    @property
    def _used_bits(self) -> int:
        """Bits down to the lowest one set so far; 0 if none is set."""
        lowest_bit = self._used & -self._used
        return _EXACT_BITS - lowest_bit.bit_length() + 1 if lowest_bit else 0

    def facts(self, full_scale: float) -> SampleFacts:
        """Return the facts of all samples so far, at least one.

        Args:
            full_scale: The value of full scale in the source.
        """
        extremes = ((-self._lowest, self._n_lowest), (self._highest, self._n_highest))
        clipped = sum(count - 1 for value, count in extremes if value >= _LOWEST_CLIPPING * full_scale)
        return SampleFacts(
            offset=self._sum / self._n_samples / full_scale,
            clipped_share=clipped / self._n_samples,
            bits=self._bits,
            used_bits=self._used_bits if self._is_integer else None,
        )
