"""How a session was recorded: covariates that show whether a difference lies in the speech or in the recorders."""

from typing import Final

import numpy as np

from novoic_assets.features.audio.analysis import Analysis
from novoic_assets.features.audio.blocks import Block
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.audio.frame_levels import mean_level
from novoic_assets.features.audio.frames import shared_seconds, speaker_seconds
from novoic_assets.features.family import (
    ALL,
    INVESTIGATOR,
    PATIENT,
    SPEAKERS,
    Computed,
    Cost,
    Flag,
    Speaker,
    Undefined,
    Value,
)
from novoic_assets.sessions.recording import SAMPLE_RATE

_LEAST_FRAMES: Final = 100
# Speech lies above this share of the range from the 5th to the 95th percentile of the level.
_SPEECH_SHARE: Final = 0.35
# Digital silence under speech would make the SNR infinite.
_HIGHEST_SNR_DB: Final = 120.0


class RecordingFamily:
    """Reads the facts of a recording from its shared analyses."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._bandwidth = analysis.bandwidth
        self._level = analysis.frame_levels

    def add(self, block: Block) -> None:
        """Do nothing: the shared analyses receive the block."""

    def values(self, _: Speaker) -> Computed:
        """Return the recording's 14 values."""
        facts, samples = self._analysis.recording.facts, self._analysis.recording.sample_facts
        n_samples = round(facts.seconds * SAMPLE_RATE)
        turns = self._analysis.turns
        seconds = speaker_seconds(turns, n_samples)
        mixed, overlapped = shared_seconds(turns, n_samples)
        return [
            facts.sample_rate,
            self._bandwidth.hz(),
            Undefined.NOT_APPLICABLE if samples.bits is None else samples.bits,
            Undefined.NOT_APPLICABLE if samples.used_bits is None else samples.used_bits,
            samples.offset,
            samples.clipped_share,
            self._analysis.n_gap_samples / SAMPLE_RATE,
            *self._noise_and_snr(),
            seconds[PATIENT],
            seconds[INVESTIGATOR],
            mixed,
            overlapped,
            float(turns.end_s.max()) - facts.seconds if len(turns.end_s) else Undefined.NO_SPEECH,
        ]

    def _noise_and_snr(self) -> tuple[float | Undefined, float | Undefined]:
        level = self._level.dbfs()[self._analysis.masks[SPEAKERS.index(ALL)]]
        if len(level) < _LEAST_FRAMES:
            return Undefined.TOO_SHORT, Undefined.TOO_SHORT
        low, high = np.percentile(level, [5, 95])
        noise_db = mean_level(level[level <= low])
        speech_db = mean_level(level[level >= low + _SPEECH_SHARE * (high - low)])
        # The level during speech is that of speech plus noise.
        ratio = 10 ** ((speech_db - noise_db) / 10) - 1
        if ratio <= 0:
            return float(low), Undefined.FLAT_LEVEL
        return float(low), min(10 * float(np.log10(ratio)), _HIGHEST_SNR_DB)


_LONG: Final = frozenset({Flag.GROWS_WITH_LENGTH})
_OWN: Final = "within the recording, in segments whose words are all theirs and no one else's"

RECORDING: Final = AudioFamily(
    name="recording",
    version="1",
    cost=Cost(session=1e-3, second=5e-05),
    description="How the session was recorded: circumstances that a model must not learn instead of speech.",
    members=(
        Value(
            name="source_rate",
            unit="Hz",
            formula="sampling rate of the file",
            source="the file",
            typical=(8_000, 48_000),
        ),
        Value(
            name="effective_bandwidth",
            unit="Hz",
            formula="frequency at which the long-term power spectrum has a cliff: a step of at least 20 dB, between 3"
            " and 7 kHz, from the mean level 400 to 100 Hz below to the highest level from 125 Hz above on; half of"
            " the source's rate, at most 8,000 Hz, where there is none",
            source="novoic_assets",
            typical=(3_400, 8_000),
        ),
        Value(
            name="bit_depth",
            unit="bit",
            formula="bits of a sample in the file's encoding",
            source="the file",
            typical=(8, 32),
            undefined=(Undefined.NOT_APPLICABLE,),
        ),
        Value(
            name="used_bits",
            unit="bit",
            formula="bits of a sample from the highest down to the lowest one that is set in any sample, at most 24;"
            " of integer encodings",
            source="novoic_assets",
            typical=(8, 24),
            undefined=(Undefined.NOT_APPLICABLE,),
        ),
        Value(
            name="dc_offset",
            unit="1",
            formula="mean of the file's samples relative to full scale, all channels together",
            source="novoic_assets",
            typical=(-0.01, 0.01),
            flags=frozenset({Flag.DEPENDS_ON_GAIN}),
        ),
        Value(
            name="clipped_share",
            unit="1",
            formula="share of the file's samples at the recording's own highest and lowest value, but for one at each,"
            " where those are at least a tenth of full scale",
            source="novoic_assets",
            typical=(0, 0.001),
            flags=frozenset({Flag.DEPENDS_ON_GAIN}),
        ),
        Value(
            name="gap_seconds",
            unit="s",
            formula="time in stretches of at least 10 ms of exact zeros; frames that touch them are left out of"
            " everything",
            source="novoic_assets",
            flags=_LONG,
        ),
        Value(
            name="noise_floor",
            unit="dBFS",
            formula="5th percentile of the level of the recording's frames",
            source="novoic_assets",
            typical=(-80, -45),
            undefined=(Undefined.TOO_SHORT,),
            least=f"{_LEAST_FRAMES} frames",
            flags=frozenset({Flag.DEPENDS_ON_GAIN}),
        ),
        Value(
            name="snr",
            unit="dB",
            formula="10 log10(S/N - 1), at most 120: N the mean power of the frames not above the 5th percentile of"
            " the level, S that of frames at or above p5 + 0.35 (p95 - p5)",
            source="novoic_assets",
            typical=(10, 60),
            undefined=(Undefined.TOO_SHORT, Undefined.FLAT_LEVEL),
            least=f"{_LEAST_FRAMES} frames",
        ),
        Value(
            name="patient_seconds",
            unit="s",
            formula=f"the patient's own time: {_OWN}",
            source="novoic_assets",
            flags=_LONG,
        ),
        Value(
            name="investigator_seconds",
            unit="s",
            formula=f"the investigator's own time: {_OWN}",
            source="novoic_assets",
            flags=_LONG,
        ),
        Value(
            name="mixed_seconds",
            unit="s",
            formula="time within the recording in segments whose words are several speakers' or an unlisted one's",
            source="novoic_assets",
            flags=_LONG,
        ),
        Value(
            name="overlapped_seconds",
            unit="s",
            formula="time within the recording in which segments of two or more of patient, investigator and others"
            " overlap",
            source="novoic_assets",
            flags=_LONG,
        ),
        Value(
            name="transcript_overhang",
            unit="s",
            formula="end of the transcript's last segment with words minus the recording's end; negative where the"
            " recording goes on",
            source="novoic_assets",
            typical=(-10, 0.5),
            undefined=(Undefined.NO_SPEECH,),
        ),
    ),
    speakers=(ALL,),
    is_covariate=True,
    accumulator=RecordingFamily,
)
