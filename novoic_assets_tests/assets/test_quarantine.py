"""Bad input costs its own session, with a reason, and no other."""

import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import numpy as np
import pytest
import soundfile
from obstore.exceptions import PermissionDeniedError

from novoic_assets.features import catalogue
from novoic_assets.features.text.session import TextFamily
from novoic_assets.reasons import OK, Reason
from novoic_assets.stages.quarantine import count_reasons, read_quarantine
from novoic_assets.storage.files import Storage
from novoic_assets.training.cohorts import COHORTS
from novoic_assets_tests.lab import HEADER, Lab, Run, transcript_xml, wav

RAW = ["raw_metadata", "raw_transcripts", "raw_audio"]
REST = [
    "parsed_transcripts",
    "text_features",
    "audio_features",
    "quarantine",
    *(cohort.name for cohort in COHORTS),
]
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE root [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefg", "bcdefgh", strict=True))
    + "]><root><metadata><sessionid>&h;</sessionid></metadata></root>"
)
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE root [<!ENTITY x SYSTEM "file:///etc/hostname">]><root>&x;</root>'

# A name that could break a query, a pattern, a console or a path.
ODD = "O'Neill 50% #1 é [red]"

GOOD = ("good", ODD, "flac", "ogg", "upper")

TRANSCRIPTS = {
    "malformed": Reason.MALFORMED_TRANSCRIPT,
    "empty_file": Reason.MALFORMED_TRANSCRIPT,
    "binary": Reason.MALFORMED_TRANSCRIPT,
    "bomb": Reason.FORBIDDEN_MARKUP,
    "external": Reason.FORBIDDEN_MARKUP,
    "deep": Reason.FORBIDDEN_MARKUP,
    "html": Reason.NOT_A_TRANSCRIPT,
    "renamed": Reason.SESSION_ID_MISMATCH,
    "two_patients": Reason.AMBIGUOUS_PATIENT,
    "two_transcripts": Reason.AMBIGUOUS_TRANSCRIPT,
    "reversed": Reason.INVALID_TIMES,
    "wordless": Reason.NO_WORDS,
    "text_rewritten": Reason.FILE_CHANGED,
    "text_deleted": Reason.FILE_CHANGED,
    "text_locked": Reason.UNREADABLE_FILE,
}
RECORDINGS = {
    "wav_and_flac": Reason.AMBIGUOUS_AUDIO,
    "wav_and_WAV": Reason.AMBIGUOUS_AUDIO,
    "two_folders": Reason.AMBIGUOUS_AUDIO,
    "noise": Reason.UNREADABLE_AUDIO,
    "header_only": Reason.UNREADABLE_AUDIO,
    "zero_bytes": Reason.EMPTY_AUDIO,
    "no_samples": Reason.EMPTY_AUDIO,
    "cut": Reason.TRUNCATED_AUDIO,
    "cut_flac": Reason.TRUNCATED_AUDIO,
    "nan": Reason.NON_FINITE_AUDIO,
    "infinite": Reason.NON_FINITE_AUDIO,
    "audio_rewritten": Reason.FILE_CHANGED,
    "audio_deleted": Reason.FILE_CHANGED,
    "audio_locked": Reason.UNREADABLE_FILE,
}
METADATA = {"duplicate": Reason.DUPLICATE_PATIENT, "invalid": Reason.INVALID_METADATA}


def encoded(seconds: float = 2.0, values: dict[int, float] | None = None, **settings: Any) -> bytes:
    """A recording of noise, in any format, with some samples replaced."""
    samples = np.random.default_rng(1).normal(0, 0.05, int(seconds * 16_000))
    for index, value in (values or {}).items():
        samples[index] = value
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, **settings)
    return file.getvalue()


def fill(lab: Lab) -> None:
    """Make one session for each reason for refusal, each with its own patient, and good sessions between them."""
    text, audio = lab.raw / "text", lab.raw / "audio"
    patients = []

    def add(session: str) -> str:
        patient = f"patient of {session}".replace(",", "")
        lab.add_session(session, patient, seed=len(patients))
        patients.append(patient)
        return patient

    def body(session: str, patient: str, start: float = 0.0, end: float = 1.0, word: str = "well") -> str:
        return transcript_xml(session, [(start, end, [(patient, word)])], patient)

    for session in (*GOOD, *TRANSCRIPTS, *RECORDINGS, "no_row", "silent", "unheard", *METADATA):
        add(session)
    for session, content in {
        "malformed": body("malformed", "p")[:-20],
        "empty_file": "",
        "binary": "\0\1\2",
        "bomb": BOMB,
        "external": EXTERNAL,
        "deep": "<root>" + "<a>" * 100 + "</a>" * 100 + "</root>",
        "html": "<html><body>404</body></html>",
        "renamed": body("other", "p"),
        "two_patients": body("two_patients", "p,q"),
        "reversed": body("reversed", "p", start=2.0, end=1.0),
        "wordless": body("wordless", "p", word=" "),
    }.items():
        (text / f"{session}.xml").write_text(content)
    (text / "visit2").mkdir()
    (text / "visit2" / "two_transcripts.xml").write_text(body("two_transcripts", "p"))
    (text / "silent.xml").unlink()

    (audio / "visit2").mkdir()
    for path, data in {
        "wav_and_flac.flac": encoded(format="FLAC"),
        "wav_and_WAV.WAV": wav(),
        "visit2/two_folders.wav": wav(),
        "noise.wav": np.random.default_rng(0).bytes(5_000),
        "header_only.wav": wav()[:20],
        "zero_bytes.wav": b"",
        "no_samples.wav": wav(seconds=0),
        "cut.wav": wav()[:20_000],
        "cut_flac.flac": encoded(format="FLAC")[:20_000],
        "nan.wav": encoded(values={500: np.nan}, format="WAV", subtype="FLOAT"),
        "infinite.wav": encoded(values={0: np.inf}, format="WAV", subtype="FLOAT"),
        "flac.flac": encoded(format="FLAC"),
        "ogg.OGG": encoded(format="OGG", subtype="VORBIS"),
        "upper.WAV": wav(),
    }.items():
        (audio / path).write_bytes(data)
    for session in ("cut_flac", "flac", "ogg", "upper", "unheard"):
        (audio / f"{session}.wav").unlink()

    for folder in (text, audio):
        (folder / ".hidden").mkdir()
        for other in (".DS_Store", "._good.wav", "._good.xml", ".hidden/good.wav", ".hidden/good.xml", "notes.txt"):
            (folder / other).write_bytes(b"no session's file")

    rows = {
        patient: f"{patient},{50 + index % 30},female,28,{index % 2},{'test' if index // 2 % 2 else 'train'}"
        for index, patient in enumerate(patients)
    }
    del rows["patient of no_row"]
    rows["patient of invalid"] = "patient of invalid,not a number,female,28,0,train"
    lines = [HEADER, *rows.values(), rows["patient of duplicate"]]
    (lab.raw / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass
class Done:
    lab: Lab
    listed: Run
    rest: Run
    outcomes: dict[str, dict[str, str]]  # by table and session


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    lab = Lab(tmp_path_factory.mktemp("quarantine"))
    fill(lab)
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOVOIC_PSEUDONYM_KEY", "a key for the tests, not for a lab")
        listed = lab.run(select=RAW, instance=instance)
        (lab.raw / "text" / "text_rewritten.xml").write_text("<root/>")
        (lab.raw / "audio" / "audio_rewritten.wav").write_bytes(wav(3.0))
        (lab.raw / "text" / "text_deleted.xml").unlink()
        (lab.raw / "audio" / "audio_deleted.wav").unlink()
        _lock(patch)
        rest = lab.run(select=REST, instance=instance)
    tables = lab.tables
    outcomes = {
        table.name: {
            row["session"]: row["reason"] for row in table.snapshot().select(["session", "reason"]).to_pylist()
        }
        for table in (tables.transcripts, tables.text_features, tables.audio_features)
    }
    return Done(lab, listed, rest, outcomes)


def _lock(patch: pytest.MonkeyPatch) -> None:
    """Deny access to two files, as if without permission; file modes would not stop tests that run as root."""
    read = Storage._range

    def deny(self: Storage, path: str, start: int, end: int) -> object:
        if path in ("text/text_locked.xml", "audio/audio_locked.wav"):
            raise PermissionDeniedError(path)
        return read(self, path, start, end)

    patch.setattr(Storage, "_range", deny)


def test_a_run_with_every_kind_of_bad_input_succeeds(done: Done) -> None:
    assert done.listed.success
    assert done.rest.success, done.rest.failures()


def test_every_reason_that_bad_input_can_cause_is_in_this_test() -> None:
    pairing = {Reason.NO_AUDIO, Reason.NO_TRANSCRIPT, Reason.TRANSCRIPT_REFUSED}
    tried = {*TRANSCRIPTS.values(), *RECORDINGS.values(), *METADATA.values(), *pairing}
    assert set(Reason) - tried == {Reason.INTERNAL_ERROR, Reason.WORKER_DIED}


@pytest.mark.parametrize("session", TRANSCRIPTS)
def test_a_bad_transcript_has_its_reason_and_no_later_stage_uses_it(done: Done, session: str) -> None:
    assert done.outcomes["transcripts"][session] == TRANSCRIPTS[session]
    assert done.outcomes["text_features"][session] == Reason.TRANSCRIPT_REFUSED
    assert done.outcomes["audio_features"][session] == Reason.TRANSCRIPT_REFUSED


@pytest.mark.parametrize("session", RECORDINGS)
def test_a_bad_recording_has_its_reason_and_its_text_is_computed_all_the_same(done: Done, session: str) -> None:
    assert done.outcomes["transcripts"][session] == OK
    assert done.outcomes["text_features"][session] == OK
    assert done.outcomes["audio_features"][session] == RECORDINGS[session]


def test_a_session_without_its_other_half_says_which_is_missing(done: Done) -> None:
    assert "silent" not in done.outcomes["transcripts"]
    assert done.outcomes["audio_features"]["silent"] == Reason.NO_TRANSCRIPT
    assert done.outcomes["text_features"]["unheard"] == OK
    assert done.outcomes["audio_features"]["unheard"] == Reason.NO_AUDIO


def test_bad_lines_of_the_metadata_have_their_reasons(done: Done) -> None:
    rows = done.lab.all_rows()["patients"]
    refused = Counter((row["patient"], row["reason"]) for row in rows if row["reason"] != OK)
    assert refused == {
        ("patient of duplicate", Reason.DUPLICATE_PATIENT): 2,
        ("patient of invalid", Reason.INVALID_METADATA): 1,
    }


@pytest.mark.parametrize("session", GOOD)
def test_good_sessions_in_any_format_come_through(done: Done, session: str) -> None:
    assert [outcomes[session] for outcomes in done.outcomes.values()] == [OK] * 3


def test_everything_in_is_ok_or_quarantined(done: Done) -> None:
    failed = {name for _, name in done.rest.failed_checks()}
    assert failed.isdisjoint({"reconciled", "lengths", "finite", "flow_reconciled"})
    # A session with several files is one input.
    files = len(GOOD) + len(TRANSCRIPTS) + len(RECORDINGS) + len(METADATA) + 2  # … and no_row and unheard
    for asset, table, inputs in (
        ("parsed_transcripts", "transcripts", files),
        ("text_features", "text_features", files),
        ("audio_features", "audio_features", files + 1),  # … and silent
    ):
        metadata = done.rest.metadata(asset)
        ok = sum(reason == OK for reason in done.outcomes[table].values())
        assert ok + metadata["quarantined"] == metadata["dagster/row_count"] == inputs
        assert metadata["reasons"] == dict(Counter(done.outcomes[table].values()))


def test_the_flow_of_a_dataset_accounts_for_every_session(done: Done) -> None:
    flow = done.lab.current("ad_vs_hc")["flow"]
    assert flow == {
        "in": len(done.outcomes["audio_features"]),
        "included": len(GOOD),
        "excluded": {},
        "quarantined": {
            "parsed_transcripts": len(TRANSCRIPTS),
            "audio_features": len(RECORDINGS),
            "raw_metadata": len(METADATA),
            "no_metadata": 1,
            "no_transcript": 1,
            "no_audio": 1,
        },
    }
    for cohort in COHORTS:
        flow = done.lab.current(cohort.name)["flow"]
        assert flow["in"] == flow["included"] + sum(flow["excluded"].values()) + sum(flow["quarantined"].values())


def test_the_quarantine_lists_each_refused_input_once_under_the_stage_that_refused_it(done: Done) -> None:
    refused = read_quarantine(done.lab.tables)
    expected = Counter(
        [
            *(("parsed_transcripts", reason) for reason in TRANSCRIPTS.values()),
            *(("audio_features", reason) for reason in RECORDINGS.values()),
            ("audio_features", Reason.NO_TRANSCRIPT),
            ("audio_features", Reason.NO_AUDIO),
            ("raw_metadata", Reason.DUPLICATE_PATIENT),
            ("raw_metadata", Reason.DUPLICATE_PATIENT),
            ("raw_metadata", Reason.INVALID_METADATA),
        ]
    )
    assert count_reasons(refused) == dict(expected)
    metadata = done.rest.metadata("quarantine")
    assert metadata["dagster/row_count"] == expected.total()
    table = re.findall(r"^\| (\w+) \| (\w+) \| (\d+) \|", metadata["reasons"], re.MULTILINE)
    assert {(stage, reason): int(count) for stage, reason, count in table} == dict(expected)


def test_hidden_files_and_files_of_other_kinds_are_ignored_and_counted(done: Done) -> None:
    assert done.listed.metadata("raw_transcripts")["ignored files"] == 6
    assert done.listed.metadata("raw_audio")["ignored files"] == 6


def test_a_file_that_changed_while_it_was_read_is_read_by_the_next_run(done: Done) -> None:
    (done.lab.raw / "text" / "text_rewritten.xml").write_text(
        transcript_xml("text_rewritten", [(0.0, 1.0, [("p", "well")])], "p")
    )
    run = done.lab.run()
    assert run.success
    rows = {row["session"]: row["reason"] for row in done.lab.all_rows()["audio_features"]}
    assert rows["text_rewritten"] == rows["audio_rewritten"] == OK
    assert rows["text_deleted"] == Reason.NO_TRANSCRIPT
    assert rows["audio_deleted"] == Reason.NO_AUDIO


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_our_own_failure_on_a_session_costs_that_session_and_quotes_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, modality: str
) -> None:
    lab.fill(3)
    if modality == "text":
        make = catalogue.TEXT_FAMILIES["word_vector"]

        def broken(spacy_model: str) -> TextFamily:
            family = make(spacy_model)

            def compute(conversation: Any, speaker: Any) -> Any:
                if "1" in conversation.words(speaker):
                    raise ZeroDivisionError("canary")
                return family.compute(conversation, speaker)

            return replace(family, compute=compute, version="broken")

        monkeypatch.setattr(catalogue, "TEXT_FAMILIES", {**catalogue.TEXT_FAMILIES, "word_vector": broken})
    else:
        read = Storage.open_listed

        def open_listed(self: Storage, path: str, size: int, etag: str) -> Any:
            if path == "audio/S1.wav":
                raise ZeroDivisionError("canary")
            return read(self, path, size, etag)

        monkeypatch.setattr(Storage, "open_listed", open_listed)
    run = lab.run()
    assert run.success
    rows = {row["session"]: row for row in lab.all_rows()[f"{modality}_features"]}
    assert {session: row["reason"] for session, row in rows.items()} == {
        "S0": OK,
        "S1": Reason.INTERNAL_ERROR,
        "S2": OK,
    }
    assert re.fullmatch(r"ZeroDivisionError at test_quarantine\.py:\d+", rows["S1"]["detail"])
    assert run.metadata(f"{modality}_features")["internal errors"] == {rows["S1"]["detail"]: 1}
    assert lab.current("ad_vs_hc")["flow"]["quarantined"] == {f"{modality}_features": 1}
