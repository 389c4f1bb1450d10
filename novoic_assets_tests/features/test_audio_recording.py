"""The facts of a recording: those of its samples, its noise, and the time that is nobody's own."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.features.audio.frames import shared_seconds
from novoic_assets.features.audio.recording_facts import RECORDING
from novoic_assets.features.family import Undefined
from novoic_assets.sessions.recording import Recording
from novoic_assets_tests.features import speech
from novoic_assets_tests.features.computing import compute, wav_of, white
from novoic_assets_tests.features.test_audio_frames import SEGMENT, turns_of


def facts(samples, rate=16_000, subtype="PCM_16", form="WAV"):
    recording = Recording(io.BytesIO(wav_of(samples, rate, subtype, form)))
    for _ in recording.blocks():
        pass
    return recording.sample_facts


class TestSamples:
    @pytest.mark.parametrize("offset", [-0.1, 0, 0.02])
    @pytest.mark.parametrize(("subtype", "scale"), [("PCM_16", 1), ("FLOAT", 1), ("FLOAT", 32_768)])
    def test_offset(self, offset, subtype, scale):
        samples = white(20) - white(20).mean() + offset
        # The peak shows that samples in a float file have the scale of int16.
        assert facts(scale * samples, 44_100, subtype).offset == pytest.approx(offset, abs=2e-5)

    def test_offset_of_all_channels(self):
        samples = np.stack([np.full(1_000, 0.1), np.full(1_000, -0.3)], axis=1)
        assert facts(samples).offset == pytest.approx(-0.1, abs=1e-4)

    @pytest.mark.parametrize("ceiling", [0.25, 1.0])
    @pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
    def test_clipping_below_full_scale_too(self, ceiling, subtype):
        # Longer than one block of the decoder, which holds 65,536 samples.
        samples = white(10, 0) * ceiling
        expected = np.mean(np.abs(samples) >= ceiling)
        assert 0.1 < expected < 0.5
        clipped = np.clip(samples, -ceiling, ceiling)
        assert facts(clipped, subtype=subtype).clipped_share == pytest.approx(expected, abs=2e-4)

    def test_what_is_not_clipped(self):
        assert facts(white(10)).clipped_share < 1e-4
        assert facts(white(10, -70)).clipped_share == 0, "few steps of the quantisation are no clipping"
        assert facts(np.zeros(1_000)).clipped_share == 0

    @pytest.mark.parametrize(
        ("subtype", "form", "bits", "used"),
        [
            ("PCM_U8", "WAV", 8, 8),
            ("PCM_16", "WAV", 16, 16),
            ("PCM_24", "FLAC", 24, 24),
            ("PCM_32", "WAV", 32, 24),
            ("ULAW", "WAV", 8, None),
            ("FLOAT", "WAV", 32, None),
            ("VORBIS", "OGG", None, None),
        ],
    )
    def test_bits(self, subtype, form, bits, used):
        found = facts(white(2), subtype=subtype, form=form)
        assert (found.bits, found.used_bits) == (bits, used)

    @pytest.mark.parametrize("used", [8, 12, 16])
    def test_bits_that_are_used(self, used):
        samples = np.round(white(2) * 2 ** (used - 1)) / 2 ** (used - 1)
        assert facts(samples, subtype="PCM_24").used_bits == used

    def test_they_are_known_at_the_end(self):
        recording = Recording(io.BytesIO(wav_of(white(1))))
        with pytest.raises(RuntimeError, match="after its last block"):
            _ = recording.sample_facts


@settings(max_examples=200, deadline=None)
@given(segments=st.lists(SEGMENT, max_size=8), n_samples=st.integers(0, 70))
def test_mixed_and_overlapped_seconds_follow_the_rule(segments, n_samples):
    speaking = [
        {whose for start, end, whose in segments if round(start * 16_000) <= sample < round(end * 16_000)}
        for sample in range(n_samples)
    ]
    mixed, overlapped = shared_seconds(turns_of(*segments), n_samples)
    assert mixed == pytest.approx(sum("other" in who for who in speaking) / 16_000)
    assert overlapped == pytest.approx(sum(len(who) > 1 for who in speaking) / 16_000)


def talk(snr_db):
    """Bursts of noise in a room: seconds of sound and seconds of silence in turn."""
    sound = white(20, -20) * (np.arange(320_000) // 16_000 % 2 == 0)
    return sound + white(20, -20 - snr_db, seed=1)


class TestFamily:
    @pytest.mark.parametrize("snr_db", [0, 5, 10, 20, 30, 50])
    def test_snr_and_noise_floor_by_construction(self, snr_db):
        values = compute(talk(snr_db), RECORDING)["all"]
        # The quietest frames of noise are a little below its mean.
        assert values["snr"] == pytest.approx(snr_db, abs=2)
        assert values["noise_floor"] == pytest.approx(-20 - snr_db, abs=1.5)

    def test_snr_of_voices_in_a_room(self):
        voices = speech.espeak_voices()
        found = [compute(samples, RECORDING)["all"]["snr"] for samples in voices.values()]
        # The set SNR covers all time; speech alone is louder than speech with pauses.
        np.testing.assert_allclose(found, [voice.snr_db + 2.5 for voice in speech._VOICES], atol=3)

    def test_seconds_gaps_and_overhang(self):
        samples = white(10)
        samples[16_000:32_000] = 0
        turns = turns_of((0, 4, "patient"), (3.5, 6, "investigator"), (6, 7, "other"), (8, 10.5, "patient"))
        values = compute(samples, RECORDING, turns=turns, subtype="PCM_16")["all"]
        expected = {
            "source_rate": 16_000,
            "bit_depth": 16,
            "used_bits": 16,
            "gap_seconds": 1,
            "patient_seconds": 3.5 + 2,
            "investigator_seconds": 2,
            "mixed_seconds": 1,
            "overlapped_seconds": 0.5,
            "transcript_overhang": 0.5,
        }
        assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-3)

    def test_what_is_not_there_has_a_reason(self):
        values = compute(np.zeros(16_000), RECORDING)["all"]
        assert values["gap_seconds"] == 1
        assert values["used_bits"] == Undefined.NOT_APPLICABLE
        assert values["noise_floor"] == values["snr"] == Undefined.TOO_SHORT
        assert values["transcript_overhang"] == Undefined.NO_SPEECH

    def test_a_recording_shorter_than_a_frame(self):
        values = compute(white(0.01), RECORDING, turns=turns_of((0, 1, "patient")))["all"]
        assert values["patient_seconds"] == pytest.approx(0.01)
        assert values["snr"] == Undefined.TOO_SHORT
