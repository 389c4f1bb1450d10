"""Mel-frequency cepstral coefficients of the band of a telephone.

They follow `mfcc`, but with 30 bands of about the same width from 20 to 3,800 Hz. Every recording has them, whatever
its bandwidth, so they compare recordings of different bandwidths. If the recorder or the sampling rate follows the
diagnosis, a model learns that difference from wider values instead of the speech.
"""

from typing import Final

from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.mel import MelBands
from novoic_assets.features.audio.mfcc import N_COEFFICIENTS, MeanMfcc
from novoic_assets.features.family import Cost, Flag, Value

_N_BANDS: Final = 30
_LOWEST_HZ: Final = 20.0
_HIGHEST_HZ: Final = 3_800.0

MFCC_NARROW: Final = AudioFamily(
    name="mfcc_narrow",
    version="1",
    cost=Cost(session=1e-3, second=0.0001),
    description="Mean mel-frequency cepstral coefficients up to 3,800 Hz: comparable between telephones and studios.",
    members=tuple(
        Value(
            name=f"mfcc_narrow_{index}",
            unit="dB",
            formula=f"mean over the speaker's frames of coefficient {index} of the orthonormal DCT-II of {_N_BANDS}"
            " mel bands (20 to 3,800 Hz) in dB",
            source="Davis & Mermelstein 1980; bands of Slaney 1998",
            flags=frozenset({Flag.DEPENDS_ON_GAIN}) if index == 0 else frozenset(),
        )
        for index in range(N_COEFFICIENTS)
    ),
    accumulator=lambda _: MeanMfcc(MelBands(_LOWEST_HZ, _HIGHEST_HZ, _N_BANDS)),
    if_inaudible=True,
)
