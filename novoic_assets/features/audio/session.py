"""Audio features of sessions, each from one decode of its recording."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.audibility import INAUDIBLE_DBFS, Audibility
from novoic_assets.features.audio.blocks import Block, Blocks
from novoic_assets.features.audio.family import AudioFamily, Sound
from novoic_assets.features.audio.frames import Turns, speaker_seconds
from novoic_assets.features.family import (
    SPEAKERS,
    BatchFunction,
    Computed,
    FeatureValues,
    Speaker,
    Status,
    Undefined,
    feature_values,
    nothing,
)
from novoic_assets.sessions.recording import Recording, RecordingFacts


@dataclass(frozen=True, slots=True)
class _Own:
    """A speaker's own part of a recording."""

    status: Status
    n_frames: int


@dataclass(frozen=True, slots=True, eq=False)
class AudioFeatures:
    """The audio stage's results for one session.

    Attributes:
        facts: Facts about the recording.
        seconds: Each speaker's own time within the recording; for `all`, the recording's length.
        level_dbfs: Each speaker's level above 60 Hz; a speaker without an own level has the complete recording's.
            -200 is digital silence.
        values: By family name, each speaker's values.
        sound: The recording itself if a requested family has `batches`; else None.
    """

    facts: RecordingFacts
    seconds: dict[Speaker, float]
    level_dbfs: dict[Speaker, float]
    values: dict[str, dict[Speaker, FeatureValues]]
    sound: Sound | None
    _own: Mapping[Speaker, _Own]
    _bandwidth_hz: float


def audio_features(recording_file: BinaryIO, turns: Turns, families: Sequence[AudioFamily]) -> AudioFeatures:
    """Decode a recording once and compute families of features from it.

    The caller should limit BLAS to one thread: the matrices are too small to gain from more.

    Args:
        recording_file: Seekable binary file; stays open.
        turns: Who speaks when.
        families: The families to compute. If any has `batches`, the recording is kept for `audio_batch`.

    Returns:
        Facts, level, and values with their status for each family and speaker.

    Raises:
        Refused: The recording cannot be used; the exception has the reason.
        Exception: Whatever `recording_file` raises, unchanged.
        ValueError: A family broke its contract on length, finite numbers or reasons.
    """
    recording = Recording(recording_file)
    analysis = Analysis(turns, recording)
    accumulators = [(family, family.accumulator(analysis)) for family in families if family.accumulator is not None]
    kept: list[NDArray[np.float32]] | None = [] if any(family.batches for family in families) else None
    looks_high = any(value.highest_hz for family in families for value in family.members)
    bandwidth = analysis.bandwidth if looks_high else None
    audibility = Audibility(turns)

    def add(block: Block) -> None:
        audibility.add(block)
        analysis.add(block)
        if block.n_frames:
            for _, accumulator in accumulators:
                accumulator.add(block)

    blocks = Blocks(turns)
    for samples in recording.blocks():
        if kept is not None:
            kept.append(samples)
        for block in blocks.add(samples):
            add(block)
    for block in blocks.finish():
        add(block)

    level_dbfs = audibility.dbfs()
    features = AudioFeatures(
        facts=recording.facts,
        seconds=speaker_seconds(turns, blocks.n_samples),
        level_dbfs=level_dbfs,
        values={},
        sound=None if kept is None else Sound(np.concatenate([np.zeros(0, np.float32), *kept]), turns),
        _own={
            speaker: _Own(_status(turns.has(speaker), int(n), level_dbfs[speaker], analysis), int(n))
            for speaker, n in zip(SPEAKERS, analysis.masks.sum(axis=1), strict=True)
        },
        _bandwidth_hz=bandwidth.hz() if bandwidth else np.inf,
    )
    for family, accumulator in accumulators:
        features.values[family.name] = _values(family, accumulator.values, features)
    return features


def audio_batch(sessions: Sequence[AudioFeatures], family: AudioFamily, compute: BatchFunction[Sound]) -> None:
    """Compute a family with `batches` for several sessions at once, and add its values to each session's.

    Args:
        sessions: The sessions, with their recordings.
        family: The family.
        compute: The function that its `batches.start` returned.

    Raises:
        ValueError: The family broke its contract on length, finite numbers or reasons, or left out a session.
        KeyError: The family left out a speaker who can be heard.
    """
    answers = compute([session.sound for session in sessions if session.sound is not None])
    if len(answers) != len(sessions):
        raise ValueError(f"{family.name} gave {len(answers)} answers for {len(sessions)} sessions")
    for session, answer in zip(sessions, answers, strict=True):
        session.values[family.name] = _values(family, answer.__getitem__, session)


def _status(has_segment: bool, n_frames: int, level_dbfs: float, analysis: Analysis) -> Status:  # noqa: FBT001 - a fact
    if not has_segment:
        return Status.NO_SPEECH
    # Digital silence has no frames because it is a gap, not because it is short.
    if not n_frames and not analysis.n_gap_samples:
        return Status.TOO_SHORT
    if level_dbfs < INAUDIBLE_DBFS:
        return Status.INAUDIBLE
    return Status.OK if n_frames else Status.TOO_SHORT


def _values(
    family: AudioFamily, compute: Callable[[Speaker], Computed], session: AudioFeatures
) -> dict[Speaker, FeatureValues]:
    return {speaker: _value(family, compute, speaker, session) for speaker in family.speakers}


def _value(
    family: AudioFamily, compute: Callable[[Speaker], Computed], speaker: Speaker, session: AudioFeatures
) -> FeatureValues:
    """A speaker's values, or NaN if their speech does not allow any."""
    own = session._own[speaker]
    if family.is_covariate:
        return feature_values(family, compute(speaker))
    if own.status == Status.INAUDIBLE and own.n_frames and family.if_inaudible:
        # The bandwidth of an inaudible recording is unknown, so no value is `narrowband`.
        return FeatureValues(own.status, feature_values(family, compute(speaker)).vector)
    if own.status != Status.OK:
        return nothing(family, own.status)
    computed = [
        Undefined.NARROWBAND if value.highest_hz is not None and session._bandwidth_hz < value.highest_hz else item
        for value, item in zip(family.members, compute(speaker), strict=True)
    ]
    return feature_values(family, computed)
