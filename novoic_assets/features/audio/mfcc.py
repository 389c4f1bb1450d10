"""Mel-frequency cepstral coefficients, averaged over a speaker's frames.

Definition: the power spectrum of `blocks.Block`; 40 triangular mel bands (Slaney's mel scale and normalisation,
"Auditory Toolbox", Interval Research Technical Report 1998-010) from 20 to 8,000 Hz; 10 log10 of each band, at least
-100 dB; orthonormal DCT-II over the bands; coefficients 0 to 12; mean over frames. This equals librosa's
`mfcc(..., dct_type=2, norm="ortho")` of the same spectrum without `top_db`.

The coefficients are in dB, as an orthonormal transform of decibels. `mfcc_0` is the mean level of the bands times
sqrt(40).
"""

from typing import Final

import numpy as np
import scipy.fft

from novoic_assets.features.audio.bandwidth import WIDEBAND_HZ
from novoic_assets.features.audio.blocks import Block
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.mel import DB_PER_NEPER, MelBands
from novoic_assets.features.family import SPEAKERS, Computed, Cost, Flag, Speaker, Value

N_COEFFICIENTS: Final = 13


class MeanMfcc:
    """Accumulates the mean MFCC vector of each speaker.

    The DCT is linear, so the mean of the bands in dB is transformed once.
    """

    def __init__(self, bands: MelBands) -> None:
        self._bands = bands
        self._sum_db = np.zeros((len(SPEAKERS), bands.n_bands))
        self._n_frames = np.zeros(len(SPEAKERS), np.int64)

    def add(self, block: Block) -> None:
        """Add the frames of a block."""
        logarithms = self._bands.logarithms(block).astype(np.float64)
        self._sum_db += block.masks.astype(np.float64) @ logarithms * DB_PER_NEPER
        self._n_frames += block.masks.sum(axis=1)

    def values(self, speaker: Speaker) -> Computed:
        """Return the speaker's 13 coefficients, in dB."""
        row = SPEAKERS.index(speaker)
        coefficients = scipy.fft.dct(self._sum_db[row] / self._n_frames[row], type=2, norm="ortho")
        values: list[float] = coefficients[:N_COEFFICIENTS].tolist()
        return values


MFCC: Final = AudioFamily(
    name="mfcc",
    version="2",
    cost=Cost(session=1e-3, second=0.00012),
    description="Mean mel-frequency cepstral coefficients: the shape of the voice's spectrum.",
    members=tuple(
        Value(
            name=f"mfcc_{index}",
            unit="dB",
            formula=f"mean over the speaker's frames of coefficient {index} of the orthonormal DCT-II of 40 mel bands"
            " (20 to 8,000 Hz) in dB",
            source="Davis & Mermelstein 1980; bands of Slaney 1998",
            flags=frozenset({Flag.DEPENDS_ON_GAIN}) if index == 0 else frozenset(),
            highest_hz=WIDEBAND_HZ,
        )
        for index in range(N_COEFFICIENTS)
    ),
    accumulator=lambda analysis: MeanMfcc(analysis.mel_bands),
    if_inaudible=True,
)
