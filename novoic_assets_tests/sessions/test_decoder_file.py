"""The file object behind a recording: short reads, failures of the storage, memory."""

import io
import os
import tracemalloc

import numpy as np
import pytest

from novoic_assets.sessions.recording import SAMPLE_RATE, Recording
from novoic_assets_tests.sessions.recordings import PCM, decode, decode_file, encode, wav


class Sluggish(io.BytesIO):
    """Return at most a few bytes at a time, as a socket may."""

    def __init__(self, data, most):
        super().__init__(data)
        self.most = most

    def read(self, size=-1):
        return super().read(self.most if size < 0 else min(size, self.most))


class Failing(io.BytesIO):
    """Raise at the n-th read or seek."""

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


class Endless(io.RawIOBase):
    """A header, followed by as many zero bytes as it promises."""

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


FORMATS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")]


@pytest.mark.parametrize(("container", "subtype"), FORMATS)
def test_reads_in_pieces_give_the_same_samples(container, subtype):
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (90_000, 2))
    data = encode(noise, rate=22_050, container=container, subtype=subtype)
    samples, facts = decode(data)
    for most in (7, 4_096):
        again, again_facts = decode_file(Sluggish(data, most))
        np.testing.assert_array_equal(samples, again)
        assert facts == again_facts


@pytest.mark.parametrize(("container", "subtype"), FORMATS)
@pytest.mark.parametrize("failure", [OSError("no network"), ValueError("of the storage"), KeyboardInterrupt()])
def test_a_failure_of_the_file_object_is_raised_unchanged(container, subtype, failure, capfd):
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


def test_the_file_object_stays_open():
    file = io.BytesIO(wav(PCM))
    decode_file(file)
    assert not file.closed


def test_the_file_object_may_stand_anywhere():
    file = io.BytesIO(wav(PCM))
    file.seek(100)
    assert decode_file(file)[1].frames == 4_000


def test_memory_does_not_grow_with_length():
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
