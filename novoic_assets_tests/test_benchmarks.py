"""The benchmarks' own arithmetic, and the short form of the parts that take seconds."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import corpora, report
from benchmarks.__main__ import PARTS
from benchmarks.common import BenchmarkError
from benchmarks.measure import run
from benchmarks.novoic import check_outcome, materialize
from benchmarks.part import Part, Target
from benchmarks.parts.end_to_end import _slope

ROOT = Path(__file__).parents[1]


def test_the_exponent_of_a_power_is_found():
    assert _slope([(n, 3 * n**1.2) for n in (100, 1_000, 10_000)]) == pytest.approx(1.2)


def test_turns_end_with_the_session():
    for seconds in (1.0, 5.0, 61.0, 1_800.0):
        turns = corpora.turns(seconds)
        assert {speaker for *_, speaker in turns} == {"patient", "investigator"}
        assert all(start < end <= seconds for start, end, _ in turns)
        assert all(first[1] <= second[0] for first, second in pairwise(turns))


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
def test_the_report_says_plainly_what_was_not_reached(tmp_path, part, text):
    results = report.Report(tmp_path, (part,))
    results.add(part, {}, short=False, seconds=1.0)
    assert text in results.markdown()
    assert results.is_full(part)


def test_a_part_leaves_the_results_of_others(tmp_path):
    first, second = _part(2.0), Part("two", "Two", lambda bench: {}, lambda figures: "")
    report.Report(tmp_path, (first, second)).add(first, {}, short=True, seconds=1.0)
    report.Report(tmp_path, (first, second)).add(second, {}, short=True, seconds=1.0)
    assert json.loads((tmp_path / "performance.json").read_text()).keys() == {"one", "two"}


def test_a_failed_command_is_no_measurement(tmp_path):
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
        assert done.together.rss > 50_000_000
        assert done.together.pss > 50_000_000


@pytest.mark.slow
def test_sessions_of_a_corpus_are_ok_and_change(tmp_path):
    lengths = [5.0] * 4
    corpus = corpora.write_corpus(tmp_path / "raw", 30, lengths)
    assert corpora.write_corpus(tmp_path / "raw", 30, lengths) == corpus
    materialize(tmp_path / "raw", tmp_path / "store", tmp_path / "run")
    check_outcome(tmp_path / "store", 30)
    before = {path: path.read_bytes() for path in (tmp_path / "raw").glob("*/B*")}
    assert corpora.change(tmp_path / "raw", corpus, 5.0, 0.1) == 3
    assert sum(path.read_bytes() != data for path, data in before.items()) == 6


@pytest.mark.slow
def test_the_cheapest_parts(tmp_path):
    names = ("audio", "text", "memory")
    only = [argument for name in names for argument in ("--only", name)]
    command = [sys.executable, "-m", "benchmarks", "--short", *only, "--work", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results" / "performance.json").read_text())
    assert results.keys() == set(names)
    assert all(f"## {part.title}" in done.stdout for part in PARTS if part.name in names)
    assert list(tmp_path.iterdir()) == [tmp_path / "results"]
