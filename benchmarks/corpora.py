"""Corpora to measure with: speech-like recordings, transcripts of matching length, metadata.

For volume, a few dozen distinct recordings are hard-linked under the names of many sessions; transcripts are each
session's own. Everything depends on its arguments alone.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from novoic_assets.synthetic.corpus import CorpusSettings, make_recording, make_script, plan_corpus

Pcm = NDArray[np.int16]

WORDS_PER_SECOND: Final = 2.5  # 150 a minute
_PATIENT_SECONDS: Final = 10.0  # of a turn
_INVESTIGATOR_SECONDS: Final = 4.0
_PAUSE_SECONDS: Final = 0.25
_VOCABULARY: Final = 8_000
_TOKENS_PER_OWN_WORD: Final = 500  # how often a session has a word that no other has
_SESSIONS_PER_PATIENT: Final = 1.2
_SYLLABLES: Final = [first + vowel for first in "bdfghklmnprstvwz" for vowel in "aeiou"]
_MADE: Final = "corpus.json"


@dataclass(frozen=True)
class Corpus:
    """What was made.

    Attributes:
        sessions: Number of sessions.
        seconds: Length of all recordings together, each counted as often as it is linked.
        recordings: Number of distinct recordings.
        audio_bytes: Their size.
        words: Words of all transcripts.
    """

    sessions: int
    seconds: float
    recordings: int
    audio_bytes: int
    words: int


def speech(seconds: float, rate: int, seed: int = 0) -> Pcm:
    """Speech-like mono samples: a quarter of an hour of synthetic conversation at most, then from its start again."""
    minutes = min(15.0, seconds / 60)
    pieces = max(1, round(minutes))
    settings = CorpusSettings(sessions=pieces, minutes=max(0.1, minutes / pieces), sample_rate=rate, seed=seed)
    _, sessions = plan_corpus(settings)
    parts = [make_recording(session, make_script(session, settings), settings) for session in sessions]
    samples = np.rint(np.concatenate(parts) * 32_767).astype(np.int16)
    return np.resize(samples, round(seconds * rate))


def write_recording(path: Path, seconds: float, rate: int, channels: int = 1) -> None:
    """Write a PCM_16 WAV file of speech in pieces, so that it may be longer than memory."""
    piece = speech(min(seconds, 60.0 * 15), rate)
    # The channels differ by level, as those of one room's microphones do.
    frames = np.stack([piece // (1 + channel) for channel in range(channels)], axis=1).astype(np.int16)
    left = round(seconds * rate)
    with soundfile.SoundFile(path, "w", rate, channels=channels, subtype="PCM_16", format="WAV") as file:
        while left > 0:
            file.write(frames[:left])
            left -= len(frames)


def turns(seconds: float) -> list[tuple[float, float, str]]:
    """Start, end and speaker of the turns of a session: investigator and patient in turn, up to its end."""
    found: list[tuple[float, float, str]] = []
    start = 0.0
    lengths = cycle([("investigator", _INVESTIGATOR_SECONDS), ("patient", _PATIENT_SECONDS)])
    if seconds < _INVESTIGATOR_SECONDS + _PATIENT_SECONDS:
        lengths = cycle([("investigator", 0.3 * seconds), ("patient", 0.6 * seconds)])
    for speaker, length in lengths:
        end = min(start + length, seconds)
        if end - start < 0.1:
            break
        found.append((round(start, 2), round(end, 2), speaker))
        start = end + _PAUSE_SECONDS
    return found


class Words:
    """Draws words by Zipf's law from some thousands; a rare one is the session's own."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        words: dict[str, None] = {}
        while len(words) < _VOCABULARY:
            words["".join(rng.choice(_SYLLABLES, size=rng.integers(1, 5)))] = None
        self._words = list(words)
        weights = 1 / np.arange(1, _VOCABULARY + 1)
        self._cumulative = np.cumsum(weights / weights.sum())

    def draw(self, count: int, session: int, seed: int = 0) -> list[str]:
        """The words of a session, in order."""
        rng = np.random.default_rng([seed, session])
        places = np.searchsorted(self._cumulative, rng.random(count)).clip(max=_VOCABULARY - 1)
        words = [self._words[place] for place in places]
        for number, place in enumerate(np.flatnonzero(rng.random(count) < 1 / _TOKENS_PER_OWN_WORD)):
            words[place] = f"{words[place]}x{session}y{number}"
        return words


def transcript(session: str, patient: str, seconds: float, words: Sequence[str]) -> str:
    """The XML of a transcript."""
    given = iter(words)
    speakers = {"patient": patient, "investigator": "_inv"}
    body = []
    for index, (start, end, speaker) in enumerate(turns(seconds)):
        opening = f'<w speakerid="{speakers[speaker]}">'
        spoken = "".join(f"{opening}{word}</w>\n" for word in islice(given, _count(start, end)))
        body.append(f'<segment segmentid="{session}_{index}" tstart="{start}" tend="{end}">\n{spoken}</segment>\n')
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f"<root><metadata><sessionid>{session}</sessionid><speakerids>{patient},_inv</speakerids></metadata>\n"
        f"<transcript>\n{''.join(body)}</transcript></root>\n"
    )


def word_count(seconds: float) -> int:
    """The number of words of a session."""
    return sum(_count(start, end) for start, end, _ in turns(seconds))


def _count(start: float, end: float) -> int:
    return max(1, round((end - start) * WORDS_PER_SECOND))


def write_corpus(folder: Path, sessions: int, lengths: Sequence[float], rate: int = 16_000) -> Corpus:
    """Write a raw folder, unless it is there.

    Args:
        folder: Where.
        sessions: Number of sessions.
        lengths: Seconds of each distinct recording; the sessions take them in turn.
        rate: Samples per second.
    """
    made = folder / _MADE
    if made.exists():
        return Corpus(**json.loads(made.read_text("utf-8")))
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("text", "audio", "recordings"):
        (folder / name).mkdir(parents=True)
    lengths = lengths[:sessions]
    audio_bytes = _write_recordings(folder, lengths, rate)
    draw, n_words = Words(), 0
    for index in range(sessions):
        seconds = lengths[index % len(lengths)]
        _write_transcript(folder, index, sessions, seconds, draw)
        (folder / "audio" / f"{name_of(index)}.wav").hardlink_to(_recording(folder, index % len(lengths)))
        n_words += word_count(seconds)
    _write_metadata(folder, _patients(sessions))
    seconds = sum(lengths[index % len(lengths)] for index in range(sessions))
    corpus = Corpus(sessions, seconds, len(lengths), audio_bytes, n_words)
    made.write_text(json.dumps(asdict(corpus)), "utf-8")
    return corpus


def change(folder: Path, corpus: Corpus, seconds: float, share: float) -> int:
    """Give some sessions of a corpus whose recordings are equally long another transcript and recording.

    Args:
        folder: The corpus.
        corpus: What is in it.
        seconds: Length of each recording.
        share: Part of the sessions to change.

    Returns:
        How many were changed.
    """
    draw = Words()
    count = max(1, round(share * corpus.sessions))
    for index in range(0, corpus.sessions, corpus.sessions // count)[:count]:
        _write_transcript(folder, index, corpus.sessions, seconds, draw, seed=1)
        path = folder / "audio" / f"{name_of(index)}.wav"
        path.unlink()
        shutil.copyfile(_recording(folder, (index + 1) % corpus.recordings), path)
    os.sync()
    return count


def name_of(index: int) -> str:
    """A session's name."""
    return f"B{index:06d}"


def _write_recordings(folder: Path, lengths: Sequence[float], rate: int) -> int:
    base = speech(15 * 60 if max(lengths) > 60 else 4 * max(lengths), rate)
    total = 0
    for index, seconds in enumerate(lengths):
        # Each begins elsewhere and has its own level, so that no two are alike.
        samples = np.resize(np.roll(base, -index * len(base) // len(lengths)), round(seconds * rate))
        path = _recording(folder, index)
        soundfile.write(path, (samples * (0.97**index)).astype(np.int16), rate, subtype="PCM_16")
        total += path.stat().st_size
    return total


def _recording(folder: Path, index: int) -> Path:
    return folder / "recordings" / f"{index:03d}.wav"


def _patients(sessions: int) -> int:
    return max(1, round(sessions / _SESSIONS_PER_PATIENT))


def _write_transcript(folder: Path, index: int, sessions: int, seconds: float, draw: Words, seed: int = 0) -> None:
    name = name_of(index)
    words = draw.draw(word_count(seconds), index, seed)
    text = transcript(name, f"P{index % _patients(sessions):06d}", seconds, words)
    (folder / "text" / f"{name}.xml").write_text(text, "utf-8")


def _write_metadata(folder: Path, patients: int) -> None:
    lines = ["speakerid,age,gender,mmse,ad_status,set"]
    for index in range(patients):
        case = index % 2
        mmse = 20 + index // 2 % 10 if case else 28 + index // 2 % 3
        split = "test" if index // 2 % 3 == 1 else "train"
        gender = "female" if index // 4 % 2 else "male"
        lines.append(f"P{index:06d},{50 + index // 2 * 7 % 40},{gender},{mmse},{case},{split}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", "utf-8")
