"""Decoding: formats, scales, reasons for refusal, fuzzed files."""

import io
import struct

import numpy as np
import pytest
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.recording import AUDIO_EXTENSIONS, SAMPLE_RATE, Recording
from novoic_assets_tests.sessions.recordings import NOISE, PCM, decode, encode, reason, wav


class TestFormats:
    @pytest.mark.parametrize(
        ("container", "subtype", "tolerance"),
        [
            ("WAV", "PCM_U8", 2**-6),
            ("WAV", "PCM_16", 2**-14),
            ("WAV", "PCM_24", 2**-22),
            ("WAV", "PCM_32", 2**-23),
            ("WAV", "FLOAT", 0),
            ("WAV", "DOUBLE", 0),
            ("WAV", "ULAW", 2**-5),
            ("WAVEX", "PCM_16", 2**-14),
            ("WAVEX", "FLOAT", 0),
            ("RF64", "PCM_16", 2**-14),
            ("FLAC", "PCM_16", 2**-14),
            ("FLAC", "PCM_24", 2**-22),
        ],
    )
    def test_samples_are_those_written(self, container, subtype, tolerance):
        samples, facts = decode(encode(NOISE, container=container, subtype=subtype))
        np.testing.assert_allclose(samples, NOISE, atol=tolerance, rtol=0)
        assert samples.dtype == np.float32
        assert (facts.encoding, facts.scale) == (f"{container}/{subtype}", "unit")
        assert (facts.sample_rate, facts.channels, facts.frames, facts.seconds) == (16_000, 1, 4_000, 0.25)

    @pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
    def test_lossy_formats(self, subtype):
        tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / SAMPLE_RATE)
        samples, facts = decode(encode(tone, container="OGG", subtype=subtype))
        assert facts.encoding == f"OGG/{subtype}"
        assert facts.frames == len(samples) == len(tone)
        assert np.corrcoef(samples, tone)[0, 1] > 0.99

    def test_big_endian_wav(self):
        data = encode(NOISE, endian="BIG")
        assert data.startswith(b"RIFX")
        np.testing.assert_allclose(decode(data)[0], NOISE, atol=2**-14)

    @pytest.mark.parametrize("extension", sorted(AUDIO_EXTENSIONS))
    def test_extensions_are_lower_case_and_known(self, extension):
        assert extension == extension.lower()
        subtype = {".opus": "OPUS"}.get(extension)
        container = {".wav": "WAV", ".wave": "WAV", ".flac": "FLAC"}.get(extension, "OGG")
        decode(encode(NOISE, container=container, subtype=subtype))

    @pytest.mark.parametrize("rate", [4_000, 8_000, 22_050, 44_100, 48_000, 384_000])
    def test_resampling_in_blocks_equals_resampling_at_once(self, rate):
        noise = np.random.default_rng(1).uniform(-0.5, 0.5, 200_001).astype(np.float32)
        samples, facts = decode(encode(noise, rate=rate, subtype="FLOAT"))
        np.testing.assert_allclose(samples, soxr.resample(noise, rate, SAMPLE_RATE, quality="HQ"), atol=1e-6)
        assert facts.seconds == 200_001 / rate

    def test_channels_are_averaged(self):
        samples, facts = decode(encode(np.stack([NOISE, 0.25 * NOISE, -NOISE], axis=1), subtype="FLOAT"))
        np.testing.assert_allclose(samples, NOISE / 12, atol=1e-7)
        assert facts.channels == 3

    def test_stereo_out_of_phase_is_silence(self):
        samples, _ = decode(encode(np.stack([NOISE, -NOISE], axis=1), subtype="FLOAT"))
        assert not samples.any()

    def test_sixty_four_channels(self):
        samples, facts = decode(encode(np.tile(NOISE[:, None], 64), subtype="FLOAT"))
        np.testing.assert_allclose(samples, NOISE, atol=1e-6)
        assert facts.channels == 64

    def test_flac_of_unknown_length(self):
        data = bytearray(encode(NOISE, container="FLAC"))
        data[21] &= 0xF0  # the 36 bits of STREAMINFO's number of samples
        data[22:26] = bytes(4)
        samples, facts = decode(bytes(data))
        assert len(samples) == facts.frames == len(NOISE)

    def test_shorter_than_one_output_sample(self):
        samples, facts = decode(encode(NOISE[:1], rate=384_000))
        assert len(samples) <= 1
        assert facts.frames == 1


class TestScale:
    @pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
    def test_int16_values_in_a_float_file(self, subtype):
        whole = np.concatenate([np.round(NOISE * 65_534), [-32_768]])
        samples, facts = decode(encode(whole, subtype=subtype))
        assert facts.scale == "int16"
        np.testing.assert_array_equal(samples, (whole / 32_768).astype(np.float32))

    @pytest.mark.parametrize("peak", [1.05, 8.0, 32_769.0, 2.0**31])
    def test_overs_are_kept(self, peak):
        samples, facts = decode(encode(NOISE / np.abs(NOISE).max() * peak, subtype="FLOAT"))
        assert facts.scale == "over"
        assert np.abs(samples).max() == pytest.approx(peak)

    def test_int16_scale_is_found_in_any_channel_and_behind_the_first_block(self):
        stereo = np.zeros((100_000, 2))
        stereo[-1, 1] = -20_000
        samples, facts = decode(encode(stereo, subtype="FLOAT"))
        assert facts.scale == "int16"
        assert samples[-1] == pytest.approx(-20_000 / 32_768 / 2)

    def test_full_scale_is_unit(self):
        assert decode(encode(np.array([1.0, -1.0]), subtype="FLOAT"))[1].scale == "unit"


class TestRefusals:
    @pytest.mark.parametrize(
        "data",
        [
            b"RIFF",
            b"fLaC",
            b"OggS",
            wav(PCM)[:30],
            wav(PCM, rate=3_999),
            wav(PCM, rate=384_001),
            wav(PCM, rate=2**31 - 1),
            wav(PCM, channels=65),
            wav(PCM, channels=0),
            encode(np.array([1e30]), subtype="FLOAT"),
        ],
        ids=range(10),
    )
    def test_unreadable(self, data):
        assert reason(data) == Reason.UNREADABLE_AUDIO

    def test_damaged_flac(self):
        noise = np.random.default_rng(1).uniform(-0.5, 0.5, 100_000)
        data = bytearray(encode(noise, container="FLAC"))
        middle = len(data) // 2
        data[middle : middle + 3_000] = bytes(3_000)
        assert reason(bytes(data)) == Reason.UNREADABLE_AUDIO

    @pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
    def test_empty(self, subtype):
        assert reason(encode(np.zeros(0), subtype=subtype)) == Reason.EMPTY_AUDIO

    @pytest.mark.parametrize("kept", [0.4, 0.9, 0.9999])
    def test_truncated_flac(self, kept):
        noise = np.random.default_rng(1).uniform(-0.5, 0.5, 100_000)
        data = encode(noise, container="FLAC")
        assert reason(data[: int(len(data) * kept)]) == Reason.TRUNCATED_AUDIO

    def test_flac_that_promises_more_frames_than_it_has(self):
        data = bytearray(encode(NOISE, container="FLAC"))
        data[22:26] = struct.pack(">I", len(NOISE) + 1)
        assert reason(bytes(data)) == Reason.TRUNCATED_AUDIO

    @pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("where", [0, 150_000])
    def test_non_finite(self, subtype, value, where):
        samples = np.zeros((200_000, 1))
        samples[where] = value
        assert reason(encode(samples, subtype=subtype)) == Reason.NON_FINITE_AUDIO

    def test_facts_before_the_last_block(self):
        with pytest.raises(RuntimeError):
            _ = Recording(io.BytesIO(wav(PCM))).facts


SEEDS = [
    encode(NOISE[:600]),
    encode(NOISE[:600].reshape(-1, 2), rate=44_100, subtype="FLOAT"),
    encode(NOISE[:600], container="WAVEX", subtype="PCM_24"),
    encode(NOISE[:600], rate=8_000, container="RF64"),
    encode(NOISE[:600], endian="BIG"),
    encode(NOISE, container="FLAC"),
    encode(NOISE, container="OGG", subtype="VORBIS"),
    encode(NOISE, container="OGG", subtype="OPUS"),
    encode(NOISE, rate=8_000, subtype="MS_ADPCM"),
]
VALUES = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from([0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]).map(lambda value: struct.pack("<I", value)),
    st.sampled_from([b"data", b"fmt ", b"ds64", b"fact", b"LIST", b"PEAK"]),
)


@settings(max_examples=2_000, deadline=2_000, suppress_health_check=list(HealthCheck))
@given(
    data=st.sampled_from(SEEDS),
    header_edits=st.lists(st.tuples(st.integers(0, 120), VALUES), max_size=3),
    edits=st.lists(st.tuples(st.floats(0, 1), VALUES), max_size=2),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_mutated_files_give_a_result_or_a_reason(data, header_edits, edits, kept):
    mutant = bytearray(data)
    for offset, value in [*header_edits, *((int(where * len(data)), value) for where, value in edits)]:
        mutant[offset : offset + len(value)] = value
    mutant = mutant[: int(len(mutant) * kept)]
    try:
        samples, facts = decode(bytes(mutant))
    except Refused as refused:
        assert isinstance(refused.reason, Reason)  # noqa: PT017
    else:
        assert np.isfinite(samples).all()
        assert facts.frames > 0
        assert abs(len(samples) - facts.seconds * SAMPLE_RATE) <= 2
