"""Make corpora for measuring: recordings of real speech, transcripts of English sentences, metadata.

A recording joins excerpts of real utterances: an investigator and a patient take turns, each with the voice of one
speaker. Its transcript has a segment for each excerpt, at the excerpt's times, with words of the sample corpus's
sentences at the rate of talk. Everything depends on the arguments alone.

For volume, many sessions share few recordings by hard links; each session has a transcript of its own.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from novoic_assets.synthetic.corpus import CorpusSettings, make_script, plan_corpus

Pcm = NDArray[np.int16]
Speaker = Literal["patient", "investigator"]

RATE: Final = 16_000
"""Samples per second of the corpora."""

_SPEAKERS: Final[tuple[Speaker, ...]] = ("investigator", "patient", "patient")  # of the segments, in turn
_SEGMENT_SECONDS: Final = (1.5, 4.5)
_PAUSE_SECONDS: Final = (0.2, 0.6)
_WORDS_PER_SECOND: Final = 2.8  # of a segment; 150 a minute with pauses
_LARGEST_NOISE: Final = 2  # of 32,767: a room is never digitally silent
_TOKENS_PER_OWN_WORD: Final = 500  # one token in so many is a word that no other session has
_SESSIONS_PER_PATIENT: Final = 1.2
_BASE_SECONDS: Final = 900.0  # length of the part that a long recording repeats
_MADE: Final = "corpus.json"


class Segment(NamedTuple):
    """A stretch of one speaker's speech; times are seconds from the start of the recording."""

    start: float
    end: float
    speaker: Speaker


@dataclass(frozen=True)
class Corpus:
    """The size of a corpus.

    Attributes:
        sessions: Number of sessions.
        seconds: Length of all recordings together; each counts as often as it is linked.
        recordings: Number of distinct recordings.
        audio_bytes: Size of these recordings.
        words: Number of words of all transcripts.
    """

    sessions: int
    seconds: float
    recordings: int
    audio_bytes: int
    words: int


def read_voices(folder: Path) -> list[Pcm]:
    """Read real utterances.

    Args:
        folder: Holds WAV or FLAC files at any depth. A file's name begins with its speaker, up to the first `-`, as in
            LibriSpeech.

    Returns:
        The speech of each speaker: int16, mono at 16 kHz, all utterances in a row; empty without files.
    """
    voices: dict[str, list[Pcm]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".wav", ".flac"}):
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
        voices.setdefault(path.stem.partition("-")[0], []).append(soxr.resample(samples[:, 0], rate, RATE))
    return [np.concatenate(utterances) for utterances in voices.values()]


def converse(seconds: float, voices: Sequence[Pcm], seed: int) -> tuple[Pcm, list[Segment]]:
    """Join excerpts of two voices into a session.

    Args:
        seconds: Its length; at least one excerpt of each speaker fits in, however short it is.
        voices: The seed chooses one for the patient and, if possible, another for the investigator.
        seed: Decides everything else.

    Returns:
        Samples at 16 kHz, and the segments in order.
    """
    rng = np.random.default_rng(seed)
    patient = seed % len(voices)
    investigator = (patient + int(rng.integers(1, max(2, len(voices))))) % len(voices)
    spoken = {"patient": voices[patient], "investigator": voices[investigator]}
    gain = {speaker: rng.uniform(0.5, 1.0) for speaker in spoken}
    shortest, longest = min(_SEGMENT_SECONDS[0], 0.25 * seconds), min(_SEGMENT_SECONDS[1], 0.35 * seconds)
    least, most = (min(limit, 0.1 * seconds) for limit in _PAUSE_SECONDS)
    samples = rng.integers(-_LARGEST_NOISE, _LARGEST_NOISE, round(seconds * RATE), np.int16, endpoint=True)
    segments: list[Segment] = []
    start = rng.uniform(least, most)
    for speaker in cycle(_SPEAKERS):
        first, count = round(start * RATE), round(rng.uniform(shortest, longest) * RATE)
        if first + count > len(samples):
            break
        voice = spoken[speaker]
        excerpt = np.take(voice, np.arange(count) + int(rng.integers(len(voice))), mode="wrap")
        samples[first : first + count] = gain[speaker] * excerpt
        segments.append(Segment(round(first / RATE, 6), round((first + count) / RATE, 6), speaker))
        start = (first + count) / RATE + rng.uniform(least, most)
    return samples, segments


def write_recording(path: Path, voices: Sequence[Pcm], seconds: float, rate: int, channels: int = 1) -> None:
    """Write a PCM_16 WAV file of speech in pieces, so that it may exceed memory, and its segments beside it.

    Args:
        path: The WAV file; its segments go to the same name with `.json`.
        voices: The voices, as in `converse`.
        seconds: The length of the recording.
        rate: Samples per second.
        channels: Number of channels.
    """
    length = min(seconds, _BASE_SECONDS)
    spoken, segments = converse(length, voices, seed=0)
    piece = soxr.resample(spoken, RATE, rate)
    # The channels differ by level, like microphones in one room.
    frames = np.stack([piece // (1 + channel) for channel in range(channels)], axis=1).astype(np.int16)
    left = round(seconds * rate)
    with soundfile.SoundFile(path, "w", rate, channels=channels, subtype="PCM_16", format="WAV") as file:
        while left > 0:
            file.write(frames[:left])
            left -= len(frames)
    shifts = np.arange(0.0, seconds, length)
    repeated = [Segment(start + shift, end + shift, speaker) for shift in shifts for start, end, speaker in segments]
    _write_segments(path, [segment for segment in repeated if segment.end <= seconds])


def _write_segments(recording: Path, segments: Sequence[Segment]) -> None:
    recording.with_suffix(".json").write_text(json.dumps(segments), "utf-8")


def read_segments(recording: Path) -> list[Segment]:
    """Read the segments of a recording that this module wrote."""
    return [Segment(*each) for each in json.loads(recording.with_suffix(".json").read_text("utf-8"))]


class Words:
    """English sentences of patients and investigators in the sample corpus."""

    def __init__(self) -> None:
        settings = CorpusSettings(sessions=24, minutes=5.0)
        self._said: dict[str, list[str]] = {"patient": [], "investigator": []}
        for session in plan_corpus(settings)[1]:
            for segment in make_script(session, settings).segments:
                for part in segment.parts:
                    self._said[part.speaker].extend(part.words)

    def draw(self, speaker: Speaker, count: int, rng: np.random.Generator, mark: str = "") -> list[str]:
        """Return words and punctuation marks from anywhere in the sentences, in order.

        Args:
            speaker: The speaker of the sentences.
            count: Number of words and marks.
            rng: Decides where they begin.
            mark: Makes one word in 500 unique to the session; without it none is.
        """
        said = self._said[speaker]
        first = int(rng.integers(len(said)))
        words = [said[place % len(said)] for place in range(first, first + count)]
        if mark:
            for number, place in enumerate(np.flatnonzero(rng.random(count) < 1 / _TOKENS_PER_OWN_WORD)):
                words[place] = f"{words[place]}x{mark}y{number}"
        return words


def transcript(session: str, patient: str, said: Sequence[tuple[Segment, Sequence[str]]]) -> str:
    """Return the XML of a transcript from its segments and the words of each."""
    ids = {"patient": patient, "investigator": "_inv"}
    body = []
    for number, (segment, words) in enumerate(said):
        opening = f'<w speakerid="{ids[segment.speaker]}">'
        spoken = "".join(f"{opening}{word}</w>\n" for word in words)
        times = f'tstart="{segment.start}" tend="{segment.end}"'
        body.append(f'<segment segmentid="{session}_{number}" {times}>\n{spoken}</segment>\n')
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f"<root><metadata><guidelines>chat</guidelines><sessionid>{session}</sessionid>"
        f"<speakerids>{patient},_inv</speakerids></metadata>\n<transcript>\n{''.join(body)}</transcript></root>\n"
    )


def write_corpus(folder: Path, voices: Sequence[Pcm], sessions: int, lengths: Sequence[float]) -> Corpus:
    """Write a raw folder, unless it exists.

    Args:
        folder: The folder.
        voices: The voices, as in `converse`.
        sessions: Number of sessions.
        lengths: Seconds of each distinct recording; the sessions take them in turn.

    Returns:
        The size of the corpus.
    """
    made = folder / _MADE
    if made.exists():
        return Corpus(**json.loads(made.read_text("utf-8")))
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("text", "audio", "recordings"):
        (folder / name).mkdir(parents=True)
    lengths = lengths[:sessions]
    audio_bytes = 0
    for index, seconds in enumerate(lengths):
        samples, segments = converse(seconds, voices, seed=index)
        path = _recording(folder, index)
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        _write_segments(path, segments)
        audio_bytes += path.stat().st_size
    words, n_words = Words(), 0
    for index in range(sessions):
        recording = _recording(folder, index % len(lengths))
        n_words += _write_transcript(folder, index, sessions, read_segments(recording), words)
        _audio(folder, index).hardlink_to(recording)
    _write_metadata(folder, _patients(sessions))
    seconds = sum(lengths[index % len(lengths)] for index in range(sessions))
    corpus = Corpus(sessions, seconds, len(lengths), audio_bytes, n_words)
    made.write_text(json.dumps(asdict(corpus)), "utf-8")
    return corpus


def change(folder: Path, corpus: Corpus, share: float) -> int:
    """Give some sessions of a corpus another recording and transcript.

    Args:
        folder: The corpus.
        corpus: Its size.
        share: The share of the sessions to change, from 0 to 1.

    Returns:
        Number of changed sessions.
    """
    words = Words()
    count = max(1, round(share * corpus.sessions))
    for index in range(0, corpus.sessions, corpus.sessions // count)[:count]:
        recording = _recording(folder, (index + 1) % corpus.recordings)
        _write_transcript(folder, index, corpus.sessions, read_segments(recording), words, seed=1)
        _audio(folder, index).unlink()
        shutil.copyfile(recording, _audio(folder, index))
    os.sync()
    return count


def _recording(folder: Path, index: int) -> Path:
    return folder / "recordings" / f"{index:03d}.wav"


def _audio(folder: Path, index: int) -> Path:
    return folder / "audio" / f"{_name(index)}.wav"


def _name(index: int) -> str:
    return f"B{index:06d}"


def _patients(sessions: int) -> int:
    return max(1, round(sessions / _SESSIONS_PER_PATIENT))


def _write_transcript(
    folder: Path, index: int, sessions: int, segments: Sequence[Segment], words: Words, seed: int = 0
) -> int:
    """Write a session's transcript, and return its number of words."""
    rng = np.random.default_rng([seed, index])
    counts = [max(1, round((segment.end - segment.start) * _WORDS_PER_SECOND)) for segment in segments]
    left: dict[Speaker, Iterator[str]] = {}
    for speaker in ("patient", "investigator"):
        total = sum(count for segment, count in zip(segments, counts, strict=True) if segment.speaker == speaker)
        left[speaker] = iter(words.draw(speaker, total, rng, mark=f"{index}"))
    said = [
        (segment, list(islice(left[segment.speaker], count))) for segment, count in zip(segments, counts, strict=True)
    ]
    text = transcript(_name(index), f"P{index % _patients(sessions):06d}", said)
    (folder / "text" / f"{_name(index)}.xml").write_text(text, "utf-8")
    return sum(counts)


def _write_metadata(folder: Path, patients: int) -> None:
    lines = ["speakerid,age,gender,mmse,ad_status,set"]
    for index in range(patients):
        case = index % 2
        mmse = 20 + index // 2 % 10 if case else 28 + index // 2 % 3
        split = "test" if index // 2 % 3 == 1 else "train"
        gender = "female" if index // 4 % 2 else "male"
        lines.append(f"P{index:06d},{50 + index // 2 * 7 % 40},{gender},{mmse},{case},{split}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", "utf-8")
