"""A sample corpus that anybody may have: invented patients, conversations and voices in the real input format.

Cases and controls have the same distributions, except that `effect` scales a shift of the cases' parameters
(`people.draw_habits` and `people.draw_voice` give the sizes). Cases say more fillers, pause more often and for longer,
use more pronouns and vaguer, less varied words, repeat more and speak more slowly. Their voices are lower, flatter,
breathier and a little less regular. Mild cases differ by less. With an effect of 0, only the metadata separate the
classes. Age, gender, split, scene, investigator, microphone, noise and length do not depend on the class.

The content of a session depends only on its patient, its number, the seed, the effect, the mean length and the sample
rate, never on the other sessions, the workers or their order.
"""

import csv
import math
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import soundfile
from lxml import etree

from novoic_assets.errors import NovoicError, StorageError
from novoic_assets.synthetic.people import Habits, InventedPatient, Voice, draw_habits, draw_patients, draw_voice
from novoic_assets.synthetic.script import INVESTIGATOR, PATIENT, Script, write_script
from novoic_assets.synthetic.voice import Samples, draw_channel, say

NOTICE = "Synthetic: made by a program. The patient, the words and the voice are invented."
METADATA_HEADER = ("speakerid", "age", "gender", "mmse", "ad_status", "set")
INVESTIGATOR_ID = "_inv"
INVESTIGATORS = 5
SESSIONS_PER_PATIENT = 6 / 5
SAMPLE_RATES = (8_000, 48_000)  # Hz
NOISE_FLOORS = (-88.0, -77.0)  # dB relative to full scale
LARGEST_EFFECT = 5.0  # beyond it, fillers and pauses leave hardly a word
HIGHEST_PEAK = 0.98  # of full scale
FEWEST_MINUTES_FOR_A_POOL = 5.0  # starting workers takes longer than speaking this much

# The first number of each seed's key, so that no two kinds of draws share randomness.
_PATIENTS, _HABITS, _VOICES, _INVESTIGATORS, _ORDER, _SESSIONS = range(6)


@dataclass(frozen=True)
class CorpusSettings:
    """The settings of a corpus.

    Attributes:
        sessions: Number of recordings.
        patients: Number of patients, at most one for each session; None for five to every six sessions.
        minutes: Mean length of a session in min.
        seed: Equal seeds give equal files.
        sample_rate: Sample rate of the recordings in Hz.
        effect: How far cases lie from controls: 0 for not at all, 1 for clearly but not perfectly separable.
    """

    sessions: int = 72
    patients: int | None = None
    minutes: float = 0.85
    seed: int = 0
    sample_rate: int = 16_000
    effect: float = 1.0


@dataclass(frozen=True)
class CorpusSummary:
    """The size of a corpus.

    Attributes:
        patients: Number of patients.
        sessions: Number of recordings.
        seconds: Total length of the recordings in s.
    """

    patients: int
    sessions: int
    seconds: float


@dataclass(frozen=True)
class Session:
    """A session to make.

    Attributes:
        number: The number of the session, from 1.
        patient: The patient who is recorded.
    """

    number: int
    patient: InventedPatient

    @property
    def sessionid(self) -> str:
        """The id of the session, and the stem of its files' names."""
        return f"SYN{self.number:05d}"


def check_settings(settings: CorpusSettings) -> None:
    """Refuse settings outside their ranges.

    Args:
        settings: The settings of the corpus.

    Raises:
        NovoicError: A setting is outside its range.
    """
    lowest, highest = SAMPLE_RATES
    if settings.sessions < 1:
        raise NovoicError("a sample corpus needs at least one session")
    if settings.patients is not None and settings.patients < 1:
        raise NovoicError("a sample corpus needs at least one patient")
    if not 0 < settings.minutes < math.inf:
        raise NovoicError("the minutes of a sample session must be more than 0")
    if settings.seed < 0:
        raise NovoicError("the seed of a sample corpus must be 0 or more")
    if not lowest <= settings.sample_rate <= highest:
        raise NovoicError(f"the sample rate of a sample corpus must be between {lowest} and {highest} Hz")
    if not 0 <= settings.effect <= LARGEST_EFFECT:
        raise NovoicError(f"the effect of a sample corpus must be between 0 and {LARGEST_EFFECT:g}")


def _rng(settings: CorpusSettings, *key: int) -> np.random.Generator:
    # The key gives the same sequence as SeedSequence.spawn, without spawning all earlier ones.
    return np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=key))


def plan_corpus(settings: CorpusSettings) -> tuple[tuple[InventedPatient, ...], tuple[Session, ...]]:
    """Draw the patients and the patient of each session, without making any session.

    Args:
        settings: The settings of the corpus.

    Returns:
        The patients, and the sessions in the order of their numbers. Every patient has a session; the remaining
        sessions are spread evenly.

    Example:
        >>> patients, sessions = plan_corpus(CorpusSettings(sessions=6))
        >>> len(patients), [session.sessionid for session in sessions[:2]]
        (5, ['SYN00001', 'SYN00002'])
    """
    wanted = settings.patients or max(1, round(settings.sessions / SESSIONS_PER_PATIENT))
    patients = draw_patients(min(wanted, settings.sessions), _rng(settings, _PATIENTS))
    rng = _rng(settings, _ORDER)
    rounds = math.ceil(settings.sessions / len(patients))
    dealt = np.concatenate([rng.permutation(len(patients)) for _ in range(rounds)])[: settings.sessions]
    order = rng.permutation(dealt)
    return patients, tuple(Session(number, patients[i]) for number, i in enumerate(order, start=1))


def _session_rngs(session: Session, settings: CorpusSettings) -> tuple[np.random.Generator, ...]:
    """Independent randomness for a session's conversation and for its recording."""
    return tuple(_rng(settings, _SESSIONS, session.number, i) for i in range(2))


def _investigator(settings: CorpusSettings, number: int) -> tuple[Habits, Voice]:
    rng = _rng(settings, _INVESTIGATORS, number)
    gender = "female" if number % 2 else "male"
    return draw_habits(rng, shift=0.0), draw_voice(rng, gender, shift=0.0)


def _investigator_number(session: Session, settings: CorpusSettings) -> int:
    return int(_rng(settings, _SESSIONS, session.number, 2).integers(INVESTIGATORS))


def make_script(session: Session, settings: CorpusSettings) -> Script:
    """Make up the conversation of a session.

    Args:
        session: The session.
        settings: The settings of the corpus.

    Returns:
        The script.
    """
    rng, _ = _session_rngs(session, settings)
    patient = session.patient
    habits = draw_habits(_rng(settings, _HABITS, patient.number), patient.shift(settings.effect))
    investigator, _ = _investigator(settings, _investigator_number(session, settings))
    seconds = 60 * settings.minutes * rng.uniform(0.7, 1.3)
    return write_script(seconds, habits, investigator, rng)


def make_recording(session: Session, script: Script, settings: CorpusSettings) -> Samples:
    """Speak the conversation of a session.

    Args:
        session: The session.
        script: Its conversation.
        settings: The settings of the corpus.

    Returns:
        Samples relative to full scale, shape (samples,).
    """
    _, rng = _session_rngs(session, settings)
    patient = session.patient
    _, investigator = _investigator(settings, _investigator_number(session, settings))
    voices = {
        PATIENT: draw_voice(_rng(settings, _VOICES, patient.number), patient.gender, patient.shift(settings.effect)),
        INVESTIGATOR: investigator,
    }
    rate = settings.sample_rate
    channel = draw_channel(rate, rng)
    floor = np.float32(10 ** (rng.uniform(*NOISE_FLOORS) / 20))
    recording = floor * rng.standard_normal(_samples(script.duration, rate), np.float32)
    for segment in script.segments:
        start = segment.start
        for part in segment.parts:
            first, last = _samples(start, rate), _samples(start + part.duration, rate)
            recording[first:last] += say(
                part.words, part.durations, last - first, voices[part.speaker], channel, rate, rng
            )
            start += part.duration
    peak = np.max(np.abs(recording))
    return recording * np.float32(min(1.0, HIGHEST_PEAK / peak))


def _samples(ms: int, sample_rate: int) -> int:
    return round(ms * sample_rate / 1000)


def transcript_xml(session: Session, script: Script) -> bytes:
    """Write a script as a transcript.

    Args:
        session: The session.
        script: Its conversation.

    Returns:
        The bytes of the XML file.
    """
    speakerids = {PATIENT: session.patient.speakerid, INVESTIGATOR: INVESTIGATOR_ID}
    root = etree.Element("root")
    metadata = etree.SubElement(root, "metadata")
    for name, text in (
        ("type", "synthetic"),
        ("guidelines", "chat"),
        ("sessionid", session.sessionid),
        ("speakerids", f"{session.patient.speakerid},{INVESTIGATOR_ID}"),
    ):
        etree.SubElement(metadata, name).text = text
    transcript = etree.SubElement(root, "transcript")
    for i, segment in enumerate(script.segments):
        element = etree.SubElement(
            transcript,
            "segment",
            segmentid=f"{session.sessionid}_{i}",
            tend=str(segment.end / 1000),
            tstart=str(segment.start / 1000),
        )
        for part in segment.parts:
            for word in part.words:
                etree.SubElement(element, "w", speakerid=speakerids[part.speaker]).text = word
    etree.indent(root, space="   ")
    body: bytes = etree.tostring(root, encoding="utf-8")
    return f'<?xml version="1.0" encoding="utf-8"?>\n<!-- {NOTICE} -->\n'.encode() + body + b"\n"


def _write_session(folder: Path, session: Session, settings: CorpusSettings) -> float:
    """Write a session's two files; return the recording's length in s."""
    script = make_script(session, settings)
    recording = make_recording(session, script, settings)
    (folder / "text" / f"{session.sessionid}.xml").write_bytes(transcript_xml(session, script))
    path = folder / "audio" / f"{session.sessionid}.wav"
    with soundfile.SoundFile(path, "w", settings.sample_rate, channels=1, subtype="PCM_16", format="WAV") as file:
        file.comment = NOTICE
        file.write(np.rint(32767 * recording).astype(np.int16))
    return len(recording) / settings.sample_rate


def _write_metadata(folder: Path, patients: tuple[InventedPatient, ...]) -> None:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(METADATA_HEADER)
        for p in patients:
            mmse = "" if p.mmse is None else p.mmse
            writer.writerow((p.speakerid, p.age, p.gender, mmse, int(p.is_case), p.split))


def _write_readme(folder: Path, settings: CorpusSettings) -> None:
    text = f"""\
SYNTHETIC DATA

Everything in this folder was made by a program (novoic_assets.synthetic). No person was recorded or described: the
patients, their scores, the conversations and the voices are invented. It shows that a pipeline works and says
nothing about dementia.

metadata.csv   one row per patient
audio/         one recording per session, 16-bit PCM, mono, {settings.sample_rate} Hz
text/          one time-aligned transcript per session

Seed {settings.seed}, effect {settings.effect:g}. On average, by an amount that grows with the effect, the cases
(ad_status 1)
  - say more fillers (uh, um) and repeat more words,
  - pause more often and for longer, and speak more slowly,
  - use more pronouns, and vaguer and less varied words,
  - have lower, flatter, breathier and slightly less regular voices.
Mild cases (mmse above 26) differ by less. With effect 0 nothing but metadata.csv tells the classes apart. Age, gender,
set, length, investigator and recording conditions do not depend on the class.
"""
    (folder / "README.txt").write_text(text, encoding="utf-8")


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    if workers == 1:
        yield None
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def write_corpus(
    folder: Path,
    settings: CorpusSettings,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> CorpusSummary:
    """Write a sample corpus in the input format.

    Args:
        folder: The folder to write; it is created if it is missing.
        settings: The settings of the corpus.
        progress: Called after each session with the number of finished sessions and of all sessions.
        workers: Number of processes. None for one for each processor, or for this process alone if there are only a
            few minutes of audio.

    Returns:
        The size of the corpus.

    Raises:
        NovoicError: The folder already holds a corpus, or a setting is outside its range.
        StorageError: The folder cannot be written.
    """
    check_settings(settings)
    if workers is not None and workers < 1:
        raise NovoicError("a sample corpus needs at least one worker")
    if any((folder / name).exists() for name in ("metadata.csv", "audio", "text")):
        raise NovoicError(
            "the folder already holds a corpus, and a sample corpus never replaces one; choose another folder"
        )
    if workers is None:
        is_little = settings.sessions * settings.minutes < FEWEST_MINUTES_FOR_A_POOL
        workers = 1 if is_little else min(os.cpu_count() or 1, settings.sessions)

    patients, sessions = plan_corpus(settings)
    seconds = 0.0
    try:
        for name in ("audio", "text"):
            (folder / name).mkdir(parents=True)
        _write_readme(folder, settings)
        with _pool(workers) as executor:
            run = map if executor is None else executor.map
            lengths = run(_write_session, repeat(folder), sessions, repeat(settings))
            for done, length in enumerate(lengths, start=1):
                seconds += length
                if progress is not None:
                    progress(done, len(sessions))
        _write_metadata(folder, patients)
    except (OSError, soundfile.LibsndfileError) as error:
        raise StorageError(
            "the folder for the sample corpus cannot be written; check its path, its permissions and the free space"
        ) from error
    return CorpusSummary(len(patients), len(sessions), seconds)
