"""The arithmetic of the benchmarks, and the short form of their quickest parts."""

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks import corpora, report
from benchmarks.__main__ import PARTS
from benchmarks.common import BenchmarkError
from benchmarks.measure import run
from benchmarks.novoic import check_outcome, materialize
from benchmarks.part import Part, Target
from benchmarks.parts.end_to_end import _exponent
from benchmarks.slow_family import SLOW
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import text_features
from novoic_assets.sessions.transcript import Segment, Word

ROOT = Path(__file__).parents[1]


@pytest.fixture
def voices():
    """Two voices that differ by the sign of their samples."""
    rng = np.random.default_rng(0)
    return [rng.integers(1_000, 2_000, 40_000, np.int16), rng.integers(-2_000, -1_000, 40_000, np.int16)]


def test_the_exponent_of_a_power_is_found():
    assert _exponent((100, 3 * 100**1.2), (1_000, 3 * 1_000**1.2)) == pytest.approx(1.2)


@pytest.mark.parametrize("seconds", [1.0, 5.0, 61.0, 1_020.0])
def test_the_segments_of_a_session_follow_each_other_until_its_end(voices, seconds):
    samples, segments = corpora.converse(seconds, voices, seed=1)
    assert len(samples) == round(seconds * corpora.RATE)
    assert {segment.speaker for segment in segments} == {"patient", "investigator"}
    assert all(segment.start < segment.end <= seconds for segment in segments)
    assert all(first.end <= second.start for first, second in pairwise(segments))
    assert seconds - segments[-1].end < 6.0


def test_a_segment_has_one_voice_and_a_pause_has_none(voices):
    samples, segments = corpora.converse(20.0, voices, seed=0)
    heard = {"patient": set(), "investigator": set()}
    pauses = np.ones(len(samples), bool)
    for segment in segments:
        first, last = round(segment.start * corpora.RATE), round(segment.end * corpora.RATE)
        heard[segment.speaker] |= set(np.sign(samples[first:last]))
        pauses[first:last] = False
    assert heard == {"patient": {1}, "investigator": {-1}}
    assert abs(samples[pauses]).max() <= 2


def test_no_two_sessions_sound_alike(voices):
    recordings = {corpora.converse(5.0, voices, seed)[0].tobytes() for seed in range(20)}
    assert len(recordings) == 20
    assert corpora.converse(5.0, voices, 3)[0].tobytes() in recordings


def test_the_files_of_one_speaker_are_one_voice(tmp_path):
    for name, rate in (("12-1.flac", 16_000), ("12-2.flac", 16_000), ("7.wav", 8_000)):
        soundfile.write(tmp_path / name, np.zeros(rate, np.int16), rate)
    (tmp_path / "speakers.csv").write_text("speaker,sex")
    assert [len(voice) for voice in corpora.read_voices(tmp_path)] == [32_000, 16_000]
    assert corpora.read_voices(tmp_path / "nowhere") == []


def test_a_long_recording_repeats_its_beginning_and_its_segments(tmp_path, voices):
    path = tmp_path / "long.wav"
    corpora.write_recording(path, voices, 2_000.0, 8_000, channels=2)
    info = soundfile.info(path)
    assert (info.duration, info.samplerate, info.channels) == (2_000.0, 8_000, 2)
    segments = corpora.read_segments(path)
    assert all(first.end <= second.start for first, second in pairwise(segments))
    assert 1_990 < segments[-1].end <= 2_000


def _part(limit, reached=1.0, **settings):
    target = Target("what", limit, lambda figures: reached, "s", **settings)
    return Part("one", "One", lambda bench: {}, lambda figures: "figures", (target,))


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (_part(2.0), "| 1 s |"),
        (_part(0.5), "| **1 s, not reached** |"),
        (_part(0.5, at_least=True), "| 1 s |"),
        (_part(2.0, at_least=True), "| **1 s, not reached** |"),
        (_part(2.0, reached=None), "| not measured |"),
    ],
)
def test_the_report_marks_targets_that_are_not_reached(tmp_path, part, text):
    results = report.Report(tmp_path, (part,))
    results.add(part, {}, short=False, seconds=1.0, load=0.1)
    assert text in results.markdown()
    assert results.is_full(part)


def test_a_part_keeps_the_results_of_others(tmp_path):
    first, second = _part(2.0), Part("two", "Two", lambda bench: {}, lambda figures: "")
    report.Report(tmp_path, (first, second)).add(first, {}, short=True, seconds=1.0, load=0.1)
    report.Report(tmp_path, (first, second)).add(second, {}, short=True, seconds=1.0, load=0.1)
    assert json.loads((tmp_path / "performance.json").read_text()).keys() == {"one", "two"}


def test_a_command_that_fails_is_an_error(tmp_path):
    with pytest.raises(BenchmarkError, match="no such thing"):
        run([sys.executable, "-c", "raise SystemExit('no such thing')"], folder=tmp_path, env={})


def test_a_command_is_measured_with_its_children(tmp_path):
    burn = (
        "import time\nend = time.process_time() + 0.5\nheld = b'1' * 50_000_000\nwhile time.process_time() < end: pass"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    done = run([sys.executable, "-c", code], folder=tmp_path, env={}, interval=0.05)
    assert done.cpu >= 0.5
    assert done.wall >= 0.4
    if Path("/proc/self/smaps_rollup").exists():
        assert done.together > 50_000_000


def test_worker_processes_and_their_work_are_counted_apart(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, time\n"
        "def burn(seconds):\n"
        "    end = time.process_time() + seconds\n"
        "    while time.process_time() < end: pass\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(2) as pool: pool.map(burn, [0.6, 0.6])\n"
    )
    done = run([sys.executable, str(script)], folder=tmp_path, env={}, interval=0.05)
    if Path("/proc/self/stat").exists():
        assert done.workers == 2
        assert 0.6 < done.workers_cpu <= done.cpu
        assert done.worker > 1_000_000


def test_the_slow_family_takes_half_a_second_of_a_core_for_each_session():
    said = Conversation([Segment(0.0, 1.0, (Word("the", "patient"), Word("cookie", "patient")))])
    start = time.process_time()
    assert text_features(said, [SLOW])["slow"]["all"].vector.tolist() == [2.0]
    assert time.process_time() - start >= 0.5


def test_the_page_names_date_and_machine_of_each_part(tmp_path):
    part = _part(2.0)
    results = report.Report(tmp_path, (part,))
    results.add(part, {}, short=False, seconds=1.0, load=0.26)
    day = json.loads((tmp_path / "performance.json").read_text())["one"]["measured"][:10]
    assert f"## One\n\n_{day}, machine 1, load 0.3 before._" in (tmp_path / "performance.md").read_text()


def test_the_page_in_the_repository_is_written_from_its_figures():
    results = report.Report(ROOT / "docs", PARTS)
    assert results.markdown() == (ROOT / "docs" / "performance.md").read_text()


@pytest.mark.slow
def test_sessions_of_a_corpus_are_ok_and_change(tmp_path, voices):
    lengths = [5.0] * 4
    corpus = corpora.write_corpus(tmp_path / "raw", voices, 30, lengths)
    assert corpora.write_corpus(tmp_path / "raw", voices, 30, lengths) == corpus
    materialize(tmp_path / "raw", tmp_path / "store", tmp_path / "run")
    check_outcome(tmp_path / "store", 30)
    before = {path: path.read_bytes() for path in (tmp_path / "raw").glob("*/B*")}
    assert corpora.change(tmp_path / "raw", corpus, 0.1) == 3
    assert sum(path.read_bytes() != data for path, data in before.items()) == 6


@pytest.mark.slow
def test_the_cheapest_parts(tmp_path):
    names = ("tasks", "audio", "text", "memory")
    only = [argument for name in names for argument in ("--only", name)]
    command = [sys.executable, "-m", "benchmarks", "--short", *only, "--work", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results" / "performance.json").read_text())
    assert results.keys() == set(names)
    assert all(f"## {part.title}" in done.stdout for part in PARTS if part.name in names)
    assert list(tmp_path.iterdir()) == [tmp_path / "results"]
