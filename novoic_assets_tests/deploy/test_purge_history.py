"""The purge deletes old runs from Dagster's history, and keeps every run that somebody still needs."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from novoic_assets.cli.history import Purge, purge
from novoic_assets_tests.deploy import chart
from novoic_assets_tests.deploy.postgresql import HOST, PASSWORD, USER, PostgreSQL

NOVOIC = Path(sys.executable).with_name("novoic")
CHECK = dg.AssetCheckKey(dg.AssetKey("first"), "sound")


@dg.asset
def first() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 1})


@dg.asset_check(asset=first)
def sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def second() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 1})


@dg.asset
def broken() -> dg.MaterializeResult[None]:
    raise dg.Failure("as it should")


ASSETS = {"first": first, "second": second, "broken": broken}


def run(instance: dg.DagsterInstance, *names: str) -> str:
    assets = [ASSETS[name] for name in names]
    checks = [sound] if "first" in names else []
    return dg.materialize([*assets, *checks], instance=instance, raise_on_error=False).run_id


def in_future() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance without history, on either database."""
    storage: dict[str, object] = {"sqlite": {"base_dir": str(tmp_path)}}
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql_server")
        database = {
            "hostname": HOST,
            "port": server.port,
            "username": USER,
            "password": PASSWORD,
            "db_name": request.getfixturevalue("database"),
            "scheme": chart.load_values()["postgresql"]["postgresqlScheme"],
        }
        storage = {"postgres": {"postgres_db": database}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage, "telemetry": {"enabled": False}}))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def test_old_runs_go_but_the_latest_of_each_asset_and_check_stays(stored: dg.DagsterInstance) -> None:
    old = run(stored, "first", "second")
    failed = run(stored, "broken")
    of_second = run(stored, "first", "second")
    of_first = run(stored, "first")
    both = dg.Definitions(assets=[first, second], jobs=[dg.define_asset_job("both")]).resolve_job_def("both")
    waiting = stored.create_run_for_job(both).run_id

    assert purge(stored, datetime.now(UTC) - timedelta(days=1), [CHECK]) == Purge(deleted=0, kept=0)
    assert purge(stored, in_future(), [CHECK], dry=True) == Purge(deleted=2, kept=2)
    assert len(stored.get_runs()) == 5
    assert purge(stored, in_future(), [CHECK]) == Purge(deleted=2, kept=2)

    assert {found.run_id for found in stored.get_runs()} == {of_second, of_first, waiting}
    for run_id in (old, failed):
        assert stored.all_logs(run_id) == []
    latest = stored.get_latest_materialization_events([dg.AssetKey("first"), dg.AssetKey("second")])
    assert {key.to_user_string(): event and event.run_id for key, event in latest.items()} == {
        "first": of_first,
        "second": of_second,
    }
    summary = stored.event_log_storage.get_asset_check_summary_records([CHECK])[CHECK]
    assert summary.last_completed_check_execution_record is not None
    assert summary.last_completed_check_execution_record.run_id == of_first
    assert purge(stored, in_future(), [CHECK]) == Purge(deleted=0, kept=2)


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    # The CronJob's pod has no token, which the run launcher would need.
    launcher = chart.instance_config(chart.load_values())["run_launcher"]
    config = {"storage": {"sqlite": {"base_dir": str(tmp_path)}}, "run_launcher": launcher}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config | {"telemetry": {"enabled": False}}))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run(instance, "second")
    environment = {"DAGSTER_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [NOVOIC, "purge-history", "--older-than-days", "30"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == (
        "Deleted 0 runs that ended more than 30 days ago, and kept 0 that hold the latest event of an asset or check.\n"
    )


def test_the_command_reports_a_missing_history(tmp_path: Path) -> None:
    done = subprocess.run(
        [NOVOIC, "purge-history"],
        env={"PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "novoic: no history found; change to the folder of dagster.yaml, or set DAGSTER_HOME\n"
