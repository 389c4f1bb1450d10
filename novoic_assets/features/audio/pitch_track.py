"""The pitch of each frame: normalised autocorrelation, and the best path through its candidates.

The method is that of P. Boersma, "Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17, 1993, with two differences. A frame is 40 ms long
whatever the lowest pitch. A frame counts as quiet by its RMS relative to the recording's loud periodic frames, not by
its peak relative to the highest peak, which a single click would set.

A frame has up to five candidates: the highest local maxima of the autocorrelation of the windowed frame, divided by
that of the window. Each candidate has a strength, and so has the choice that the frame is unvoiced. The pitch of the
recording is the path with the greatest sum of strengths minus the costs of changes in pitch and in voicing.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from novoic_assets.features.audio.blocks import Block, cosine_window, squared_magnitude
from novoic_assets.features.family import ALL, SPEAKERS
from novoic_assets.sessions.recording import SAMPLE_RATE

PITCH_FRAME: Final = 640
"""40 ms."""
PITCH_FFT_LENGTH: Final = 1_024
"""A frame is padded with zeros to this length, so that the autocorrelation up to the longest lag does not wrap."""
LOWEST_HZ: Final = 60.0
HIGHEST_HZ: Final = 400.0
VOICING_THRESHOLD: Final = 0.45
"""The strength of the unvoiced choice in a frame that is loud enough."""

SHORTEST_LAG: Final = round(SAMPLE_RATE / HIGHEST_HZ)
LONGEST_LAG: Final = int(SAMPLE_RATE / LOWEST_HZ) + 1
"""In samples; the longest lag is rounded up, so that a maximum at 60 Hz has a neighbour on either side."""

_N_CANDIDATES: Final = 5
# Costs and thresholds have the values of Boersma and Praat. Costs are per octave, and per change of voicing.
_SILENCE_THRESHOLD: Final = 0.03
_OCTAVE_COST: Final = 0.01
_OCTAVE_JUMP_COST: Final = 0.35
_VOICING_CHANGE_COST: Final = 0.14
# A weaker candidate always loses: two changes of voicing make its frame unvoiced at a gain.
_LEAST_STRENGTH: Final = VOICING_THRESHOLD - 2 * _VOICING_CHANGE_COST
# Frames that are transformed together: few enough for their arrays to stay in the second-level cache.
_CHUNK: Final = 128
# Rounds of the search for frames that must be unvoiced: each extends the used neighbourhood by a frame.
_ROUNDS: Final = 16


def window_autocorrelation(window: NDArray[np.float32], n_lags: int) -> NDArray[np.float32]:
    """Return the autocorrelation of a window, relative to lag 0.

    Args:
        window: float32, shape (n,).
        n_lags: Number of lags from 0 on, at most n.

    Returns:
        float32, shape (n_lags,).

    Example:
        >>> window_autocorrelation(np.ones(4, np.float32), 3)
        array([1.  , 0.75, 0.5 ], dtype=float32)
    """
    double = window.astype(np.float64)
    correlation = np.array([double[: len(double) - lag] @ double[lag:] for lag in range(n_lags)])
    relative: NDArray[np.float32] = (correlation / correlation[0]).astype(np.float32)
    return relative


def refined_peak(
    before: NDArray[np.float32], peak: NDArray[np.float32], after: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the vertex of the parabola through a local maximum and its two neighbours.

    Args:
        before: float32, shape (n,), not above `peak`.
        peak: float32, shape (n,).
        after: float32, shape (n,), not above `peak`.

    Returns:
        float32, shape (n,) each: its offset from the maximum, from -0.5 to 0.5 samples, and its height.

    Example:
        >>> refined_peak(np.float32([0.0]), np.float32([1.0]), np.float32([1.0]))
        (array([0.5], dtype=float32), array([1.125], dtype=float32))
    """
    curvature = 2 * peak - before - after
    slope = (after - before) * np.float32(0.5)
    # Three equal values have no vertex; take the middle one.
    offset = np.divide(slope, curvature, out=np.zeros_like(peak), where=curvature > 0)
    return offset, peak + slope * offset * np.float32(0.5)


_WINDOW: Final = cosine_window((0.5, 0.5), PITCH_FRAME)  # Hann
_WINDOW_ENERGY: Final = float(np.sum(_WINDOW.astype(np.float64) ** 2))
# A local maximum at the shortest lag needs a neighbour.
_FIRST_LAG: Final = SHORTEST_LAG - 1
_WINDOW_FACTOR: Final = np.float32(1) / window_autocorrelation(_WINDOW, LONGEST_LAG + 2)[_FIRST_LAG:]


@dataclass(frozen=True, eq=False)
class PitchTrack:
    """The pitch of a recording's frames of 40 ms.

    Attributes:
        f0_hz: float32, shape (frames,); NaN where the frame is unvoiced, touches a gap or extends beyond the
            recording's ends.
        voiced: bool, shape (frames,).
        strength: float32, shape (frames,): the normalised autocorrelation at the pitch; NaN where unvoiced.
        own: bool, shape (3, frames): whose each frame is, rows in the order of `SPEAKERS`.
    """

    f0_hz: NDArray[np.float32]
    voiced: NDArray[np.bool_]
    strength: NDArray[np.float32]
    own: NDArray[np.bool_]

    def steps(self, own: NDArray[np.bool_], greatest_ratio: float) -> NDArray[np.bool_]:
        """Return where a voiced run of a speaker continues from one frame to the next.

        Args:
            own: bool, shape (frames,): which frames are the speaker's.
            greatest_ratio: The greatest ratio of neighbouring periods, the longer to the shorter, within a run.

        Returns:
            bool, shape (frames - 1,): whether frames k and k + 1 are in the same run.
        """
        voiced = self.voiced & own
        both = voiced[:-1] & voiced[1:]
        ratio = np.ones(len(both), np.float32)
        np.divide(self.f0_hz[1:], self.f0_hz[:-1], out=ratio, where=both)
        in_run: NDArray[np.bool_] = both & (ratio <= greatest_ratio) & (ratio >= 1 / greatest_ratio)
        return in_run


class PitchTracker:
    """Finds the candidates of each block, and after the last block the path through them.

    Attributes:
        power: float32, shape (frames, PITCH_FFT_LENGTH / 2 + 1): the power spectra of the latest block's frames,
            minus their means and under a Hann window. The next block overwrites it.
        best_strength: float32, shape (frames,): the strength of the best candidate of each frame of the latest block.
    """

    def __init__(self) -> None:
        self._windowed = np.zeros((_CHUNK, PITCH_FFT_LENGTH), np.float32)
        self._power = np.zeros((0, PITCH_FFT_LENGTH // 2 + 1), np.float32)
        self.power = self._power
        self.best_strength = np.zeros(0, np.float32)
        self._lag: list[NDArray[np.float32]] = []
        self._strength: list[NDArray[np.float32]] = []
        self._rms: list[NDArray[np.float32]] = []
        self._own: list[NDArray[np.bool_]] = []

    def add(self, block: Block) -> None:
        """Find the candidates of a block's frames."""
        if block.n_frames == 0:
            return
        if len(self._power) < block.n_frames:
            self._power = np.zeros((block.n_frames, self._power.shape[1]), np.float32)
        self.power = self._power[: block.n_frames]
        frames = block.frames(PITCH_FRAME)
        own = block.own(PITCH_FRAME)
        anybody = own[SPEAKERS.index(ALL)]
        lag = np.ones((block.n_frames, _N_CANDIDATES), np.float32)
        strength = np.full((block.n_frames, _N_CANDIDATES), -np.inf, np.float32)
        rms = np.zeros(block.n_frames, np.float32)
        for start in range(0, block.n_frames, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            energy, correlation = self._correlate(frames[chunk], self.power[chunk])
            energy *= anybody[chunk]
            _find_candidates(energy, correlation, lag[chunk], strength[chunk])
            rms[chunk] = np.sqrt(energy * np.float32(1 / (PITCH_FFT_LENGTH * _WINDOW_ENERGY)))
        self.best_strength = strength[:, 0]
        self._lag.append(lag)
        self._strength.append(strength)
        self._rms.append(rms)
        self._own.append(own)

    def _correlate(
        self, frames: NDArray[np.float32], power: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Write the power spectra of some frames, and return their energies and autocorrelations.

        Args:
            frames: float32, shape (n, PITCH_FRAME).
            power: float32, shape (n, PITCH_FFT_LENGTH / 2 + 1); overwritten.

        Returns:
            float32, shape (n,): the energies of the windowed frames times PITCH_FFT_LENGTH; and float32, shape
            (n, lags): their autocorrelations divided by the window's, in the same unit, from lag `_FIRST_LAG` on.
        """
        windowed = self._windowed[: len(frames)]
        np.subtract(frames, frames.mean(axis=1, keepdims=True), out=windowed[:, :PITCH_FRAME])
        windowed[:, :PITCH_FRAME] *= _WINDOW
        power[:] = squared_magnitude(scipy.fft.rfft(windowed, axis=1))
        # A cosine transform gives the inverse Fourier transform of a real, even spectrum at two thirds of the cost.
        unscaled = scipy.fft.dct(power, type=1, axis=1)
        return unscaled[:, 0].copy(), unscaled[:, _FIRST_LAG : LONGEST_LAG + 2] * _WINDOW_FACTOR

    @cached_property
    def _track(self) -> PitchTrack:
        n_frames = sum(len(part) for part in self._rms)
        f0_hz = np.full(n_frames, np.nan, np.float32)
        strength = np.full(n_frames, np.nan, np.float32)
        if not n_frames:
            return PitchTrack(f0_hz, np.zeros(0, np.bool_), strength, np.zeros((len(SPEAKERS), 0), np.bool_))
        # Each list is freed before the next array is made: for four hours one takes 29 MB.
        lag, local_strength, rms = (_joined(parts) for parts in (self._lag, self._strength, self._rms))
        unvoiced_strength = _unvoiced_strength(rms, local_strength[:, 0])
        choice = best_path(lag, local_strength, unvoiced_strength)
        voiced = choice >= 0
        at = (np.flatnonzero(voiced), choice[voiced])
        f0_hz[voiced] = np.float32(SAMPLE_RATE) / lag[at]
        strength[voiced] = local_strength[at] + _octave_cost(lag[at])
        return PitchTrack(f0_hz, voiced, strength, np.concatenate(self._own, axis=1))

    def track(self) -> PitchTrack:
        """Return the pitch of the complete recording, after the last block."""
        return self._track


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Concatenate a list's arrays and empty it."""
    joined = np.concatenate(parts)
    parts.clear()
    return joined


def _octave_cost(lag: NDArray[np.float32]) -> NDArray[np.float32]:
    cost: NDArray[np.float32] = np.float32(_OCTAVE_COST) * np.log2(lag * np.float32(LOWEST_HZ / SAMPLE_RATE))
    return cost


def _find_candidates(
    energy: NDArray[np.float32],
    correlation: NDArray[np.float32],
    lag: NDArray[np.float32],
    strength: NDArray[np.float32],
) -> None:
    """Find the candidates of frames, the strongest first.

    Args:
        energy: float32, shape (n,); a frame without energy has no candidates.
        correlation: float32, shape (n, lags), in the same unit, from lag `_FIRST_LAG` on.
        lag: float32, shape (n, 5); receives the lags in samples.
        strength: float32, same shape; receives the strengths: the normalised autocorrelation minus the octave cost.
            Both keep their content where a frame has fewer candidates.
    """
    middle = correlation[:, 1:-1]
    is_peak = middle > correlation[:, :-2]
    is_peak &= middle >= correlation[:, 2:]
    is_peak &= middle > (energy * np.float32(_LEAST_STRENGTH - _OCTAVE_COST))[:, None]
    is_peak &= (energy > 0)[:, None]
    frame, index = np.divmod(np.flatnonzero(is_peak), is_peak.shape[1])
    before = frame * correlation.shape[1] + index
    offset, height = refined_peak(*(correlation.take(before + step) / energy[frame] for step in range(3)))
    at = (index + SHORTEST_LAG).astype(np.float32) + offset
    # Interpolation may exceed 1, the maximum; fold it back, as Boersma does.
    height = np.where(height > 1, 1 / height, height)
    in_range = (at >= SAMPLE_RATE / HIGHEST_HZ) & (at <= SAMPLE_RATE / LOWEST_HZ)
    frame, at, height = frame[in_range], at[in_range], height[in_range]
    strengths = height - _octave_cost(at)

    order = np.lexsort((-strengths, frame))
    frame, at, strengths = frame[order], at[order], strengths[order]
    rank = np.arange(len(frame)) - np.searchsorted(frame, frame)
    few = rank < _N_CANDIDATES
    lag[frame[few], rank[few]] = at[few]
    strength[frame[few], rank[few]] = strengths[few]


def _unvoiced_strength(rms: NDArray[np.float32], best_strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the strength of the unvoiced choice, greater in quiet frames (Boersma 1993, equation 23).

    Args:
        rms: float32, shape (n,).
        best_strength: float32, shape (n,): the strength of each frame's best candidate.

    Returns:
        float32, shape (n,).
    """
    periodic = np.sort(rms[best_strength >= VOICING_THRESHOLD]).astype(np.float64)
    if not len(periodic):
        return np.full(len(rms), VOICING_THRESHOLD, np.float32)
    # Louder frames hold half of the energy: neither a click nor a hum between a few words can move this level.
    energy = np.cumsum(periodic**2)
    loud = periodic[np.searchsorted(energy, energy[-1] / 2)]
    quietness = 2 - rms * np.float32((1 + VOICING_THRESHOLD) / (_SILENCE_THRESHOLD * loud))
    strength: NDArray[np.float32] = np.float32(VOICING_THRESHOLD) + np.maximum(0, quietness)
    return strength


def best_path(
    lag: NDArray[np.float32], strength: NDArray[np.float32], unvoiced_strength: NDArray[np.float32]
) -> NDArray[np.int8]:
    """Find the path with the greatest sum of strengths minus costs (Viterbi's algorithm).

    Frames that the best path must leave unvoiced cut the recording into stretches with independent paths. The search
    follows all stretches together, one frame of each at a time. The time before the first frame and after the last
    one counts as unvoiced.

    Args:
        lag: float32, shape (n, candidates), in samples.
        strength: float32, same shape; minus infinity for missing candidates. The first of a frame is the greatest.
        unvoiced_strength: float32, shape (n,).

    Returns:
        int8, shape (n,): the candidate of each frame, -1 where it is unvoiced.
    """
    choice = np.full(len(lag), -1, np.int8)
    undecided = ~_surely_unvoiced(strength[:, 0] - unvoiced_strength)
    bounds = np.flatnonzero(np.diff(undecided, prepend=False, append=False))
    starts, lengths = bounds[::2], bounds[1::2] - bounds[::2]
    # The longest first: the stretches that continue are then the first ones at every step.
    by_length = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[by_length], lengths[by_length]
    n_going_on = np.searchsorted(-lengths, -np.arange(lengths[0] if len(lengths) else 0), side="left")

    unvoiced = lag.shape[1]
    # The frame before a stretch is unvoiced.
    score = np.full((len(starts), unvoiced + 1), -np.inf, np.float32)
    score[:, unvoiced] = 0
    last_octave = np.zeros((len(starts), unvoiced), np.float32)
    came_from = np.empty((len(lag), unvoiced + 1), np.int8)
    for step, n in enumerate(n_going_on):
        frames = starts[:n] + step
        octave = np.log2(lag[frames])
        gain = np.empty((n, unvoiced + 1, unvoiced + 1), np.float32)  # indexed by the new state, then by the old one
        np.subtract(octave[:, :, None], last_octave[:n, None, :], out=gain[:, :unvoiced, :unvoiced])
        np.abs(gain[:, :unvoiced, :unvoiced], out=gain[:, :unvoiced, :unvoiced])
        gain[:, :unvoiced, :unvoiced] *= np.float32(-_OCTAVE_JUMP_COST)
        gain[:, unvoiced, :unvoiced] = gain[:, :unvoiced, unvoiced] = np.float32(-_VOICING_CHANGE_COST)
        gain[:, unvoiced, unvoiced] = 0
        gain += score[:n, None, :]
        best = gain.argmax(axis=2)
        came_from[frames] = best
        score[:n] = np.take_along_axis(gain, best[:, :, None], axis=2)[:, :, 0]
        score[:n, :unvoiced] += strength[frames]
        score[:n, unvoiced] += unvoiced_strength[frames]
        last_octave[:n] = octave

    # The frame after a stretch is unvoiced, too.
    score[:, :unvoiced] -= np.float32(_VOICING_CHANGE_COST)
    state = score.argmax(axis=1)
    for step in range(len(n_going_on) - 1, -1, -1):
        n = n_going_on[step]
        frames = starts[:n] + step
        choice[frames] = np.where(state[:n] == unvoiced, -1, state[:n])
        state[:n] = came_from[frames, state[:n]]
    return choice


def _surely_unvoiced(gain: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find frames that no best path leaves voiced.

    Suppose that a path has a frame voiced. Make it unvoiced instead, with the best number of voiced neighbours on
    either side: that loses their gains and costs a change of voicing on each side, or saves one where the voiced
    stretch ends. `before` and `after` are upper bounds of the loss on either side. If their sum with the frame's own
    gain is negative, the path was not the best.

    Args:
        gain: float32, shape (n,): the strength of a frame's best candidate minus that of the unvoiced choice.

    Returns:
        bool, shape (n,).
    """
    # Rounding must not make a bound too low.
    change = np.float32(_VOICING_CHANGE_COST + 1e-4)
    before = np.full(len(gain), change, np.float32)
    after = np.full(len(gain), change, np.float32)
    for _ in range(_ROUNDS):
        before[1:] = np.clip(gain[:-1] + before[:-1], -change, change)
        after[:-1] = np.clip(gain[1:] + after[1:], -change, change)
    unvoiced: NDArray[np.bool_] = before + gain + after < 0
    return unvoiced
