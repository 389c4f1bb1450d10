"""The next run resumes a killed run, and two runs at once end with the same result as one."""

import functools
import logging
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from novoic_assets.synthetic.corpus import CorpusSettings, write_corpus
from novoic_assets_tests import processes
from novoic_assets_tests.lab import Content, Lab, silence
from novoic_assets_tests.processes import (
    ATTEMPTS,
    commit,
    finish,
    kill,
    wait_until,
    was_killed,
    workers_of,
)

pytestmark = pytest.mark.slow

SESSIONS = 300  # one worker computes them in two chunks for each stage
STAGES = {
    "parsed_transcripts": "transcripts",
    "text_features": "text_features",
    "audio_features": "audio_features",
}
KILLS = int(os.environ.get("NOVOIC_TEST_KILLS", "3"))

# These tests do not depend on the values, so compute only families that take a moment.
FEW_FAMILIES = "-syntactic,-discourse,-pitch,-voice_quality,-formants,-spectral,-level_and_pauses"

log = logging.getLogger(__name__)
materialize = functools.partial(processes.materialize, NOVOIC_FAMILIES=FEW_FAMILIES)
IN_PROCESS = {"settings": {"config": {"families": FEW_FAMILIES}}}


@dataclass(frozen=True)
class Undisturbed:
    """The result of an undisturbed run, and the seconds until it starts to compute and until it ends."""

    raw: Path
    content: Content
    begins: float
    ends: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    raw = folder / "corpus"
    write_corpus(raw, CorpusSettings(sessions=SESSIONS, minutes=0.1, sample_rate=8_000))
    lab = Lab(folder)
    start = time.monotonic()
    with materialize(lab, raw) as process:
        wait_until(lab.store.exists, process)
        begins = time.monotonic() - start
        finish(process)
    ends = time.monotonic() - start
    made = lab.content()
    assert all(len(made[table]) == SESSIONS for table in STAGES.values())
    assert all(made["versions"].values())
    return Undisturbed(raw, made, begins, ends)


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_killed_run_committed_is_kept_and_the_next_run_computes_the_rest(
    undisturbed: Undisturbed, tmp_path: Path, stage: str
) -> None:
    for attempt in range(ATTEMPTS):  # the kill may come after the last chunk
        lab = Lab(tmp_path / str(attempt))
        with materialize(lab, undisturbed.raw) as process:
            wait_until(commit(lab, STAGES[stage], 1).exists, process)
            kill(process)
        done = len(lab.all_rows()[STAGES[stage]])
        if done < SESSIONS:
            break
    assert 0 < done < SESSIONS
    run = lab.run(raw=undisturbed.raw, resources=IN_PROCESS)
    assert run.success
    assert run.computed(stage) == (SESSIONS - done, 0, 0)
    assert lab.content() == undisturbed.content


@pytest.mark.parametrize("share", np.random.default_rng(0).uniform(high=0.9, size=KILLS).round(3).tolist())
def test_a_run_killed_at_a_random_moment_and_run_again_ends_as_an_undisturbed_one(
    undisturbed: Undisturbed, tmp_path: Path, share: float
) -> None:
    for attempt in range(ATTEMPTS):  # this run may end sooner than the undisturbed run did
        lab = Lab(tmp_path / str(attempt))
        moment = undisturbed.begins + share / 2**attempt * (undisturbed.ends - undisturbed.begins)
        with materialize(lab, undisturbed.raw) as process:
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                kill(process)
        if was_killed(process):
            break
    assert was_killed(process)
    commits = {table.parent.name: len(list(table.glob("*.json"))) for table in lab.store.glob("restricted/tables/*/*/")}
    published = len(list(lab.store.glob("training_data/*/current.json")))
    log.info("killed after %.2f s; commits by then: %s; datasets: %s", moment, commits, published)
    with materialize(lab, undisturbed.raw) as process:
        finish(process)
    assert lab.content() == undisturbed.content


@pytest.mark.parametrize("lead", [0.0, 0.5], ids=["together", "one_after_the_other"])
def test_two_runs_at_once_both_succeed_and_end_as_one(undisturbed: Undisturbed, lab: Lab, lead: float) -> None:
    with materialize(lab, undisturbed.raw) as first:
        time.sleep(lead * undisturbed.ends)
        with materialize(lab, undisturbed.raw) as second:
            finish(second)
        finish(first)
    assert lab.content() == undisturbed.content


@pytest.mark.parametrize("last", ["earlier", "later"])
def test_the_later_listing_of_a_changed_folder_wins_whichever_run_ends_last(
    undisturbed: Undisturbed, tmp_path: Path, last: str
) -> None:
    lab = Lab(tmp_path / "lab")
    shutil.copytree(undisturbed.raw, lab.raw, dirs_exist_ok=True)
    unspoken = lab.raw / "audio" / f"SYN{SESSIONS - 5:05}.wav"
    silence(unspoken, hours=2, rate=8_000)  # makes the second chunk of the audio slow
    # Each run has its own history: a held run might hold the lock of a shared one.
    with materialize(lab, lab.raw, home=tmp_path / "earlier") as earlier:
        hold_once_there(commit(lab, "audio_features", 1), earlier)
        rows = lab.all_rows()
        assert len(rows["transcripts"]) == SESSIONS
        assert 0 < len(rows["audio_features"]) < SESSIONS
        change(lab)
        with materialize(lab, lab.raw, home=tmp_path / "later") as later:
            if last == "earlier":
                finish(later)
                let_finish(earlier)
            else:
                hold_once_there(commit(lab, "text_features", 1), later)  # the later run has finished the audio
                let_finish(earlier)
                let_finish(later)
    fresh = Lab(tmp_path / "fresh")
    assert fresh.run(raw=lab.raw, resources=IN_PROCESS).success
    assert lab.content() == fresh.content()


def change(lab: Lab) -> None:
    """Add a session, change one and remove one; the last two are in the second chunk of the stages."""
    changed, gone = f"SYN{SESSIONS:05}", f"SYN{SESSIONS - 1:05}"
    (patient,) = {row["patient"] for row in lab.all_rows()["transcripts"] if row["session"] == changed}
    lab.add_session(changed, patient, words="quite another sentence")
    lab.add_session("added", patient, words="and one more")
    for path in (f"text/{gone}.xml", f"audio/{gone}.wav"):
        (lab.raw / path).unlink()


def hold_once_there(path: Path, process: subprocess.Popen[str]) -> None:
    """Suspend a run as soon as a file exists."""
    wait_until(path.exists, process)
    os.killpg(process.pid, signal.SIGSTOP)
    assert process.poll() is None, process.communicate()[0]


def let_finish(process: subprocess.Popen[str]) -> None:
    """Continue a suspended run until it ends."""
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGCONT)
    finish(process)


def test_the_workers_of_a_killed_run_end_with_it(lab: Lab) -> None:
    lab.fill(2)
    for index in range(2):  # so many hours of silence that worker processes pay off
        silence(lab.raw / "audio" / f"S{index}.wav", hours=12)
    with materialize(lab, lab.raw, NOVOIC_WORKERS="2") as process:
        try:
            wait_until(lambda: sum(seconds > 2 for seconds in workers_of(process).values()) == 2, process)
            assert process.poll() is None, process.communicate()[0]
            process.kill()  # only this process, not its children
            process.wait()
            wait_until(lambda: not workers_of(process))
        finally:
            for worker in workers_of(process):
                os.kill(worker, signal.SIGKILL)
