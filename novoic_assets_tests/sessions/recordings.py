"""Make recordings as bytes, and decode them."""

import io
import struct

import numpy as np
import pytest
import soundfile

from novoic_assets.reasons import Refused
from novoic_assets.sessions.recording import SAMPLE_RATE, Recording

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
