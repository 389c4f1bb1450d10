"""A run that was killed is taken up by the next one, and two runs at once end where one would."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from novoic_assets.synthetic.corpus import CorpusSettings, write_corpus
from novoic_assets_tests.conftest import KEY
from novoic_assets_tests.lab import Lab

pytestmark = pytest.mark.slow

NOVOIC = Path(sys.executable).with_name("novoic")
DAGSTER_YAML = Path(__file__).parents[1] / "dagster.yaml"
SESSIONS = 520  # one worker computes them in three chunks a stage
STAGES = {
    "parsed_transcripts": "transcripts",
    "text_features": "text_features",
    "audio_features": "audio_features",
}
PATIENCE = 120.0  # s until a test gives up on something that has to happen
KILLS = 5

Content = Mapping[str, object]


@dataclass(frozen=True)
class Undisturbed:
    """What a run that nobody disturbs makes of the corpus, and how long it takes in s."""

    raw: Path
    content: Content
    seconds: float


@contextmanager
def materialize(lab: Lab, raw: Path, workers: int = 1) -> Iterator[subprocess.Popen[str]]:
    """A `novoic materialize` of its own process group, with its Dagster history in the lab's folder."""
    if not (lab.folder / "dagster.yaml").exists():
        shutil.copy(DAGSTER_YAML, lab.folder)
    foreign = ("NOVOIC_", "DAGSTER_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    with subprocess.Popen(
        [NOVOIC, "materialize", "--raw", raw, "--store", lab.store],
        cwd=lab.folder,
        env=environment | {"NOVOIC_PSEUDONYM_KEY": KEY, "NOVOIC_WORKERS": str(workers)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output


def content(lab: Lab) -> Content:
    """All rows and the current versions; as text, in which one NaN equals another."""
    rows = {table: [repr(row) for row in rows] for table, rows in lab.all_rows().items()}
    return rows | {"versions": lab.versions()}


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for a condition, or for the process to end."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if process is not None and process.poll() is not None:
            return
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    raw = folder / "corpus"
    write_corpus(raw, CorpusSettings(sessions=SESSIONS, minutes=0.1, sample_rate=8_000))
    lab = Lab(folder)
    start = time.monotonic()
    with materialize(lab, raw) as process:
        finish(process)
    made = content(lab)
    assert all(len(made[table]) == SESSIONS for table in STAGES.values())
    assert all(made["versions"].values())
    return Undisturbed(raw, made, time.monotonic() - start)


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_killed_run_committed_is_kept_and_the_next_run_computes_the_rest(
    undisturbed: Undisturbed, tmp_path: Path, stage: str
) -> None:
    for attempt in range(5):  # the kill may come too late, after the last chunk
        lab = Lab(tmp_path / str(attempt))
        first_chunk = lab.store / "restricted" / "tables" / STAGES[stage] / "_delta_log" / f"{1:020}.json"
        with materialize(lab, undisturbed.raw) as process:
            wait_until(first_chunk.exists, process)
            process.kill()
        done = len(lab.all_rows()[STAGES[stage]])
        if done < SESSIONS:
            break
    assert 0 < done < SESSIONS
    run = lab.run(raw=undisturbed.raw)
    assert run.success
    assert run.computed(stage) == (SESSIONS - done, 0, 0)
    assert content(lab) == undisturbed.content


def test_a_run_killed_again_and_again_at_any_moment_ends_as_an_undisturbed_one(
    undisturbed: Undisturbed, lab: Lab
) -> None:
    rng = np.random.default_rng(0)
    killed = 0
    for moment in rng.uniform(2.0, undisturbed.seconds, KILLS):
        with materialize(lab, undisturbed.raw) as process:
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                process.kill()
            killed += process.wait() == -signal.SIGKILL
    assert killed
    with materialize(lab, undisturbed.raw) as process:
        finish(process)
    assert content(lab) == undisturbed.content


@pytest.mark.parametrize("lead", [0.0, 0.5], ids=["together", "one_after_the_other"])
def test_two_runs_at_once_both_succeed_and_end_as_one(undisturbed: Undisturbed, lab: Lab, lead: float) -> None:
    with materialize(lab, undisturbed.raw) as first:
        time.sleep(lead * undisturbed.seconds)
        with materialize(lab, undisturbed.raw) as second:
            finish(second)
        finish(first)
    assert content(lab) == undisturbed.content


def test_the_workers_of_a_killed_run_end_with_it(lab: Lab) -> None:
    lab.fill(2)
    for index in range(2):  # many hours of silence, enough to be worth worker processes
        silence(lab.raw / "audio" / f"S{index}.wav", hours=12)
    with materialize(lab, lab.raw, workers=2) as process:
        try:
            wait_until(lambda: sum(seconds > 2 for seconds in workers_of(process).values()) == 2, process)
            assert process.poll() is None, process.communicate()[0]
            process.kill()
            process.wait()
            wait_until(lambda: not workers_of(process))
        finally:
            for worker in workers_of(process):
                os.kill(worker, signal.SIGKILL)


def silence(path: Path, hours: float, rate: int = 16_000) -> None:
    """Write a WAV of 16-bit zeros that takes next to no room on the disk."""
    size = 2 * int(3600 * hours * rate)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    header = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)
    path.write_bytes(header)
    os.truncate(path, len(header) + size)


def workers_of(leader: subprocess.Popen[str]) -> dict[int, float]:
    """The worker processes in a process group that have not ended, and the seconds that each has computed."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pgid=,pid=,stat=,time=,args="], capture_output=True, text=True, check=True
    )
    found = {}
    for line in listing.stdout.splitlines():
        pgid, pid, state, computed, command = line.split(maxsplit=4)
        if int(pgid) == leader.pid and not state.startswith("Z") and "multiprocessing.spawn" in command:
            *_, minutes, seconds = computed.split(":")
            found[int(pid)] = 60 * float(minutes) + float(seconds)
    return found
