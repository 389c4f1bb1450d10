"""Containers: files that are not recordings, and WAV lengths that are wrong, unknown or truncated."""

import io
import struct

import numpy as np
import pytest

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.container import check_container
from novoic_assets.sessions.decoder_file import DecoderFile
from novoic_assets_tests.sessions.recordings import NOISE, PCM, decode, encode, wav


def refusal(data):
    with pytest.raises(Refused) as refused:
        check_container(DecoderFile(io.BytesIO(data)))
    return refused.value.reason


@pytest.mark.parametrize(
    "data",
    [
        b"R",
        b"no recording at all",
        b"<?xml version='1.0'?>",
        NOISE.tobytes(),
        encode(NOISE, container="AIFF"),
        wav(PCM, before=struct.pack("<4sI", b"junk", 0) * 2_000),
        wav(PCM).replace(b"fmt \x10\0\0\0\1\0", b"fmt \x10\0\0\0\x55\0"),
    ],
    ids=["one byte", "text", "xml", "raw samples", "aiff", "thousands of chunks", "mp3 in wav"],
)
def test_an_unsupported_container_is_unreadable(data):
    assert refusal(data) == Reason.UNREADABLE_AUDIO


def test_an_empty_file_has_no_samples():
    assert refusal(b"") == Reason.EMPTY_AUDIO


def test_chunks_after_an_empty_data_chunk_are_not_samples():
    assert refusal(wav(b"", after=struct.pack("<4sI", b"note", 400) + bytes(400))) == Reason.EMPTY_AUDIO


@pytest.mark.parametrize("missing", [1, 2, 1_000, 8_000])
@pytest.mark.parametrize("before", [b"", struct.pack("<4sI", b"note", 3) + b"abc\0"])
def test_truncated_wav(missing, before):
    assert refusal(wav(PCM, before=before)[:-missing]) == Reason.TRUNCATED_AUDIO


@pytest.mark.parametrize("container", ["WAVEX", "RF64"])
def test_truncated_wav_variants(container):
    assert refusal(encode(NOISE, container=container, subtype="FLOAT")[:-3]) == Reason.TRUNCATED_AUDIO


def test_truncated_big_endian_wav():
    assert refusal(encode(NOISE, endian="BIG")[:-3]) == Reason.TRUNCATED_AUDIO


def test_chunks_around_the_samples():
    odd = struct.pack("<4sI", b"note", 3) + b"abc\0"
    samples, _ = decode(wav(PCM, before=odd, after=odd))
    np.testing.assert_allclose(samples, NOISE, atol=2**-14)


def test_odd_data_without_its_padding():
    data = encode(NOISE[:3_999], subtype="PCM_U8")
    length = data.index(b"data") + 8 + 3_999
    assert decode(data[:length])[1].frames == 3_999


@pytest.mark.parametrize("riff_length", [0, 36, 0xFFFF_FFFF])
@pytest.mark.parametrize("data_length", [0, 0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_wav_of_a_writer_that_never_learned_its_length(data_length, riff_length):
    samples, _ = decode(wav(PCM, data_length=data_length, riff_length=riff_length))
    np.testing.assert_allclose(samples, NOISE, atol=2**-14)


@pytest.mark.parametrize("length", [0, 2**64 - 1])
def test_rf64_of_unknown_length(length):
    data = bytearray(encode(NOISE, container="RF64"))
    data[20:44] = struct.pack("<QQQ", length, length, 0)
    np.testing.assert_allclose(decode(bytes(data))[0], NOISE, atol=2**-14)
