"""The challenge corpus that the tests write equals the delivered one."""

import io
import zlib
from pathlib import Path

import soundfile

from novoic_assets_tests.corpora import challenge_recording

DELIVERED = 0x27837601  # CRC-32 of names and contents, in order of the names


def test_every_file_is_byte_for_byte_as_it_was_delivered(challenge: Path) -> None:
    files = {path.relative_to(challenge).as_posix(): path for path in challenge.rglob("*") if path.is_file()}
    assert len(files) == 1 + 156 + 156
    checksum = 0
    for name, path in sorted(files.items()):
        checksum = zlib.crc32(name.encode() + path.read_bytes(), checksum)
    assert checksum == DELIVERED


def test_a_recording_is_a_sine_of_half_a_hertz_in_floats_at_the_scale_of_integers() -> None:
    samples, rate = soundfile.read(io.BytesIO(challenge_recording()))
    assert rate == 24_000
    assert len(samples) == 48_001
    assert (samples.min(), samples.max()) == (-32_763, 32_763)
    assert (samples[1:rate] > 0).all()  # half a period is a second
    assert (samples[rate + 1 : -1] < 0).all()
