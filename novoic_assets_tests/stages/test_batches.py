"""A family that wants batches gets lists of sessions, is started once, and costs no session more than its own."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from novoic_assets import registry
from novoic_assets.errors import NovoicError
from novoic_assets.features import catalogue
from novoic_assets.features.audio.family import AudioFamily, Sound
from novoic_assets.features.family import SPEAKERS, Batches, Computed, Cost, Speaker, Undefined, Value
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import TextFamily
from novoic_assets.reasons import OK, Reason
from novoic_assets.stages import text as text_stage
from novoic_assets.stages.audio import TASKS as AUDIO_TASKS
from novoic_assets.stages.audio import ComputeAudio
from novoic_assets.stages.text import TASKS, ComputeText
from novoic_assets.stages.worker import failed
from novoic_assets.storage.files import Storage
from novoic_assets_tests.lab import wav

WITHOUT = ",".join(f"-{name}" for name in (*catalogue.TEXT_FAMILIES, *catalogue.AUDIO_FAMILIES))
COUNT = (Value(name="count", unit="1", formula="a count", source="count", undefined=(Undefined.TOO_SHORT,)),)


FAILURES: dict[str, BaseException] = {
    "secret": ZeroDivisionError("a secret word"),
    "plain": NovoicError("a secret word"),  # its text is not made to be shown: only the project's own is
    "exit": SystemExit("a secret word"),
}


class Counting:
    """Counts words, and remembers how it was started and called."""

    def __init__(self) -> None:
        self.devices: list[str] = []
        self.batches: list[int] = []

    def start(self, device: str) -> Any:
        self.devices.append(device)
        return self.compute

    def compute(self, sessions: Sequence[Conversation]) -> list[Mapping[Speaker, Computed]]:
        self.batches.append(len(sessions))
        words = [{speaker: session.words(speaker) for speaker in SPEAKERS} for session in sessions]
        for text, failure in FAILURES.items():
            if any(text in each["all"] for each in words):
                raise failure
        return [{speaker: [len(each[speaker])] for speaker in SPEAKERS} for each in words]


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    """A module `lab_batches` with the family COUNT, which wants three sessions at a time."""
    counter = Counting()
    module = ModuleType("lab_batches")
    module.COUNT = TextFamily(  # type: ignore[attr-defined]
        name="count",
        version="1",
        description="Words.",
        members=COUNT,
        batches=Batches(sessions=3, start=counter.start),
    )
    monkeypatch.setitem(sys.modules, "lab_batches", module)
    registry.added.cache_clear()
    text_stage._families.cache_clear()
    yield counter
    registry.added.cache_clear()
    text_stage._families.cache_clear()


def worker(device: str = "cpu") -> ComputeText:
    return ComputeText("no_model_is_needed", f"lab_batches:COUNT,{WITHOUT}", device)


def tasks(*words: str, compute: Sequence[str] = ("count",), refusal: Mapping[int, str] | None = None) -> pa.RecordBatch:
    """A task for each text, all of whose words are the patient's."""
    rows = [
        {
            "session": f"S{index}",
            "refusal": (refusal or {}).get(index),
            "segments": [
                {"start": 0.0, "end": 1.0, "words": [{"text": word, "speaker": "patient"} for word in text.split()]}
            ],
            "compute": list(compute),
        }
        for index, text in enumerate(words)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=TASKS.append(pa.field("compute", pa.list_(pa.string()))))


def counts(rows: pa.RecordBatch) -> dict[str, float]:
    """The patient's count by session, of those that have one."""
    return {
        row["session"]: value["vector"][0]
        for row in rows.to_pylist()
        for value in row["values"] or []
        if value["speaker"] == "patient"
    }


def test_sessions_come_in_batches_and_each_keeps_its_own_values(counting: Counting) -> None:
    rows = worker()(tasks("a", "a b", "a b c", "a b c d", "a b c d e"))
    assert counts(rows) == {f"S{index}": index + 1 for index in range(5)}
    assert counting.batches == [3, 2]
    assert rows["reason"].to_pylist() == [OK] * 5


def test_a_family_is_started_once_in_a_process_with_the_device(counting: Counting) -> None:
    for _ in range(3):
        worker("cuda:1")(tasks("a", "b"))
    assert counting.devices == ["cuda:1"]


def test_a_refused_session_and_one_that_does_not_ask_for_the_family_are_in_no_batch(counting: Counting) -> None:
    rows = worker()(tasks("a", "b c", refusal={0: str(Reason.TRANSCRIPT_REFUSED)}))
    assert rows["reason"].to_pylist() == [Reason.TRANSCRIPT_REFUSED, OK]
    assert counting.batches == [1]
    assert counts(worker()(tasks("a", compute=[]))) == {}
    assert counting.batches == [1]


@pytest.mark.parametrize("text", FAILURES)
def test_a_session_on_which_a_batch_fails_costs_no_other(counting: Counting, text: str) -> None:
    rows = worker()(tasks("a", f"a {text}", "a b c", "a"))
    assert counts(rows) == {"S0": 1, "S2": 3, "S3": 1}
    by_session = {row["session"]: row for row in rows.to_pylist()}
    assert by_session["S1"]["reason"] == Reason.INTERNAL_ERROR
    assert by_session["S1"]["detail"].startswith(f"{type(FAILURES[text]).__name__} at test_batches.py:")
    assert "secret" not in str(rows.to_pylist())
    assert counting.batches == [3, 1, 1, 1, 1]


def test_a_row_that_cannot_be_made_costs_its_own_session(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ComputeText.columns

    def broken(self: ComputeText, task: dict[str, Any], session: Any) -> dict[str, Any]:
        if task["session"] == "S1":
            raise KeyError("a secret word")
        return columns(self, task, session)

    monkeypatch.setattr(ComputeText, "columns", broken)
    rows = worker()(tasks("a", "a b", "a b c"))
    assert counts(rows) == {"S0": 1, "S2": 3}
    assert rows["reason"].to_pylist() == [OK, Reason.INTERNAL_ERROR, OK]
    assert "secret" not in str(rows.to_pylist())


@pytest.mark.parametrize(
    "answers", [[], [{}], [{"patient": [1, 2], "all": [1]}], [{"patient": [float("inf")], "all": [1]}]]
)
def test_a_family_that_breaks_its_promise_is_an_internal_error(
    counting: Counting, monkeypatch: pytest.MonkeyPatch, answers: list[Any]
) -> None:
    monkeypatch.setattr(counting, "compute", lambda sessions: answers)
    assert worker("another")(tasks("a"))["reason"].to_pylist() == [Reason.INTERNAL_ERROR]


def test_a_family_that_does_not_start_stops_the_run_with_one_line(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(device: str) -> Any:
        raise OSError("a path")

    family = sys.modules["lab_batches"].COUNT
    monkeypatch.setattr(
        sys.modules["lab_batches"],
        "COUNT",
        TextFamily(
            name="count", version="1", description="", members=family.members, batches=Batches(sessions=1, start=start)
        ),
    )
    with pytest.raises(
        NovoicError, match=r"family count .* device cuda:7 \(OSError at test_batches.py:\d+\)"
    ) as caught:
        worker("cuda:7")(tasks("a"))
    assert "a path" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_worker_with_other_families_than_its_run_stops_the_run(counting: Counting) -> None:
    families = catalogue.text_families("no_model_is_needed", worker().choice)
    right = ComputeText("no_model_is_needed", worker().choice, identity=catalogue.identity(families))
    assert counts(right(tasks("a"))) == {"S0": 1}
    wrong = ComputeText("no_model_is_needed", worker().choice, identity="of another version")
    with pytest.raises(NovoicError, match="other versions of the feature families"):
        wrong(tasks("a"))


def test_recordings_come_in_batches_too_with_their_samples_and_turns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    seen: list[list[int]] = []

    def start(device: str) -> Any:
        def compute(sounds: Sequence[Sound]) -> list[Mapping[Speaker, Computed]]:
            seen.append([len(sound.samples) for sound in sounds])
            return [
                {speaker: [sum(end - start for start, end in zip(sound.turns.start_s, sound.turns.end_s, strict=True))]
                 for speaker in SPEAKERS}
                for sound in sounds
            ]  # fmt: skip

        return compute

    module = ModuleType("lab_sounds")
    module.SOUND = AudioFamily(  # type: ignore[attr-defined]
        name="sound", version="1", description="", members=COUNT, batches=Batches(sessions=2, start=start)
    )
    monkeypatch.setitem(sys.modules, "lab_sounds", module)
    registry.added.cache_clear()
    (tmp_path / "audio").mkdir()
    for index in range(3):
        (tmp_path / "audio" / f"S{index}.wav").write_bytes(wav(1 + index / 2, seed=index))
    raw = Storage(str(tmp_path), "NOVOIC_RAW")
    listed = sorted(raw.list("audio"), key=lambda info: info.path)
    batch = pa.RecordBatch.from_pylist(
        [
            {
                "session": f"S{index}", "path": info.path, "size": info.size, "etag": info.etag, "end": 0.5,
                "turns": [{"start": 0.0, "end": 0.25 * (index + 1), "speaker": "patient"}], "compute": ["sound"],
            }
            for index, info in enumerate(listed)
        ],
        schema=AUDIO_TASKS.append(pa.field("compute", pa.list_(pa.string()))),
    )  # fmt: skip
    rows = ComputeAudio(raw, f"lab_sounds:SOUND,{WITHOUT}")(batch)
    assert counts(rows) == {"S0": 0.25, "S1": 0.5, "S2": 0.75}
    assert seen == [[16_000, 24_000], [32_000]]
    statuses = {(value["speaker"], value["status"]) for row in rows.to_pylist() for value in row["values"]}
    assert statuses == {("patient", "ok"), ("investigator", "no_speech"), ("all", "ok")}
    registry.added.cache_clear()


@pytest.mark.parametrize("make", [TextFamily, AudioFamily])
def test_a_family_takes_one_session_at_a_time_or_batches_and_not_both(make: Any) -> None:
    parts = {"name": "f", "version": "1", "description": "", "members": COUNT}
    single = {"compute": print} if make is TextFamily else {"accumulator": print}
    batches = {"batches": Batches(sessions=1, start=lambda device: None)}
    assert make(**parts, **single).cost == make(**parts, **batches).cost == Cost()
    for wrong in ({}, single | batches):
        with pytest.raises(ValueError, match="takes either"):
            make(**parts, **wrong)


def test_a_failure_is_told_by_its_type_and_line() -> None:
    assert failed("S", ValueError("a secret word")) == {
        "session": "S",
        "reason": "internal_error",
        "detail": "ValueError",
    }
