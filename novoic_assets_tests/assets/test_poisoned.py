"""A corpus with 5 % of its files broken in every way, a recording of three hours, and a killed worker."""

import csv
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from novoic_assets.reasons import OK, Reason
from novoic_assets.synthetic.corpus import METADATA_HEADER, CorpusSettings, write_corpus
from novoic_assets.training.cohorts import COHORTS
from novoic_assets_tests.assets.test_quarantine import GOOD, METADATA, RAW, RECORDINGS, TRANSCRIPTS, fill
from novoic_assets_tests.conftest import KEY
from novoic_assets_tests.lab import Lab, silence, wav
from novoic_assets_tests.processes import finish, materialize, wait_until, workers_of

pytestmark = pytest.mark.slow

CLEAN = 260  # sessions; with the other sessions about 600 files, of which 31 are broken or missing
LONG = "three hours"
LONG_PATIENT = "patient of three hours"
LONG_RATE = 48_000  # Hz, at 24 bits: enough to be worth worker processes
TABLES = ("transcripts", "text_features", "audio_features")


@dataclass(frozen=True)
class Poisoned:
    """The lab after its run, a lab with only the clean sessions, and the bad files that are readable."""

    lab: Lab
    clean: Lab
    readable: frozenset[str]


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Poisoned:
    folder = tmp_path_factory.mktemp("poisoned")
    lab, clean = Lab(folder / "lab"), Lab(folder / "clean")
    corpus = folder / "corpus"
    write_corpus(corpus, CorpusSettings(sessions=CLEAN, minutes=0.1, sample_rate=8_000))
    shutil.copytree(corpus, lab.raw, dirs_exist_ok=True)
    fill(lab)
    add_three_hours(lab)
    add_metadata(lab, corpus)
    locked = [lab.raw / "text" / "text_locked.xml", lab.raw / "audio" / "audio_locked.wav"]
    for path in locked:
        path.chmod(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOVOIC_PSEUDONYM_KEY", KEY)
        assert clean.run(raw=corpus).success
        assert lab.run(select=RAW).success
    (lab.raw / "text" / "text_rewritten.xml").write_text("<root/>")
    (lab.raw / "audio" / "audio_rewritten.wav").write_bytes(wav(3.0))
    (lab.raw / "text" / "text_deleted.xml").unlink()
    (lab.raw / "audio" / "audio_deleted.wav").unlink()
    with materialize(lab, lab.raw, "--select", "not group:raw", NOVOIC_WORKERS="2") as process:
        # Only the audio stage is worth worker processes, and only the long recording takes a worker this long.
        wait_until(lambda: max(workers_of(process).values(), default=0.0) >= 3, process)
        workers = workers_of(process)
        assert len(workers) == 2, process.communicate()[0]
        os.kill(max(workers, key=lambda worker: workers[worker]), signal.SIGKILL)
        wait_until(lambda: bool(workers_of(process).keys() - workers), process)
        assert process.poll() is None, "no other worker came in the place of the one that was killed"
        finish(process)
    # Root can read locked files.
    return Poisoned(lab, clean, frozenset(path.stem for path in locked if os.access(path, os.R_OK)))


def add_three_hours(lab: Lab) -> None:
    lab.add_session(LONG, LONG_PATIENT)
    noise = np.random.default_rng(0).bytes(10 * LONG_RATE * 3)
    silence(lab.raw / "audio" / f"{LONG}.wav", hours=3, rate=LONG_RATE, bits=24, start=noise)


def add_metadata(lab: Lab, corpus: Path) -> None:
    """Add the patients of the clean corpus and of the long recording to the patients of the broken sessions."""
    with (corpus / "metadata.csv").open(encoding="utf-8") as file:
        lines = [",".join(row[name] for name in METADATA_HEADER) for row in csv.DictReader(file)]
    with (lab.raw / "metadata.csv").open("a", encoding="utf-8") as file:
        file.write("\n".join([*lines, f"{LONG_PATIENT},60,female,28,0,train"]) + "\n")


def refused(reasons: dict[str, Reason], poisoned: Poisoned) -> dict[str, Reason]:
    """The sessions with a bad file, and their expected reasons."""
    return {session: reason for session, reason in reasons.items() if session not in poisoned.readable}


def test_every_session_has_the_outcome_that_its_files_deserve(poisoned: Poisoned) -> None:
    transcripts, recordings = refused(TRANSCRIPTS, poisoned), refused(RECORDINGS, poisoned)
    clean = {row["session"] for row in poisoned.clean.all_rows()["transcripts"]}
    assert len(clean) == CLEAN
    good = dict.fromkeys([*clean, *GOOD, *TRANSCRIPTS, *RECORDINGS, *METADATA, "no_row", "unheard", LONG], OK)
    without_text = dict.fromkeys(transcripts, Reason.TRANSCRIPT_REFUSED)
    rows = poisoned.lab.all_rows()
    found = {table: {row["session"]: row["reason"] for row in rows[table]} for table in TABLES}
    assert found["transcripts"] == {**good, **transcripts}
    assert found["text_features"] == {**good, **without_text}
    assert found["audio_features"] == {
        **good,
        **without_text,
        **recordings,
        "unheard": Reason.NO_AUDIO,
        "silent": Reason.NO_TRANSCRIPT,
    }


@pytest.mark.parametrize("table", TABLES)
def test_the_clean_sessions_have_the_rows_of_a_clean_corpus(poisoned: Poisoned, table: str) -> None:
    # Compare as text, in which NaN equals NaN.
    expected = {row["session"]: repr(row) for row in poisoned.clean.all_rows()[table]}
    found = {row["session"]: repr(row) for row in poisoned.lab.all_rows()[table]}
    assert len(expected) == CLEAN
    assert {session: found[session] for session in expected} == expected


def test_three_hours_are_computed_to_their_end(poisoned: Poisoned) -> None:
    (row,) = [row for row in poisoned.lab.all_rows()["audio_features"] if row["session"] == LONG]
    assert row["seconds"] == 3 * 3600
    assert row["patient_seconds"] == pytest.approx(1.2, abs=0.1)
    values = {value["speaker"]: value["vector"] for value in row["values"] if value["family"] == "mfcc"}
    assert np.isfinite(values["patient"]).all()
    assert np.isfinite(values["all"]).all()
    assert values["patient"] != values["all"]


def test_the_flow_of_each_dataset_adds_up(poisoned: Poisoned) -> None:
    for cohort in COHORTS:
        flow = poisoned.lab.current(cohort.name)["flow"]
        assert flow["in"] == flow["included"] + sum(flow["excluded"].values()) + sum(flow["quarantined"].values())
        assert flow["in"] == len(poisoned.lab.all_rows()["audio_features"])
    flow = poisoned.lab.current("ad_vs_hc")["flow"]
    assert flow["excluded"] == {}
    assert flow["quarantined"] == {
        "parsed_transcripts": len(refused(TRANSCRIPTS, poisoned)),
        "audio_features": len(refused(RECORDINGS, poisoned)),
        "raw_metadata": len(METADATA),
        "no_metadata": 1,
        "no_transcript": 1,
        "no_audio": 1,
    }
