"""The speech challenge in its delivered form, built from the fixtures.

All its recordings are equal, and its transcripts differ only in the name of the session. So the repository holds the
metadata and one transcript, and this module derives the rest.
"""

import io
from pathlib import Path

import numpy as np
from scipy.io import wavfile

FIXTURES = Path(__file__).with_name("fixtures")
METADATA = FIXTURES / "challenge" / "metadata.csv"
_TRANSCRIPT = FIXTURES / "challenge" / "S001.xml"
_RATE = 24_000


def write_challenge(folder: Path) -> None:
    """Write metadata, transcripts and recordings into a folder, each file byte for byte as delivered."""
    metadata, recording = METADATA.read_bytes(), challenge_recording()
    (folder / "metadata.csv").write_bytes(metadata)
    (folder / "text").mkdir()
    (folder / "audio").mkdir()
    for row in metadata.decode().splitlines()[1:]:
        session = row.partition(",")[0].removeprefix("speaker_")
        (folder / "text" / f"{session}.xml").write_bytes(challenge_transcript(session))
        (folder / "audio" / f"{session}.wav").write_bytes(recording)


def challenge_transcript(session: str) -> bytes:
    """The transcript of a session: ten words and marks of the investigator, and none of the patient."""
    return _TRANSCRIPT.read_bytes().replace(_TRANSCRIPT.stem.encode(), session.encode())


def challenge_recording() -> bytes:
    """The recording of every session: an inaudible sine of 0.5 Hz, in floats at the scale of 16-bit integers."""
    phase = np.arange(2 * _RATE + 1) * (2 * np.pi * 0.5 / _RATE)
    file = io.BytesIO()
    wavfile.write(file, _RATE, np.float32(32_763) * np.sin(phase).astype(np.float32))
    return file.getvalue()
