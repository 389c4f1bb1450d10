"""How high a speaker's voice is, and how it moves.

Pitch is in semitones above 27.5 Hz, the lowest A of a piano. Equal steps sound equal, so the spreads of low and high
voices are comparable.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.blocks import HOP, Block
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.family import SPEAKERS, Computed, Cost, Speaker, Undefined, Value
from novoic_assets.sessions.recording import SAMPLE_RATE

LEAST_FRAMES: Final = 20
"""Fewer voiced frames (0.2 s) cover less than a syllable or two."""
GREATEST_RATIO: Final = 1.3
"""A greater ratio of neighbouring periods is an error of the analysis, not a movement of the voice."""

_REFERENCE_HZ: Final = 27.5
_LEAST_RUNS: Final = 5
# 0.1 s: one or two glottal pulses more or less decide the slope of a shorter run.
_SHORTEST_RUN: Final = 10
_FRAMES_PER_SECOND: Final = SAMPLE_RATE / HOP


def semitones(f0_hz: NDArray[np.float32]) -> NDArray[np.float64]:
    """Express pitch in semitones above 27.5 Hz.

    Args:
        f0_hz: float32, any shape, in Hz.

    Returns:
        float64 of the same shape.

    Example:
        >>> semitones(np.array([110.0, 220.0], np.float32))
        array([24., 36.])
    """
    above: NDArray[np.float64] = 12 * np.log2(f0_hz.astype(np.float64) / _REFERENCE_HZ)
    return above


def run_slopes(semitone: NDArray[np.float64], steps: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the slope of the regression line through each voiced run of at least 0.1 s.

    Args:
        semitone: float64, shape (frames,), in semitones; NaN where unvoiced.
        steps: bool, shape (frames - 1,): whether a run continues from a frame to the next (`PitchTrack.steps`).

    Returns:
        float64, shape (runs,), in semitones per second.
    """
    bounds = np.flatnonzero(np.diff(steps, prepend=False, append=False))
    first, last = bounds[::2], bounds[1::2]
    long = last - first + 1 >= _SHORTEST_RUN
    first, last = first[long], last[long]
    length = last - first + 1
    run = np.repeat(np.arange(len(length)), length)
    frame = np.arange(len(run)) + np.repeat(first - (np.cumsum(length) - length), length)
    from_middle = frame - np.repeat((first + last) / 2, length)
    # The squares of n whole steps around their middle sum to n (n^2 - 1) / 12.
    rise = np.bincount(run, from_middle * semitone[frame], len(length)) / (length * (length**2.0 - 1) / 12)
    slopes: NDArray[np.float64] = rise * _FRAMES_PER_SECOND
    return slopes


class Pitch:
    """The pitch of each speaker."""

    def __init__(self, analysis: Analysis) -> None:
        self._tracker = analysis.pitch

    def add(self, _: Block) -> None:
        """Do nothing: the shared tracker receives the block."""

    def values(self, speaker: Speaker) -> Computed:
        """Return the speaker's six values."""
        track = self._tracker.track()
        own = track.own[SPEAKERS.index(speaker)]
        n_own = int(np.count_nonzero(own))
        semitone = semitones(track.f0_hz)
        voiced = semitone[track.voiced & own]
        levels: Computed = [Undefined.TOO_SHORT] * 4
        if len(voiced) >= LEAST_FRAMES:
            p5, p25, median, p75, p95 = np.quantile(voiced, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
            levels = [median, p75 - p25, p5, p95]
        slopes = run_slopes(semitone, track.steps(own, GREATEST_RATIO))
        return [
            *levels,
            float(np.median(slopes)) if len(slopes) >= _LEAST_RUNS else Undefined.TOO_SHORT,
            len(voiced) / n_own if n_own >= LEAST_FRAMES else Undefined.TOO_SHORT,
        ]


_METHOD: Final = (
    "normalised autocorrelation of 40 ms Hann frames every 10 ms, 60 to 400 Hz, 5 candidates, Viterbi path; voicing"
    " threshold 0.45, silence threshold 0.03, costs: octave 0.01, octave jump 0.35, change of voicing 0.14"
)
_SOURCE: Final = "Boersma 1993"
_OF_VOICED: Final = "over the speaker's voiced frames of the pitch in semitones above 27.5 Hz"

PITCH: Final = AudioFamily(
    name="pitch",
    version="1",
    cost=Cost(session=1e-3, second=0.0006),
    description="How high the voice is, how widely and in which direction it moves, and how much of the time there is"
    " voice.",
    settings=_METHOD,
    members=(
        *(
            Value(
                name=name,
                unit="semitone",
                formula=f"{what} {_OF_VOICED} ({_METHOD})",
                source=_SOURCE,
                typical=typical,
                undefined=(Undefined.TOO_SHORT,),
                least=f"{LEAST_FRAMES} voiced frames",
            )
            for name, what, typical in (
                ("f0_median", "median", (18.0, 40.0)),
                ("f0_iqr", "p75 - p25", (1.5, 7.0)),
                ("f0_p5", "p5", (14.0, 35.0)),
                ("f0_p95", "p95", (22.0, 46.0)),
            )
        ),
        Value(
            name="f0_slope",
            unit="semitone/s",
            formula=f"median, over the speaker's voiced runs of at least {_SHORTEST_RUN} frames (0.1 s), of the slope"
            " of the least-squares line through the pitch; neighbouring periods whose ratio is above"
            f" {GREATEST_RATIO} end a run",
            source=f"{_SOURCE}; the slope of a run is that of many prosodic studies",
            typical=(-25.0, 10.0),
            undefined=(Undefined.TOO_SHORT,),
            least=f"{_LEAST_RUNS} voiced runs of 0.1 s",
        ),
        Value(
            name="voiced_frac",
            unit="1",
            formula="the speaker's voiced frames / all their frames of 40 ms, pauses within their segments included",
            source=_SOURCE,
            typical=(0.25, 0.8),
            undefined=(Undefined.TOO_SHORT,),
            least=f"{LEAST_FRAMES} frames",
        ),
    ),
    accumulator=Pitch,
)
