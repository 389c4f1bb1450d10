"""What the samples of a recording tell of how it was made: its offset, its clipping, the bits that it uses."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Bits of a sample by libsndfile's subtype; what is not here is lossy and has no fixed number.
_BITS: Final = {
    "PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "ULAW": 8, "ALAW": 8, "FLOAT": 32, "DOUBLE": 64,
}  # fmt: skip
# What a float32, as libsndfile gives samples, holds of an integer.
_EXACT_BITS: Final = 24
# -20 dB of full scale: 12 steps of 8 bits.
_LOWEST_CLIPPING: Final = 0.1


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """What the samples of a recording tell of how it was made, before they are averaged over channels and resampled.

    Attributes:
        offset: The mean of all samples, relative to full scale.
        clipped_share: The share of samples that lie at the recording's own highest or lowest value. One at each is
            no clipping, nor is anything where the value is below -20 dB of full scale: there a coarse
            quantisation has few steps.
        bits: Bits that the encoding gives a sample; None where it has no fixed number, as lossy ones.
        used_bits: Of those, the bits down to the lowest one that is ever set; None for what is no integer.
    """

    offset: float
    clipped_share: float
    bits: int | None
    used_bits: int | None


class SampleObserver:
    """Gathers what `SampleFacts` tells from the blocks of the source."""

    def __init__(self, subtype: str) -> None:
        self._bits = _BITS.get(subtype)
        self._is_integer = subtype.startswith("PCM_")
        self._used = 0
        self._sum = 0.0
        self._n_samples = 0
        self._lowest, self._n_lowest = np.inf, 0
        self._highest, self._n_highest = -np.inf, 0

    def add(self, block: NDArray[np.float32]) -> None:
        """Add a block of the source's samples, shape (frames, channels)."""
        samples = block.reshape(-1)
        self._n_samples += len(samples)
        self._sum += float(samples.sum())
        # Most blocks do not reach the extremes of those before, and need no counting.
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
        """Bits down to the lowest one set so far; 0 where none is."""
        lowest_bit = self._used & -self._used
        return _EXACT_BITS - lowest_bit.bit_length() + 1 if lowest_bit else 0

    def facts(self, full_scale: float) -> SampleFacts:
        """What was gathered; `full_scale` is the value of full scale in the source."""
        extremes = ((-self._lowest, self._n_lowest), (self._highest, self._n_highest))
        clipped = sum(count - 1 for value, count in extremes if value >= _LOWEST_CLIPPING * full_scale)
        return SampleFacts(
            offset=self._sum / self._n_samples / full_scale,
            clipped_share=clipped / self._n_samples,
            bits=self._bits,
            used_bits=self._used_bits if self._is_integer else None,
        )
