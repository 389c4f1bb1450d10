"""All audio features of one session, from one decode of its recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from novoic_assets.features.audio.blocks import Block, Blocks
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.frames import Turns, speaker_seconds
from novoic_assets.features.audio.level import INAUDIBLE_DBFS, Level
from novoic_assets.features.family import SPEAKERS, FeatureValues, Speaker, Status
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
    accumulators = {family.name: family.accumulator() for family in families}
    level = Level(turns)
    n_frames = np.zeros(len(SPEAKERS), np.int64)

    def add(block: Block) -> None:
        nonlocal n_frames
        level.add(block)
        n_frames += block.masks.sum(axis=1)
        if block.masks.shape[1]:
            for accumulator in accumulators.values():
                accumulator.add(block)

    recording = Recording(recording_file)
    blocks = Blocks(turns)
    for samples in recording.blocks():
        for block in blocks.add(samples):
            add(block)
    add(blocks.finish())

    level_dbfs = level.dbfs()
    statuses = {
        speaker: _status(turns.has(speaker), int(n), level_dbfs[speaker])
        for speaker, n in zip(SPEAKERS, n_frames, strict=True)
    }
    return AudioFeatures(
        facts=recording.facts,
        seconds=speaker_seconds(turns, blocks.n_samples),
        level_dbfs=level_dbfs,
        values={name: _values(accumulator.values(), statuses) for name, accumulator in accumulators.items()},
    )


def _status(has_segment: bool, n_frames: int, level_dbfs: float) -> Status:  # noqa: FBT001 - a fact, not a switch
    if not has_segment:
        return Status.NO_SPEECH
    if n_frames == 0:
        return Status.TOO_SHORT
    return Status.INAUDIBLE if level_dbfs < INAUDIBLE_DBFS else Status.OK


def _values(vectors: NDArray[np.float64], statuses: dict[Speaker, Status]) -> dict[Speaker, FeatureValues]:
    return {
        speaker: FeatureValues(statuses[speaker], vector.astype(np.float32))
        for speaker, vector in zip(SPEAKERS, vectors, strict=True)
    }
