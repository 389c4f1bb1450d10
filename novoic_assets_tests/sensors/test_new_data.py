"""The sensor starts a run exactly when there is something to do, and reports nothing personal.

Each test has its own lab and history, in which everything was materialized once. Ticks evaluate the real sensor, and
runs execute the real job with the run config of the tick.
"""

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import obstore
import pytest

from novoic_assets.definitions import ASSETS, defs
from novoic_assets.reasons import Reason
from novoic_assets.resources.configured import ArrivalResource
from novoic_assets.sensors import deciding, new_data, nightly
from novoic_assets.stages import listing
from novoic_assets.storage import tables
from novoic_assets.training import publish
from novoic_assets_tests.lab import Lab, wav
from novoic_assets_tests.sensors.automated import CANARY, HOUR, SESSIONS, Automated, fails, history

RAW = ["raw_metadata", "raw_transcripts", "raw_audio"]


@pytest.fixture
def automated(template: Path, tmp_path: Path) -> Iterator[Automated]:
    """A separate lab with nothing left to do."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    with history(tmp_path / "history") as instance:
        yield Automated(Lab(tmp_path / "lab"), instance)


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stop the sensor's clock at some seconds after the start of the test."""
    start = datetime.now(UTC)

    def stop(seconds: float) -> None:
        later = start + timedelta(seconds=seconds)
        for module in (new_data, nightly):
            monkeypatch.setattr(module, "utc_now", lambda: later)

    return stop


def test_no_run_is_requested_when_everything_is_done(automated: Automated) -> None:
    automated.cursor = '{"state": "another", "attempts": 3, "asked": 0}'
    assert automated.skips() == "nothing is new"
    assert automated.cursor is None


def test_one_run_processes_all_new_sessions(automated: Automated) -> None:
    automated.add("new1")
    automated.add("new2")
    run = automated.run()
    assert run.success, run.failures()
    assert [run.computed(stage) for stage in ("parsed_transcripts", "audio_features")] == [(2, 0, 0)] * 2
    assert automated.lab.current("ad_vs_hc")["flow"]["included"] == SESSIONS + 2
    assert automated.skips() == "nothing is new"


def test_a_changed_file_is_processed(automated: Automated) -> None:
    automated.add("S3")
    run = automated.run()
    assert run.computed("parsed_transcripts") == (0, 1, 0)
    assert automated.skips() == "nothing is new"


@pytest.mark.slow
def test_changed_metadata_are_processed(automated: Automated) -> None:
    path = automated.lab.raw / "metadata.csv"
    path.write_text(path.read_text().replace("P3,60", "P3,61"))
    automated.age()
    run = automated.run()
    assert run.success
    assert {row["age"] for row in automated.lab.all_rows()["patients"]} == {60, 61}
    assert automated.skips() == "nothing is new"


def test_a_session_that_is_gone_is_removed(automated: Automated) -> None:
    for path in ("text/zqcanaryS3.xml", "audio/zqcanaryS3.wav"):
        (automated.lab.raw / path).unlink()
    run = automated.run()
    assert run.computed("audio_features") == (0, 0, 1)
    assert automated.skips() == "nothing is new"


@pytest.mark.slow
def test_a_file_caught_half_written_is_quarantined_and_put_right_by_the_next_tick(automated: Automated) -> None:
    automated.add("new")
    recording = automated.lab.raw / "audio" / "zqcanarynew.wav"
    recording.write_bytes(wav()[:9_000])
    automated.age(HOUR, "audio/zqcanarynew.wav")
    assert automated.run().success
    assert automated.row("audio_features", "new")["reason"] == Reason.TRUNCATED_AUDIO
    recording.write_bytes(wav())
    automated.age(HOUR, "audio/zqcanarynew.wav")
    assert automated.run().computed("audio_features") == (0, 1, 0)
    assert automated.row("audio_features", "new")["reason"] == "ok"


def test_young_files_are_left_to_a_later_run(automated: Automated) -> None:
    automated.add("young", age=2)
    assert automated.skips() == "2 files may still be being written, 0 wait for their other half"
    automated.add("old")
    run = automated.run()
    assert run.computed("parsed_transcripts") == (1, 0, 0)
    assert run.metadata("raw_audio")["being written"] == 1
    assert automated.row("audio_features", "young") is None
    automated.age(60, "text/zqcanaryyoung.xml")
    automated.age(60, "audio/zqcanaryyoung.wav")
    assert automated.run().computed("audio_features") == (1, 0, 0)


@pytest.mark.slow
def test_a_session_that_is_being_written_again_keeps_its_row_and_features(automated: Automated) -> None:
    before = automated.row("audio_features", "S3")
    automated.add("S3", age=2)
    assert automated.skips() == "2 files may still be being written, 0 wait for their other half"
    automated.add("other")
    run = automated.run()
    assert [run.computed(stage) for stage in ("parsed_transcripts", "audio_features")] == [(1, 0, 0)] * 2
    assert automated.row("audio_features", "S3") == before
    automated.age(60, "text/zqcanaryS3.xml")
    automated.age(60, "audio/zqcanaryS3.wav")
    assert automated.run().computed("audio_features") == (0, 1, 0)
    assert automated.row("audio_features", "S3") != before


@pytest.mark.slow
def test_metadata_that_are_being_written_stay_as_they_were(automated: Automated) -> None:
    path = automated.lab.raw / "metadata.csv"
    content = path.read_text()
    path.write_text(content[: len(content) // 2])
    assert automated.skips() == "1 files may still be being written, 0 wait for their other half"
    automated.add("new")
    run = automated.run()
    assert run.success
    assert run.metadata("raw_metadata")["dagster/row_count"] == SESSIONS
    assert len(automated.lab.all_rows()["patients"]) == SESSIONS


def test_no_run_begins_before_the_first_metadata_are_complete(tmp_path: Path) -> None:
    with history(tmp_path / "history") as instance:
        automated = Automated(Lab(tmp_path / "lab"), instance)
        automated.lab.add_patient(f"{CANARY}P1")
        automated.add("new")
        assert automated.skips() == "1 files may still be being written, 0 wait for their other half"
        assert not automated.lab.store.exists()
        automated.age()
        assert automated.requests_run()


def test_half_a_session_waits_for_the_other_half_up_to_a_set_time(automated: Automated) -> None:
    automated.add("half", age=60, halves=("text",))
    assert automated.skips() == "0 files may still be being written, 1 wait for their other half"
    automated.age(700, "text/zqcanaryhalf.xml")
    assert automated.run().success
    assert automated.row("audio_features", "half")["reason"] == Reason.NO_AUDIO
    automated.add("half", age=60)
    assert automated.run().success
    assert automated.row("audio_features", "half")["reason"] == "ok"


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_no_run_is_requested_while_a_run_of_the_job_is_queued_or_in_progress(
    automated: Automated, wait: Any, status: str
) -> None:
    automated.add("new")
    automated.begin(status, job="another")
    assert automated.requests_run()
    automated.cursor = None
    automated.begin(status)
    assert automated.skips() == "a run is queued or in progress"
    # A killed run keeps its status in the history; a run without an event for an hour counts as dead.
    wait(HOUR + 60)
    assert automated.requests_run() == (status != "QUEUED")


def test_a_run_of_the_assets_that_the_ui_started_counts_too(automated: Automated) -> None:
    automated.add("new")
    automated.begin("STARTED", job="__ASSET_JOB", assets=("somebody_elses",))
    assert automated.requests_run()
    automated.cursor = None
    automated.begin("STARTED", job="__ASSET_JOB", assets=("raw_audio", "ad_vs_hc"))
    assert automated.skips() == "a run is queued or in progress"


def test_a_run_that_still_logs_is_not_dead(automated: Automated, wait: Any) -> None:
    automated.add("new")
    run = automated.begin("STARTED")
    automated.instance.report_engine_event("at work", run)
    (record,) = automated.instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    wait(HOUR + record.timestamp - time.time() - 1)
    assert automated.skips() == "a run is queued or in progress"
    wait(HOUR + 60)
    assert automated.requests_run()


def lose_most(automated: Automated) -> None:
    """Let every run fail until the files are restored."""
    for index in range(SESSIONS - 1):
        (automated.lab.raw / "text" / f"zqcanaryS{index}.xml").rename(automated.lab.folder / f"{index}.xml")


def test_a_failed_run_is_tried_again_with_growing_pauses_and_a_limit(automated: Automated, wait: Any) -> None:
    lose_most(automated)
    now = 0.0
    wait(now)
    assert not automated.run().success
    for attempt in range(1, deciding.MAX_ATTEMPTS):
        pause = 60 * 2 ** (attempt - 1)
        wait(now + pause - 5)
        assert f"(number {attempt + 1} of 6)" in automated.skips()
        now += pause + 5
        wait(now)
        assert automated.requests_run()
    for hours in (1, 24, 24 * 365):
        wait(now + hours * HOUR)
        assert automated.skips().startswith("6 runs left work undone: no more start until")


@pytest.mark.parametrize("attempts", [1, 6])
def test_any_change_starts_afresh(automated: Automated, attempts: int) -> None:
    lose_most(automated)
    assert automated.requests_run()
    automated.cursor = json.dumps({**json.loads(automated.cursor), "attempts": attempts, "asked": time.time()})
    assert not automated.requests_run()
    automated.add("new")
    assert automated.requests_run()
    assert json.loads(automated.cursor)["attempts"] == 1


def test_the_pause_counts_from_the_end_of_the_run(automated: Automated, wait: Any) -> None:
    lose_most(automated)
    assert automated.requests_run()
    run = automated.begin("STARTED")
    wait(1000)
    assert automated.skips() == "a run is queued or in progress"
    automated.instance.delete_run(run.run_id)
    assert "the next one starts in 60 seconds (number 2 of 6)" in automated.skips()  # the clock stands still


@pytest.mark.slow
def test_a_cursor_that_is_gone_or_unreadable_does_no_harm(automated: Automated) -> None:
    unreadable = [None, "", "{}", "[]", "nonsense", "3", "\0", '{"state": 1}']
    unreadable += ['{"state": "x", "attempts": "many", "asked": 0}', '{"state": "x", "attempts": -1, "asked": NaN}']
    for cursor in unreadable:
        automated.cursor = cursor
        assert automated.skips() == "nothing is new"
    automated.add("new")
    for cursor in unreadable:
        automated.cursor = cursor
        assert automated.requests_run()


def test_a_clock_that_was_set_back_does_not_lengthen_the_pause(automated: Automated) -> None:
    automated.add("new")
    assert automated.requests_run()
    automated.cursor = json.dumps({**json.loads(automated.cursor), "asked": time.time() + 30 * HOUR})
    assert automated.requests_run()


@pytest.mark.parametrize("folder", ["text", "audio", "metadata.csv", "."])
def test_a_missing_folder_does_not_count_as_empty(automated: Automated, folder: str) -> None:
    automated.cursor = '{"state": "x", "attempts": 1, "asked": 0}'
    (automated.lab.raw / folder).resolve().rename(automated.lab.folder / "away")
    assert "the folder that NOVOIC_RAW names" in fails(automated)


def test_a_tick_that_cannot_list_requests_no_run_and_quotes_no_path(
    automated: Automated, monkeypatch: pytest.MonkeyPatch
) -> None:
    automated.add("new")

    listing_of = obstore.list

    def refuse(store: Any, prefix: str, **settings: Any) -> Any:
        if prefix != "audio":
            return listing_of(store, prefix, **settings)
        raise obstore.exceptions.GenericError(f"{automated.lab.folder}/audio/{CANARY}S1.wav")

    monkeypatch.setattr(obstore, "list", refuse)
    assert "the folder that NOVOIC_RAW names cannot be listed (GenericError)" in fails(automated)


def test_a_tick_that_fails_unexpectedly_reports_only_type_and_place(
    automated: Automated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError(f"{automated.lab.folder}/text/{CANARY}S1.xml") from KeyError(f"{CANARY}S1")

    monkeypatch.setattr(listing, "session_files", refuse)
    assert "unexpected ValueError" in fails(automated)


def test_an_unreadable_store_fails_the_tick(automated: Automated) -> None:
    log = automated.lab.store / "restricted" / "tables" / "transcripts" / "_delta_log"
    for entry in log.glob("*.json"):
        entry.write_text("no JSON")
    assert "the table transcripts cannot be opened" in fails(automated)


def test_a_later_stage_that_failed_is_noticed_though_the_raw_tables_know_all(
    automated: Automated, monkeypatch: pytest.MonkeyPatch, wait: Any
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    automated.add("new")
    with monkeypatch.context() as patch:
        patch.setattr(publish, "point", refuse)
        run = automated.run()
    assert set(run.failures()) == {"ad_vs_hc", "ad_mci_vs_hc"}
    assert automated.row("audio_features", "new")["reason"] == "ok"
    assert "the last run left work undone" in automated.skips()
    wait(61)
    again = automated.run()
    assert again.success
    assert again.computed("raw_audio") == (0, 0, 0)
    assert automated.lab.current("ad_vs_hc")["flow"]["included"] == SESSIONS + 1
    assert automated.skips() == "nothing is new"


def test_an_asset_that_was_never_materialized_here_is_work(automated: Automated) -> None:
    automated.instance.wipe_assets([dg.AssetKey("quarantine")])
    assert automated.requests_run()


@pytest.mark.slow
def test_no_run_is_requested_after_tables_were_compacted(automated: Automated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_MANY_FILES", 2)
    automated.add("new")
    assert automated.run().success
    log = automated.lab.store / "restricted" / "tables" / "audio_features" / "_delta_log"
    assert any('"operation":"OPTIMIZE"' in entry.read_text() for entry in log.glob("*.json"))
    assert automated.skips() == "nothing is new"


def test_a_tick_and_its_run_report_nothing_personal(automated: Automated) -> None:
    automated.add("new")
    ticked = automated.tick()
    (request,) = ticked.run_requests
    settings = request.run_config["ops"]
    assert set(settings) == set(RAW)
    for config in settings.values():
        assert set(config["config"]) == {"confirm_removal", "settled_before", "paired_before"}
        assert datetime.fromisoformat(config["config"]["settled_before"]) < datetime.now(UTC) - timedelta(seconds=9)
    assert set(request.tags) == {"dagster/sensor_name"}
    assert json.loads(ticked.cursor).keys() == {"state", "attempts", "asked"}
    run = automated.execute(request)
    events = automated.instance.all_logs(run.result.run_id)
    # Log lines of assets are events, so `is_going` sees that a run is working.
    assert any("files, 1 new" in event.user_message for event in events)
    for event in events:
        assert CANARY not in f"{event.user_message} {event.message}".lower()


def tick_schedule(automated: Automated) -> Any:
    # Close this before the test's instance; otherwise Dagster would load definitions with a closed instance.
    with dg.build_schedule_context(
        instance=automated.instance,
        scheduled_execution_time=datetime.now(UTC),
        resources={"arrival": ArrivalResource()},
    ) as context:
        return defs.resolve_schedule_def("nightly").evaluate_tick(context)


def test_the_nightly_run_leaves_out_what_the_sensors_runs_leave_out(automated: Automated) -> None:
    automated.add("young", age=2)
    automated.add("half", age=60, halves=("audio",))
    (request,) = tick_schedule(automated).run_requests
    run = automated.execute(request)
    assert run.success
    assert run.computed("audio_features") == (0, 0, 0)


def test_the_nightly_run_is_skipped_while_another_is_in_progress(automated: Automated) -> None:
    automated.begin("STARTED")
    ticked = tick_schedule(automated)
    assert not ticked.run_requests
    assert ticked.skip_message == "a run is queued or in progress"


def test_an_invalid_moment_is_reported_plainly(automated: Automated) -> None:
    run = automated.execute(dg.RunRequest(run_config={"ops": {"raw_audio": {"config": {"settled_before": "soon"}}}}))
    assert run.failures()["raw_audio"] == "settled_before is not a moment such as 2026-01-31T02:00:00+00:00; correct it"


def test_every_asset_records_the_tables_that_it_was_made_from(automated: Automated) -> None:
    for asset in ASSETS:
        event = automated.instance.get_latest_materialization_event(asset.key)
        assert event.asset_materialization.metadata["table versions"].value
