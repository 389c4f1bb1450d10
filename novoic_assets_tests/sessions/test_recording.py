"""Decoding: formats, scales, reasons for refusal, failures of the storage, fuzzed files."""

import io
import os
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.recording import AUDIO_EXTENSIONS, SAMPLE_RATE, Recording

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 4_000).astype(np.float32)


def encode(samples, rate=SAMPLE_RATE, container="WAV", subtype="PCM_16", endian="FILE"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype, endian=endian)
    return file.getvalue()


def decode(data):
    return decode_file(io.BytesIO(data))


def decode_file(file):
    recording = Recording(file)
    blocks = list(recording.blocks())
    return np.concatenate([np.zeros(0, np.float32), *blocks]), recording.facts


def reason(data):
    with pytest.raises(Refused) as refusal:
        decode(data)
    return refusal.value.reason


def wav(data_chunk, *, before=b"", after=b"", data_length=None, riff_length=None, rate=SAMPLE_RATE, channels=1):
    """Assemble a PCM_16 WAV file by hand."""
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    length = len(data_chunk) if data_length is None else data_length
    body = b"WAVE" + fmt + before + struct.pack("<4sI", b"data", length) + data_chunk + after
    return struct.pack("<4sI", b"RIFF", len(body) if riff_length is None else riff_length) + body


PCM = (NOISE * 32_767).astype("<i2").tobytes()


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

    def test_chunks_around_the_samples(self):
        odd = struct.pack("<4sI", b"note", 3) + b"abc\0"
        samples, _ = decode(wav(PCM, before=odd, after=odd))
        np.testing.assert_allclose(samples, NOISE, atol=2**-14)

    def test_odd_data_without_its_padding(self):
        data = encode(NOISE[:3_999], subtype="PCM_U8")
        length = data.index(b"data") + 8 + 3_999
        assert decode(data[:length])[1].frames == 3_999

    @pytest.mark.parametrize("riff_length", [0, 36, 0xFFFF_FFFF])
    @pytest.mark.parametrize("data_length", [0, 0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFFF])
    def test_wav_of_a_writer_that_never_learned_its_length(self, data_length, riff_length):
        samples, _ = decode(wav(PCM, data_length=data_length, riff_length=riff_length))
        np.testing.assert_allclose(samples, NOISE, atol=2**-14)

    @pytest.mark.parametrize("length", [0, 2**64 - 1])
    def test_rf64_of_unknown_length(self, length):
        data = bytearray(encode(NOISE, container="RF64"))
        data[20:44] = struct.pack("<QQQ", length, length, 0)
        np.testing.assert_allclose(decode(bytes(data))[0], NOISE, atol=2**-14)

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
            b"R",
            b"RIFF",
            b"fLaC",
            b"OggS",
            b"no recording at all",
            b"<?xml version='1.0'?>",
            NOISE.tobytes(),
            wav(PCM)[:30],
            wav(PCM, rate=3_999),
            wav(PCM, rate=384_001),
            wav(PCM, rate=2**31 - 1),
            wav(PCM, channels=65),
            wav(PCM, channels=0),
            wav(PCM, before=struct.pack("<4sI", b"junk", 0) * 2_000),
            wav(PCM).replace(b"fmt \x10\0\0\0\1\0", b"fmt \x10\0\0\0\x55\0"),
            encode(NOISE, container="AIFF"),
            encode(np.array([1e30]), subtype="FLOAT"),
        ],
        ids=range(17),
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

    def test_zero_bytes(self):
        assert reason(b"") == Reason.EMPTY_AUDIO

    def test_other_chunks_behind_no_samples_are_no_samples(self):
        assert reason(wav(b"", after=struct.pack("<4sI", b"note", 400) + bytes(400))) == Reason.EMPTY_AUDIO

    @pytest.mark.parametrize("missing", [1, 2, 1_000, 8_000])
    @pytest.mark.parametrize("before", [b"", struct.pack("<4sI", b"note", 3) + b"abc\0"])
    def test_truncated_wav(self, missing, before):
        assert reason(wav(PCM, before=before)[:-missing]) == Reason.TRUNCATED_AUDIO

    @pytest.mark.parametrize("container", ["WAVEX", "RF64"])
    def test_truncated_wav_variants(self, container):
        assert reason(encode(NOISE, container=container, subtype="FLOAT")[:-3]) == Reason.TRUNCATED_AUDIO

    def test_truncated_big_endian_wav(self):
        assert reason(encode(NOISE, endian="BIG")[:-3]) == Reason.TRUNCATED_AUDIO

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


class Sluggish(io.BytesIO):
    """Returns at most so many bytes at a time, as a socket may."""

    def __init__(self, data, most):
        super().__init__(data)
        self.most = most

    def read(self, size=-1):
        return super().read(self.most if size < 0 else min(size, self.most))


class Failing(io.BytesIO):
    """Raises at its n-th read or seek."""

    def __init__(self, data, method, n, failure):
        super().__init__(data)
        self.method, self.left, self.failure = method, n, failure

    def _count(self, method):
        if method == self.method:
            self.left -= 1
            if self.left < 0:
                raise self.failure

    def read(self, size=-1):
        self._count("read")
        return super().read(size)

    def seek(self, offset, whence=os.SEEK_SET):
        self._count("seek")
        return super().seek(offset, whence)


FORMATS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")]


class TestFileObject:
    @pytest.mark.parametrize(("container", "subtype"), FORMATS)
    def test_reads_in_pieces_change_nothing(self, container, subtype):
        noise = np.random.default_rng(1).uniform(-0.5, 0.5, (90_000, 2))
        data = encode(noise, rate=22_050, container=container, subtype=subtype)
        samples, facts = decode(data)
        for most in (7, 4_096):
            again, again_facts = decode_file(Sluggish(data, most))
            np.testing.assert_array_equal(samples, again)
            assert facts == again_facts

    @pytest.mark.parametrize(("container", "subtype"), FORMATS)
    @pytest.mark.parametrize("failure", [OSError("no network"), ValueError("of the storage"), KeyboardInterrupt()])
    def test_its_failures_are_not_the_recordings(self, container, subtype, failure, capfd):
        data = encode(np.random.default_rng(1).uniform(-0.5, 0.5, 60_000), container=container, subtype=subtype)
        for method in ("read", "seek"):
            n = 0
            while True:
                file = Failing(data, method, n, failure)
                try:
                    decode_file(file)
                except BaseException as raised:  # noqa: BLE001
                    assert raised is failure  # noqa: PT017
                else:
                    break
                n += 1
            assert n > 3
        assert capfd.readouterr() == ("", "")

    def test_it_stays_open(self):
        file = io.BytesIO(wav(PCM))
        decode_file(file)
        assert not file.closed

    def test_it_may_stand_anywhere(self):
        file = io.BytesIO(wav(PCM))
        file.seek(100)
        assert decode_file(file)[1].frames == 4_000

    def test_memory_does_not_grow_with_length(self):
        seconds, rate, channels = 300, 48_000, 2
        header = wav(b"", data_length=seconds * rate * channels * 2, rate=rate, channels=channels)
        file = Endless(header, len(header) + seconds * rate * channels * 2)
        tracemalloc.start()
        try:
            recording = Recording(file)
            samples = sum(len(block) for block in recording.blocks())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert samples == seconds * SAMPLE_RATE
        assert peak < 5e6


class Endless(io.RawIOBase):
    """A header with as many zero bytes behind as it promises."""

    def __init__(self, header, size):
        self.header, self.size, self.position = header, size, 0

    def seek(self, offset, whence=os.SEEK_SET):
        self.position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size}[whence]
        return self.position

    def tell(self):
        return self.position

    def read(self, size=-1):
        data = self.header[self.position : self.position + size]
        data += bytes(min(size - len(data), self.size - self.position - len(data)))
        self.position += len(data)
        return data


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
