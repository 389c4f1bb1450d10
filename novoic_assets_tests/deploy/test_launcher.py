"""A queued run gets a pod, and a second one if the first is lost.

The code is that of the cluster. A stand-in replaces its API server, and the pod's command runs on this machine.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._daemon.daemon import MonitoringDaemon
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from novoic_assets.definitions import MATERIALIZE_ALL
from novoic_assets_tests.conftest import KEY
from novoic_assets_tests.dagster_dev import settings_free
from novoic_assets_tests.deploy import chart
from novoic_assets_tests.deploy.kubernetes_api import Cluster, kubernetes_api
from novoic_assets_tests.lab import Lab
from novoic_assets_tests.processes import PATIENCE

pytestmark = pytest.mark.slow

DAGSTER = Path(sys.executable).with_name("dagster")


@dataclass
class Deployment:
    """The chart's instance on SQLite, a code location, and the daemon's work step by step.

    Attributes:
        cluster: The API server.
        lab: The raw data and the store.
        instance: The instance.
        workspace: The code location, as the daemon sees it.
        environment: The variables that give a pod the settings of instance and lab.
    """

    cluster: Cluster
    lab: Lab
    instance: dg.DagsterInstance
    workspace: WorkspaceProcessContext
    environment: dict[str, str]

    def submit(self) -> None:
        """Request a run of the complete job."""
        subprocess.run(
            [DAGSTER, "job", "launch", "-w", self.lab.folder / "workspace.yaml", "-j", MATERIALIZE_ALL],
            env=self.environment,
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )

    def dequeue(self) -> None:
        with QueuedRunCoordinatorDaemon(interval_seconds=0) as daemon:
            errors = [error for error in daemon.run_iteration(self.workspace) if error is not None]
        assert errors == []

    def monitor(self) -> None:
        with MonitoringDaemon(interval_seconds=0) as daemon:
            errors = [error for error in daemon.run_iteration(self.workspace) if error is not None]
        assert errors == []

    def retry(self) -> None:
        with EventLogConsumerDaemon(interval_seconds=0) as daemon:
            errors = [error for error in daemon.run_iteration(self.workspace) if error is not None]
        assert errors == []

    def start_pod(self, job: dict[str, Any]) -> "subprocess.Popen[bytes]":
        """Run the command of a Job's container as a process of this machine, to wait for or to kill."""
        (container,) = job["spec"]["template"]["spec"]["containers"]
        given = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
        given.pop("NOVOIC_SPARK_MASTER")  # without a cluster for executors, worker processes do the work
        program, *arguments = container["args"]
        assert program == "dagster"
        return subprocess.Popen(
            [DAGSTER, *arguments],
            env=self.environment | given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def statuses(self) -> list[dg.DagsterRunStatus]:
        """The statuses of all runs, oldest first."""
        return [run.status for run in reversed(self.instance.get_runs())]


@contextmanager
def code_location(lab: Lab, environment: dict[str, str], values: chart.Values) -> Iterator[None]:
    """The code location's container and a workspace file that names it, as in the chart."""
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = {"host": "127.0.0.1", "port": port, "location_name": deployment["name"]}
    (lab.folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    given = {entry["name"]: entry["value"] for entry in deployment["env"]}
    process = subprocess.Popen(
        [DAGSTER, "api", "grpc", "-h", "127.0.0.1", "-p", str(port), *deployment["dagsterApiGrpcArgs"]],
        env=environment | given | {"DAGSTER_CURRENT_IMAGE": chart.image(values)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + PATIENCE
        while not _listens(port):
            assert process.poll() is None, "the code location ended"
            assert time.monotonic() < end, "the code location does not answer"
            time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def deployment(lab: Lab) -> Iterator[Deployment]:
    values = chart.load_values()
    config = chart.instance_config(values)
    for storage in ("run_storage", "event_log_storage", "schedule_storage", "compute_logs"):
        del config[storage]
    home = lab.folder / "home"
    home.mkdir()
    config |= {
        "storage": {"sqlite": {"base_dir": str(home)}},
        "local_artifact_storage": {
            "module": "dagster.core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(home)},
        },
        "compute_logs": {
            "module": "dagster.core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
    }
    with kubernetes_api() as cluster:
        launcher = config["run_launcher"]["config"]
        launcher |= {"load_incluster_config": False, "kubeconfig_file": str(cluster.kubeconfig(home))}
        (home / "dagster.yaml").write_text(yaml.safe_dump(config))
        environment = settings_free(os.environ) | {
            "DAGSTER_HOME": str(home),
            "NOVOIC_RAW": lab.raw_root,
            "NOVOIC_STORE": lab.store_root,
            "NOVOIC_PSEUDONYM_KEY": KEY,
            "NOVOIC_WORKERS": "1",
        }
        target = WorkspaceFileTarget([str(lab.folder / "workspace.yaml")])
        with (
            code_location(lab, environment, values),
            dg.DagsterInstance.from_config(str(home)) as instance,
            WorkspaceProcessContext(instance, target) as workspace,
        ):
            yield Deployment(cluster, lab, instance, workspace, environment)


def test_a_run_makes_one_job_and_the_next_run_waits_for_it(deployment: Deployment) -> None:
    deployment.submit()
    assert deployment.cluster.made == []  # it waits for the daemon
    deployment.dequeue()
    deployment.dequeue()

    (job,) = deployment.cluster.made
    assert deployment.cluster.refused == []
    (run,) = deployment.instance.get_runs()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert job["metadata"]["namespace"] == chart.NAMESPACE
    assert job["metadata"]["name"] == f"dagster-run-{run.run_id}"
    assert container["image"] == chart.image(chart.load_values())
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    assert run.run_id in container["args"][3]
    assert container["resources"]["requests"]["cpu"] == "1"  # from the job's tag
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "novoic-run"

    # The second run needs the pool of the Spark runs, which has room for one.
    deployment.submit()
    deployment.dequeue()
    assert deployment.statuses() == [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.QUEUED]
    assert deployment.cluster.made == [job]


def test_another_run_does_the_work_of_a_run_whose_pod_vanishes(deployment: Deployment) -> None:
    deployment.lab.fill()
    deployment.retry()  # from here on the daemon knows its place in the events
    deployment.submit()
    deployment.dequeue()
    (job,) = deployment.cluster.made

    pod = deployment.start_pod(job)
    end = time.monotonic() + PATIENCE
    while deployment.statuses() != [dg.DagsterRunStatus.STARTED]:
        assert pod.poll() is None, "the pod ended by itself"
        assert time.monotonic() < end, "the run does not start"
        time.sleep(0.02)
    deployment.monitor()
    assert deployment.statuses() == [dg.DagsterRunStatus.STARTED]  # its Job exists
    os.killpg(pod.pid, signal.SIGKILL)
    pod.wait()
    deployment.cluster.vanish(job["metadata"]["name"])

    deployment.monitor()
    assert deployment.statuses() == [dg.DagsterRunStatus.FAILURE]
    deployment.retry()
    deployment.dequeue()
    assert deployment.statuses() == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTING]
    _, second = deployment.cluster.made
    again = deployment.start_pod(second)
    assert again.wait(timeout=PATIENCE) == 0
    assert deployment.statuses() == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    assert all(version is not None for version in deployment.lab.versions().values())
    assert deployment.cluster.refused == []
