"""All audio features of one session, from one decode of its recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.audibility import INAUDIBLE_DBFS, Audibility
from novoic_assets.features.audio.blocks import Block, Blocks
from novoic_assets.features.audio.family import Accumulator, AudioFamily
from novoic_assets.features.audio.frames import Turns, speaker_seconds
from novoic_assets.features.family import (
    SPEAKERS,
    FeatureValues,
    Speaker,
    Status,
    Undefined,
    feature_values,
    nothing,
)
from novoic_assets.sessions.recording import Recording, RecordingFacts


@dataclass(frozen=True, slots=True, eq=False)
class AudioFeatures:
    """What the audio stage says of one session.

    Attributes:
        facts: What the recording was.
        seconds: Each speaker's own time within the recording; for `all`, its length.
        level_dbfs: Each speaker's level above 60 Hz; the whole recording's for who has no level of their
            own. -200 is digital silence.
        values: By family name, each speaker's values.
    """

    facts: RecordingFacts
    seconds: dict[Speaker, float]
    level_dbfs: dict[Speaker, float]
    values: dict[str, dict[Speaker, FeatureValues]]


def audio_features(recording_file: BinaryIO, turns: Turns, families: Sequence[AudioFamily]) -> AudioFeatures:
    """Decode a recording once and compute the families of features from it.

    BLAS threads are the caller's to limit: matrices here are too small to gain from more than one.

    Args:
        recording_file: Seekable binary file; stays open.
        turns: Who speaks when.
        families: What to compute.

    Returns:
        Facts, level, and values with their status for each family and speaker.

    Raises:
        Refused: With the reason why the recording cannot be used.
        Exception: Whatever `recording_file` itself raises, unchanged.
    """
    recording = Recording(recording_file)
    analysis = Analysis(turns, recording)
    accumulators = [(family, family.accumulator(analysis)) for family in families]
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
        for block in blocks.add(samples):
            add(block)
    for block in blocks.finish():
        add(block)

    level_dbfs = audibility.dbfs()
    own = {
        speaker: _Own(_status(turns.has(speaker), int(n), level_dbfs[speaker], analysis), int(n))
        for speaker, n in zip(SPEAKERS, analysis.masks.sum(axis=1), strict=True)
    }
    bandwidth_hz = bandwidth.hz() if bandwidth else np.inf
    return AudioFeatures(
        facts=recording.facts,
        seconds=speaker_seconds(turns, blocks.n_samples),
        level_dbfs=level_dbfs,
        values={
            family.name: {
                speaker: _values(family, accumulator, speaker, own[speaker], bandwidth_hz)
                for speaker in family.speakers
            }
            for family, accumulator in accumulators
        },
    )


@dataclass(frozen=True, slots=True)
class _Own:
    status: Status
    n_frames: int


def _status(has_segment: bool, n_frames: int, level_dbfs: float, analysis: Analysis) -> Status:  # noqa: FBT001 - a fact
    if not has_segment:
        return Status.NO_SPEECH
    # Digital silence has no frames because it is silent, not because it is short.
    if not n_frames and not analysis.n_gap_samples:
        return Status.TOO_SHORT
    if level_dbfs < INAUDIBLE_DBFS:
        return Status.INAUDIBLE
    return Status.OK if n_frames else Status.TOO_SHORT


def _values(
    family: AudioFamily, accumulator: Accumulator, speaker: Speaker, own: _Own, bandwidth_hz: float
) -> FeatureValues:
    """A speaker's values, where their speech lets them have any."""
    if family.is_covariate:
        return feature_values(family, accumulator.values(speaker))
    if own.status == Status.INAUDIBLE and own.n_frames and family.if_inaudible:
        # Nothing is known of the bandwidth of what cannot be heard.
        return FeatureValues(own.status, feature_values(family, accumulator.values(speaker)).vector)
    if own.status != Status.OK:
        return nothing(family, own.status)
    computed = [
        Undefined.NARROWBAND if value.highest_hz is not None and bandwidth_hz < value.highest_hz else item
        for value, item in zip(family.members, accumulator.values(speaker), strict=True)
    ]
    return feature_values(family, computed)
