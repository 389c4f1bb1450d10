"""How loud a speaker is, how much they pause, and how many syllables they say.

Pauses are searched in turns (`frames.Turns`), which include the time between a speaker's consecutive segments: a
transcript that begins a new segment after each pause would otherwise show no pauses. Stretches of exact zeros are
neither speech nor pause, since their sound is unknown. They divide a turn.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.blocks import FRAME_LENGTH, HOP, Block, cosine_window
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.frame_levels import mean_level
from novoic_assets.features.audio.frames import runs
from novoic_assets.features.family import ALL, SPEAKERS, Computed, Cost, Flag, Speaker, Undefined, Value
from novoic_assets.sessions.recording import SAMPLE_RATE

_FRAMES_PER_SECOND: Final = SAMPLE_RATE // HOP
_LEAST_FRAMES: Final = 100
_PAUSE_SHARE: Final = 0.35
_LEAST_RANGE_DB: Final = 20.0
_SHORTEST_PAUSE: Final = 25  # frames
# For syllables the level is smoothed over 70 ms, about the length of Praat's window for 50 Hz, so that single periods
# of a deep voice do not make peaks.
_SMOOTHING: Final = cosine_window((0.5, 0.5), 8)[1:]
_LEAST_DIP_DB: Final = 2.0
_BELOW_LOUDEST_DB: Final = 25.0


class LevelAndPauses:
    """Reads the level and the pitch of the recording after its last block."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._level = analysis.frame_levels
        self._pitch = analysis.pitch

    def add(self, block: Block) -> None:
        """Do nothing: the shared analyses receive the block."""

    def values(self, speaker: Speaker) -> Computed:
        """Return the speaker's 7 values."""
        row = SPEAKERS.index(speaker)
        level = self._level.dbfs()
        starts = np.arange(len(level), dtype=np.int64) * HOP
        in_turn = self._analysis.turns.in_turn(starts, FRAME_LENGTH)[row] & self._analysis.masks[SPEAKERS.index(ALL)]
        level_mean = mean_level(level[self._analysis.masks[row]])
        if np.count_nonzero(in_turn) < _LEAST_FRAMES:
            return [level_mean, *[Undefined.TOO_SHORT] * 6]
        low, high = np.percentile(level[in_turn], [5, 95])
        pauses: list[float | Undefined] = [Undefined.FLAT_LEVEL] * 4
        if high - low >= _LEAST_RANGE_DB:
            pauses = _pauses(in_turn, level < low + _PAUSE_SHARE * (high - low))
        n_syllables = len(_syllables(level, in_turn, self._pitch.track().voiced))
        return [
            level_mean,
            float(high - low),
            *pauses,
            n_syllables * _FRAMES_PER_SECOND / int(np.count_nonzero(in_turn)),
        ]


def _pauses(in_turn: NDArray[np.bool_], is_quiet: NDArray[np.bool_]) -> list[float | Undefined]:
    """Pauses per minute, their mean length in s, their share, and the mean length in s of the speech between them."""
    starts, ends = runs(in_turn & is_quiet)
    is_long = ends - starts >= _SHORTEST_PAUSE
    starts, ends = starts[is_long], ends[is_long]
    in_pause = np.zeros(len(in_turn) + 1, np.int8)
    in_pause[starts] += 1
    in_pause[ends] -= 1
    speech_starts, speech_ends = runs(in_turn & (np.cumsum(in_pause[:-1], dtype=np.int8) == 0))
    n_frames, n_paused = int(np.count_nonzero(in_turn)), int(np.sum(ends - starts))
    return [
        60 * _FRAMES_PER_SECOND * len(starts) / n_frames,
        n_paused / len(starts) / _FRAMES_PER_SECOND if len(starts) else Undefined.ZERO_DENOMINATOR,
        n_paused / n_frames,
        float(np.mean(speech_ends - speech_starts)) / _FRAMES_PER_SECOND
        if len(speech_starts)
        else Undefined.ZERO_DENOMINATOR,
    ]


def _syllables(level: NDArray[np.float32], in_turn: NDArray[np.bool_], voiced: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the frames of syllable nuclei (N. H. de Jong and T. Wempe, Behavior Research Methods 41(2), 2009).

    A nucleus is a voiced peak of the level, at most 25 dB below the 99th percentile. After it the level falls by more
    than 2 dB before the next peak or the end of the run of the speaker's frames.
    """
    power = np.where(in_turn, 10 ** (level / 10), 0)
    # At the edge of a run the mean covers only the frames inside it.
    weight = np.convolve(in_turn.astype(np.float32), _SMOOTHING, "same")
    smooth = np.convolve(power, _SMOOTHING, "same") / np.where(in_turn, weight, 1)
    smooth_db = 10 * np.log10(np.where(in_turn, smooth, 1))

    before, after = smooth_db[:-2], smooth_db[2:]
    is_peak = np.zeros(len(level), np.bool_)
    is_peak[1:-1] = in_turn[:-2] & in_turn[1:-1] & in_turn[2:] & (before < smooth_db[1:-1]) & (smooth_db[1:-1] >= after)
    is_peak &= smooth_db >= np.percentile(smooth_db[in_turn], 99) - _BELOW_LOUDEST_DB
    peaks = np.flatnonzero(is_peak)
    if not len(peaks):
        return peaks
    _, run_ends = runs(in_turn)
    ends = np.append(peaks[1:], len(level))
    ends = np.minimum(ends, run_ends[np.searchsorted(run_ends, peaks, side="right")])
    # The lowest level from each peak to its end; the other minima, between an end and the next peak, are dropped.
    bounds = np.column_stack([peaks, ends]).reshape(-1)
    lowest = np.minimum.reduceat(np.append(smooth_db, np.float32(np.inf)), bounds)[::2]
    return peaks[(smooth_db[peaks] - lowest > _LEAST_DIP_DB) & voiced[peaks]]


_TURNS: Final = f"{_LEAST_FRAMES} frames of turns (1 s)"
_PAUSE: Final = (
    "a pause is a stretch of at least 0.25 s of a turn in which the level is below p5 + 0.35 (p95 - p5) of the turns"
)
_PAUSE_REASONS: Final = (Undefined.TOO_SHORT, Undefined.FLAT_LEVEL)

LEVEL_AND_PAUSES: Final = AudioFamily(
    name="level_and_pauses",
    version="1",
    cost=Cost(session=1e-3, second=0.00015),
    description="Loudness, pauses within the speaker's turns, and the rate of syllables, from the signal alone.",
    members=(
        Value(
            name="level_mean",
            unit="dBFS",
            formula="10 log10 of the mean square above 94 Hz over the speaker's frames; a sine of full scale is -3.01",
            source="ITU-T P.56 without its activity threshold",
            typical=(-45, -15),
            flags=frozenset({Flag.DEPENDS_ON_GAIN}),
        ),
        Value(
            name="level_range",
            unit="dB",
            formula="95th minus 5th percentile of the level of the frames in the speaker's turns",
            source="Eyben et al. 2016, with percentiles of the level",
            typical=(20, 60),
            undefined=(Undefined.TOO_SHORT,),
            least=_TURNS,
        ),
        Value(
            name="pause_rate",
            unit="1/min",
            formula=f"pauses per minute of the speaker's turns; {_PAUSE}",
            source="Fraser et al. 2016",
            typical=(5, 40),
            undefined=_PAUSE_REASONS,
            least=_TURNS,
        ),
        Value(
            name="pause_mean",
            unit="s",
            formula=f"mean length of the pauses; {_PAUSE}",
            source="Fraser et al. 2016",
            typical=(0.4, 1.5),
            undefined=(*_PAUSE_REASONS, Undefined.ZERO_DENOMINATOR),
            least=f"{_TURNS}, one pause",
        ),
        Value(
            name="pause_frac",
            unit="1",
            formula=f"share of the speaker's turns that is pauses; {_PAUSE}",
            source="Fraser et al. 2016",
            typical=(0.1, 0.5),
            undefined=_PAUSE_REASONS,
            least=_TURNS,
        ),
        Value(
            name="speech_run_mean",
            unit="s",
            formula=f"mean length of the stretches of the speaker's turns between pauses; {_PAUSE}",
            source="Thomas et al. 2017",
            typical=(0.8, 4),
            undefined=(*_PAUSE_REASONS, Undefined.ZERO_DENOMINATOR),
            least=_TURNS,
        ),
        Value(
            name="syllable_rate",
            unit="1/s",
            formula="syllable nuclei per second of the speaker's turns, pauses included: voiced peaks of the level"
            " (smoothed over 70 ms), at most 25 dB below its 99th percentile, after which it falls by more than 2 dB",
            source="de Jong & Wempe 2009",
            typical=(2, 5),
            undefined=(Undefined.TOO_SHORT,),
            least=_TURNS,
        ),
    ),
    accumulator=LevelAndPauses,
)
