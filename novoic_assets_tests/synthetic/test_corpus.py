"""The sample corpus has the input format, is reproducible, and sounds where its transcripts say."""

import csv
import hashlib
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lxml import etree

from novoic_assets.errors import NovoicError
from novoic_assets.synthetic.corpus import (
    CorpusSettings,
    Session,
    make_recording,
    make_script,
    plan_corpus,
    transcript_xml,
    write_corpus,
)

SMALL = CorpusSettings(sessions=5, minutes=0.2, seed=3)
AUDIBLE = 10 ** (-55 / 20)  # of full scale; the noise floor's peaks stay below
SILENT_RMS = 10 ** (-75 / 20)


@dataclass(frozen=True)
class Heard:
    """A segment as read from the XML file."""

    start: float
    end: float
    speakers: tuple[str, ...]
    words: tuple[str, ...]


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _segments(path: Path) -> list[Heard]:
    root = etree.parse(path).getroot()
    return [
        Heard(
            float(segment.get("tstart")),
            float(segment.get("tend")),
            tuple(word.get("speakerid") for word in segment),
            tuple(word.text for word in segment),
        )
        for segment in root.iterfind("transcript/segment")
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "made" / "below"
    write_corpus(path, SMALL)
    return path


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(folder, tmp_path):
    write_corpus(tmp_path / "two", SMALL, workers=2)
    assert _digests(tmp_path / "two") == _digests(folder)


def test_another_seed_gives_another_corpus(folder, tmp_path):
    write_corpus(tmp_path, replace(SMALL, seed=4))
    ours, theirs = _digests(folder), _digests(tmp_path)
    assert ours.keys() == theirs.keys()
    assert not set(ours.values()) & set(theirs.values())


def test_a_session_does_not_depend_on_how_many_follow_it():
    (_, few), (_, many) = plan_corpus(SMALL), plan_corpus(replace(SMALL, sessions=9))
    same_patient = Session(few[0].number, many[0].patient)
    assert make_script(same_patient, SMALL) == make_script(many[0], replace(SMALL, sessions=9))


def test_the_summary_and_the_progress_count_the_sessions(tmp_path):
    seen = []
    settings = CorpusSettings(sessions=3, minutes=0.05)
    summary = write_corpus(tmp_path, settings, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    infos = [soundfile.info(path) for path in (tmp_path / "audio").iterdir()]
    assert (summary.sessions, summary.patients) == (3, 2)
    assert summary.seconds == pytest.approx(sum(info.frames / info.samplerate for info in infos))


def test_the_folder_holds_a_corpus_in_the_input_format(folder):
    with (folder / "metadata.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["speakerid", "age", "gender", "mmse", "ad_status", "set"]
    assert len(rows) == 4
    assert {row["gender"] for row in rows} <= {"male", "female"}
    assert {row["ad_status"] for row in rows} == {"0", "1"}
    assert {row["set"] for row in rows} == {"train", "test"}
    patients = {row["speakerid"] for row in rows}

    names = [f"SYN{number:05d}" for number in range(1, 6)]
    assert sorted(path.name for path in (folder / "text").iterdir()) == [f"{name}.xml" for name in names]
    assert sorted(path.name for path in (folder / "audio").iterdir()) == [f"{name}.wav" for name in names]
    recorded = set()
    for name in names:
        root = etree.parse(folder / "text" / f"{name}.xml").getroot()
        assert root.findtext("metadata/guidelines") == "chat"
        assert root.findtext("metadata/sessionid") == name
        patient, investigator = root.findtext("metadata/speakerids").split(",")
        recorded.add(patient)
        assert investigator == "_inv"
        info = soundfile.info(folder / "audio" / f"{name}.wav")
        assert (info.format, info.subtype, info.channels, info.samplerate) == ("WAV", "PCM_16", 1, 16_000)
        segments = _segments(folder / "text" / f"{name}.xml")
        ids = [segment.get("segmentid") for segment in root.iterfind("transcript/segment")]
        assert ids == [f"{name}_{i}" for i in range(len(segments))]
        assert all(0 <= segment.start < segment.end < info.duration for segment in segments)
        assert [segment.start for segment in segments] == sorted(segment.start for segment in segments)
        assert {speaker for segment in segments for speaker in segment.speakers} == {patient, "_inv"}
        assert all(word == word.strip().lower() != "" for segment in segments for word in segment.words)
        assert {"?", "."} <= {word for segment in segments for word in segment.words}
        assert all(segment.words[0] not in {"?", "."} for segment in segments)
    assert recorded == patients


def test_it_says_everywhere_that_it_is_synthetic(folder):
    assert "SYNTHETIC" in (folder / "README.txt").read_text(encoding="utf-8")
    for path in (folder / "text").iterdir():
        tree = etree.parse(path)
        assert tree.getroot().findtext("metadata/type") == "synthetic"
        assert "Synthetic" in tree.getroot().getprevious().text
        with soundfile.SoundFile(folder / "audio" / f"{path.stem}.wav") as file:
            assert "Synthetic" in file.comment
    assert (folder / "metadata.csv").read_text(encoding="utf-8").count("speaker_SYN") == 4


def _check_times_against_sound(folder: Path) -> tuple[int, int]:
    """Check that sound starts and ends with its segment and that gaps are silent; return the numbers of checks."""
    edges = gaps = 0
    for path in sorted((folder / "text").iterdir()):
        samples, rate = soundfile.read(folder / "audio" / f"{path.stem}.wav")
        segments = _segments(path)
        merged = []  # stretches of speech, as overlapping segments have no silence between them
        for segment in segments:
            if merged and segment.start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], segment.end)
            else:
                merged.append([segment.start, segment.end])
        silences = pairwise([0.0, *(edge for stretch in merged for edge in stretch), len(samples) / rate])
        for i, (start, end) in enumerate(silences):
            middle = samples[round((start + 0.001) * rate) : round((end - 0.001) * rate)]
            if i % 2 == 0:
                assert np.sqrt(np.mean(middle**2)) < SILENT_RMS
                assert np.max(np.abs(middle)) < AUDIBLE
                gaps += 1
        for start, end in merged:
            loud = np.flatnonzero(np.abs(samples[round((start - 0.05) * rate) : round((end + 0.05) * rate)]) > AUDIBLE)
            assert abs(loud[0] / rate - 0.05) < 0.01
            assert abs((end - start) + 0.05 - loud[-1] / rate) < 0.01
            edges += 2
    return edges, gaps


def test_sound_and_silence_are_where_the_transcript_says(folder):
    edges, gaps = _check_times_against_sound(folder)
    assert edges > 40
    assert gaps > 25


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_sample_rates(tmp_path, rate):
    write_corpus(tmp_path, CorpusSettings(sessions=2, minutes=0.15, seed=1, sample_rate=rate))
    for path in (tmp_path / "audio").iterdir():
        assert soundfile.info(path).samplerate == rate
    _check_times_against_sound(tmp_path)


def test_speech_has_the_level_of_a_recording(folder):
    for path in sorted((folder / "text").iterdir()):
        samples, rate = soundfile.read(folder / "audio" / f"{path.stem}.wav")
        for segment in _segments(path):
            speech = samples[round(segment.start * rate) : round(segment.end * rate)]
            level = 20 * np.log10(np.sqrt(np.mean(speech**2)))
            assert -27 < level < -17  # two overlapping speakers are louder
        assert np.max(np.abs(samples)) < 0.99


def test_a_mid_sized_corpus_has_overlaps_and_mixed_segments_and_mostly_the_patients_words():
    settings = CorpusSettings()
    _, sessions = plan_corpus(settings)
    overlaps = mixed = turns = segments = 0
    spoken = {"patient": 0, "investigator": 0}
    for session in sessions:
        script = make_script(session, settings)
        for before, after in pairwise(script.segments):
            turns += before.parts[-1].speaker != after.parts[0].speaker
            overlaps += after.start < before.end
        for segment in script.segments:
            segments += 1
            mixed += len({part.speaker for part in segment.parts}) > 1
            for part in segment.parts:
                spoken[part.speaker] += part.duration
    assert 0.02 < overlaps / turns < 0.07
    assert 0.02 < mixed / segments < 0.06
    assert 3.5 < spoken["patient"] / spoken["investigator"] < 7


def test_the_default_corpus_is_about_an_hour():
    settings = CorpusSettings()
    _, sessions = plan_corpus(settings)
    minutes = sum(make_script(session, settings).duration for session in sessions) / 60_000
    assert minutes == pytest.approx(60, rel=0.08)


@pytest.mark.parametrize("seed", range(5))
def test_every_cell_of_the_default_corpus_is_filled(seed):
    patients, sessions = plan_corpus(CorpusSettings(seed=seed))
    assert (len(patients), len(sessions)) == (60, 72)
    assert sum(p.is_case for p in patients) == 30
    assert sum(p.mmse is None for p in patients) in {1, 2}
    assert all(50 <= p.age <= 92 for p in patients)
    for split, share in (("train", 0.7), ("test", 0.3)):
        for is_case in (False, True):
            cell = [p for p in patients if (p.split, p.is_case) == (split, is_case)]
            assert len(cell) == pytest.approx(30 * share, abs=1)
            assert sum(p.age < 60 for p in cell) >= 0.25 * len(cell)
            scores = [p.mmse for p in cell if p.mmse is not None]
            if is_case:
                assert sum(score > 26 for score in scores) >= 2
                assert all(10 <= score <= 24 or 27 <= score <= 29 for score in scores)
            else:
                assert all(26 <= score <= 30 for score in scores)
    mild = [p for p in patients if p.is_case and p.is_mild]
    assert len(mild) == pytest.approx(0.2 * 30, abs=1)


def test_some_patients_have_several_sessions_and_every_patient_has_one():
    patients, sessions = plan_corpus(CorpusSettings())
    counts = [sum(session.patient == patient for session in sessions) for patient in patients]
    assert min(counts) == 1
    assert sum(count > 1 for count in counts) == 12


@pytest.mark.parametrize(
    ("sessions", "patients", "expected"),
    [(1, None, 1), (2, None, 2), (6, None, 5), (72, None, 60), (4, 60, 4), (7, 3, 3)],
)
def test_the_number_of_patients(sessions, patients, expected):
    drawn, planned = plan_corpus(CorpusSettings(sessions=sessions, patients=patients))
    assert len(drawn) == expected
    assert len(planned) == sessions
    assert {session.patient for session in planned} == set(drawn)


def test_neither_names_nor_order_tell_the_classes_apart():
    is_case = np.array(
        [[s.patient.is_case for s in plan_corpus(CorpusSettings(seed=seed))[1]] for seed in range(40)], float
    )
    assert abs(np.corrcoef(np.tile(np.arange(72), 40), is_case.ravel())[0, 1]) < 0.06
    by_patient = np.array([[p.is_case for p in plan_corpus(CorpusSettings(seed=seed))[0]] for seed in range(40)], float)
    assert abs(np.corrcoef(np.tile(np.arange(60), 40), by_patient.ravel())[0, 1]) < 0.06


def test_without_an_effect_the_class_changes_nothing_but_with_one_it_does():
    _, sessions = plan_corpus(SMALL)
    for effect, same in ((0.0, True), (1.0, False)):
        settings = replace(SMALL, effect=effect)
        for session in sessions:
            patient = session.patient
            swapped = Session(session.number, replace(patient, is_case=not patient.is_case, is_mild=False))
            ours, theirs = make_script(session, settings), make_script(swapped, settings)
            assert (transcript_xml(session, ours) == transcript_xml(swapped, theirs)) is same
            sound, other = make_recording(session, ours, settings), make_recording(swapped, theirs, settings)
            assert np.array_equal(sound, other) is same


@pytest.mark.parametrize("existing", ["metadata.csv", "audio", "text"])
def test_a_folder_with_a_corpus_is_not_overwritten(tmp_path, existing):
    (tmp_path / existing).mkdir()
    with pytest.raises(NovoicError, match="already holds"):
        write_corpus(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == [existing]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NovoicError, match="cannot be written"):
        write_corpus(tmp_path / "file", SMALL)


@pytest.mark.parametrize(
    "changes",
    [
        {"sessions": 0},
        {"patients": 0},
        {"minutes": 0.0},
        {"minutes": float("nan")},
        {"minutes": float("inf")},
        {"seed": -1},
        {"sample_rate": 7_999},
        {"sample_rate": 48_001},
        {"effect": -0.1},
        {"effect": float("nan")},
        {"effect": 1000.0},
    ],
)
def test_settings_outside_their_range_are_refused_before_anything_is_written(tmp_path, changes):
    with pytest.raises(NovoicError) as caught:
        write_corpus(tmp_path / "corpus", replace(SMALL, **changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "corpus").exists()
