"""The cluster's instance, as the chart configures it, on a real PostgreSQL."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_postgres
import pytest
import yaml
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.sql import get_alembic_config, run_alembic_downgrade
from dagster_aws.s3 import S3ComputeLogManager
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage

from novoic_assets.definitions import defs
from novoic_assets.storage.files import Storage
from novoic_assets_tests.conftest import KEY
from novoic_assets_tests.dagster_dev import dagster_dev
from novoic_assets_tests.deploy import chart
from novoic_assets_tests.deploy.kubernetes_api import Cluster
from novoic_assets_tests.deploy.postgresql import HOST, PASSWORD, USER, PostgreSQL
from novoic_assets_tests.lab import Lab
from novoic_assets_tests.processes import PATIENCE

DAGSTER = Path(sys.executable).with_name("dagster")
DATASETS = {"ad_vs_hc", "ad_mci_vs_hc", "ad_vs_hc_under_60"}
BUCKET = "lab"
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


def write_home(home: Path, server: PostgreSQL, database: str, **changes: Any) -> Path:
    """Write the chart's dagster.yaml with the values that a user changes, and the changes of a test.

    Args:
        home: The folder; it is created.
        server: The server of the database.
        database: Its name.
        changes: Sections of dagster.yaml that replace the chart's; None drops one.
    """
    values = chart.load_values()
    values["postgresql"] |= {
        "postgresqlHost": HOST,
        "postgresqlUsername": USER,
        "postgresqlDatabase": database,
        "postgresqlParams": {"sslmode": "prefer"},  # the guide's value for a database without TLS
        "service": {"port": server.port},
    }
    values["additionalInstanceConfig"]["local_artifact_storage"]["config"]["base_dir"] = str(home / "state")
    values["computeLogManager"]["config"]["s3ComputeLogManager"] |= {
        "bucket": BUCKET,
        "prefix": database,
        "localDir": str(home / "logs"),
    }
    config = chart.instance_config(values) | changes
    home.mkdir()
    path = home / "dagster.yaml"
    path.write_text(yaml.safe_dump({name: section for name, section in config.items() if section is not None}))
    return home


@pytest.fixture
def home(
    postgresql_server: PostgreSQL, database: str, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """DAGSTER_HOME with the complete configuration; its K8sRunLauncher is never made, since no run is launched."""
    monkeypatch.setenv(chart.PASSWORD, PASSWORD)
    monkeypatch.setenv("AWS_REGION", "eu-west-2")  # s3 has set the bucket's address and credentials
    return write_home(tmp_path / "home", postgresql_server, database)


def test_the_configuration_is_what_the_guide_says(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
        assert isinstance(instance.compute_log_manager, S3ComputeLogManager)
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_max_resume_run_attempts == 0
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 3
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
        concurrency = instance.get_concurrency_config()
        assert concurrency.pool_config.default_pool_limit == 1
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 4
        ref = instance.get_ref()
        assert ref.run_launcher_data is not None
        assert ref.run_launcher_data.class_name == "K8sRunLauncher"
        # The part of the instance that a Job's command line shows.
        assert PASSWORD not in str(ref.to_dict())


def test_retention_and_threads_are_those_of_a_laptop() -> None:
    laptop = yaml.safe_load((chart.REPOSITORY / "dagster.yaml").read_text())
    cluster = chart.instance_config(chart.load_values())
    for section in ("retention", "sensors", "telemetry", "nux"):
        assert cluster[section] == laptop[section], section


def test_compute_logs_go_to_the_bucket(home: Path, database: str) -> None:
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        instance.compute_log_manager.open_log_stream(["run", "step"], ComputeIOType.STDERR) as stream,
    ):
        assert stream is not None
        stream.write("8 of 8 sessions")
    logs = Storage(f"s3://{BUCKET}/{database}", "the logs' bucket")
    assert logs.read("storage/run/step.err") == b"8 of 8 sessions"


@pytest.mark.slow
def test_events_of_the_whole_graph_go_through_it(home: Path, lab: Lab) -> None:
    lab.fill()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert lab.run(instance=instance).success
        assert not lab.run(raw=lab.folder / "nowhere", select=["raw_metadata"], instance=instance).success
    with dg.DagsterInstance.from_config(str(home)) as again:
        assert [run.status for run in again.get_runs()] == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
        graph = defs.resolve_asset_graph()
        latest = again.get_latest_materialization_events(list(graph.executable_asset_keys))
        assert set(latest) == set(graph.executable_asset_keys)
        assert all(event is not None for event in latest.values())
        checks = again.event_log_storage.get_asset_check_summary_records(list(graph.asset_check_keys))
        assert set(checks) == set(graph.asset_check_keys)
        assert all(summary.last_completed_check_execution_record for summary in checks.values())


@pytest.mark.slow
def test_an_old_schema_is_migrated_as_the_chart_does(home: Path, postgresql_server: PostgreSQL, database: str) -> None:
    def has_column() -> bool:
        with postgresql_server.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM information_schema.columns"
                " WHERE table_name = 'concurrency_limits' AND column_name = 'using_default_limit'"
            )
            return cursor.fetchone() is not None

    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = instance.create_run_for_job(defs.resolve_job_def("materialize_all"))
        assert has_column()
        with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
            run_alembic_downgrade(get_alembic_config(dagster_postgres.__file__), connection, rev="-3")
    assert not has_column()
    # The command reads the run launcher, which in the cluster finds its API server by the pod's token.
    config = yaml.safe_load((home / "dagster.yaml").read_text())
    kubeconfig = Cluster(address="http://127.0.0.1:1").kubeconfig(home)
    config["run_launcher"]["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))

    done = subprocess.run(
        [DAGSTER, "instance", "migrate"],
        env=os.environ | {"DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert has_column()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_run_by_id(run.run_id) is not None


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 2 * PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sensor_schedule_and_runs_outlive_the_database(
    postgresql_server: PostgreSQL, database: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Web server, daemon and code location as on the cluster; runs are processes of this machine, not pods."""
    monkeypatch.setenv(chart.PASSWORD, PASSWORD)
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    launcher = {"module": "dagster.core.launcher", "class": "DefaultRunLauncher"}
    logs = {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    monitoring = chart.instance_config(chart.load_values())["run_monitoring"] | {"poll_interval_seconds": 5}
    home = write_home(
        lab.folder / "home",
        postgresql_server,
        database,
        run_launcher=launcher,
        compute_logs=logs,
        run_monitoring=monitoring,
    )

    def runs() -> list[tuple[str, str]]:
        """The origin and the status of each run, oldest first."""
        with postgresql_server.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT run_body, status FROM runs ORDER BY id")
            return [("schedule" if "schedule_name" in body else "sensor", status) for body, status in cursor.fetchall()]

    def published() -> set[int]:
        pointers = [lab.current(name) for name in DATASETS] if lab.tables.storage.has_folder(".") else []
        return {pointer["flow"]["in"] if pointer else 0 for pointer in pointers}  # type: ignore[index]

    def at_rest() -> bool:
        return all(status in ENDED for _, status in runs())

    lab.fill(8)
    settings = {
        "DAGSTER_HOME": str(home),
        chart.PASSWORD: PASSWORD,
        "NOVOIC_RAW": lab.raw_root,
        "NOVOIC_STORE": lab.store_root,
        "NOVOIC_PSEUDONYM_KEY": KEY,
        "NOVOIC_AUTOMATION": "new_data,nightly",
        "NOVOIC_NIGHTLY_CRON": "* * * * *",
        "NOVOIC_SENSOR_SECONDS": "2",
        "NOVOIC_SETTLE_SECONDS": "2",
    }
    with dagster_dev(lab.folder / "dagster", settings):
        wait_until(lambda: published() == {8}, "the first run")
        wait_until(lambda: {kind for kind, _ in runs()} == {"sensor", "schedule"}, "a run of the schedule")
        wait_until(at_rest, "the end of the runs")
        before = len(runs())

        lab.add_patient("P8")
        lab.add_session("S8", "P8")
        wait_until(lambda: any(status == "STARTED" for _, status in runs()[before:]), "the run for the new session")
        postgresql_server.kill()
        time.sleep(3.0)  # so that others can query meanwhile
        postgresql_server.start()

        wait_until(lambda: published() == {9}, "the new session in the datasets")
        wait_until(at_rest, "the end of the runs")
    assert {status for _, status in runs()} <= {"SUCCESS", "FAILURE"}
    assert runs()[-1][1] == "SUCCESS"
