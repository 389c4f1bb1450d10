"""Spark on Kubernetes, with everything real except the cluster.

Spark's own code requests executors from a stand-in API server. They start through the image's entrypoint and work for
the driver over loopback.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyspark
import pytest

from novoic_assets.resources.spark_session import SparkResource
from novoic_assets_tests.deploy import spark_run
from novoic_assets_tests.deploy.kubelet import DRIVER_IP, Kubelet
from novoic_assets_tests.deploy.manifests import DEPLOY, named, spark_defaults, validate
from novoic_assets_tests.deploy.pods_api import Pod, PodsApi, Request, pods_api
from novoic_assets_tests.needs import needs

NAMESPACE = "novoic"
RUN_POD = "dagster-run-1"
IMAGE = "registry.example.org/novoic-assets:0.1.0"
MASTER = "k8s://https://kubernetes.default.svc"
ENTRYPOINT = DEPLOY.parent / "image" / "entrypoint.sh"
MOUNTED = "/etc/novoic/spark"  # where run pods mount the config map
SECRET = "_SPARK_AUTH_SECRET"
SETTINGS = {"spark.executor.memory": "600m"}  # of the launchpad
TIME_ZONE = "Europe/London"  # in spark-defaults.conf; the class has UTC


class TestSettings:
    """The settings of a Spark session, checked without a session."""

    @pytest.fixture(autouse=True)
    def _pod(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NOVOIC_POD_IP", "10.0.0.1")
        monkeypatch.setenv("NOVOIC_POD_NAME", RUN_POD)
        monkeypatch.setenv("NOVOIC_POD_NAMESPACE", NAMESPACE)

    def test_the_driver_is_the_pod(self) -> None:
        config = SparkResource(master=MASTER).spark_config
        assert config["spark.driver.host"] == config["spark.driver.bindAddress"] == "10.0.0.1"
        assert config["spark.kubernetes.driver.pod.name"] == RUN_POD
        assert config["spark.kubernetes.namespace"] == NAMESPACE

    def test_without_a_pod_nothing_is_said_of_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NOVOIC_POD_IP", "NOVOIC_POD_NAME", "NOVOIC_POD_NAMESPACE"):
            monkeypatch.delenv(name)
        assert set(SparkResource(master=MASTER).spark_config) == set(
            SparkResource(master="spark://host:7077").spark_config
        )

    @pytest.mark.parametrize("master", ["local[2]", "spark://host:7077"])
    def test_other_masters_know_nothing_of_the_pod(self, master: str) -> None:
        spark = SparkResource(master=master)
        settings = spark.spark_defaults | spark.spark_config
        assert "10.0.0.1" not in settings.values()
        assert not [name for name in settings if "kubernetes" in name or "authenticate" in name]

    def test_the_launchpad_comes_first(self) -> None:
        config = SparkResource(master=MASTER, settings={"spark.driver.host": "driver.example.org"}).spark_config
        assert config["spark.driver.host"] == "driver.example.org"
        assert config["spark.driver.bindAddress"] == "10.0.0.1"

    def test_the_config_map_sets_nothing_that_the_class_sets_over_it(self) -> None:
        assert not spark_defaults().keys() & SparkResource(master=MASTER).spark_config.keys()

    @pytest.mark.parametrize(("tags", "image"), [({"dagster/image": IMAGE}, IMAGE), ({}, None)])
    def test_executors_run_the_image_of_the_run(self, tags: dict[str, str], image: str | None) -> None:
        found: list[str | None] = []

        @dg.asset
        def looks(spark: SparkResource) -> None:
            found.append(spark.spark_defaults.get("spark.kubernetes.container.image"))

        assert dg.materialize([looks], resources={"spark": SparkResource(master=MASTER)}, tags=tags).success
        assert found == [image]


def spark_conf(folder: Path) -> Path:
    """A copy of the run pods' SPARK_CONF_DIR with one more setting."""
    folder.mkdir()
    for name, content in named("ConfigMap", "novoic-spark")["data"].items():
        (folder / name).write_text(content.replace(MOUNTED, str(folder)))
    with (folder / "spark-defaults.conf").open("a") as file:
        file.write(f"spark.sql.session.timeZone {TIME_ZONE}\n")
    return folder


def driver_environment(api: PodsApi, folder: Path) -> dict[str, str]:
    """The variables of a run's pod, and the places where a client outside the cluster finds the pod's files."""
    (folder / "token").write_text(api.token)
    return {
        "HOME": str(folder),
        "NOVOIC_SPARK_MASTER": f"k8s://{api.url}",
        "NOVOIC_POD_NAME": RUN_POD,
        "NOVOIC_POD_IP": DRIVER_IP,
        "NOVOIC_POD_NAMESPACE": NAMESPACE,
        "SPARK_CONF_DIR": str(spark_conf(folder / "conf")),
        "KUBERNETES_AUTH_SERVICEACCOUNT_TOKEN": str(folder / "token"),
        "KUBERNETES_CERTS_CA_FILE": str(api.authority),
    }


@dataclass(frozen=True)
class Run:
    """A run and its observations.

    Attributes:
        result: Its findings.
        driver: Its pod.
        made: The executors' pods, by name, in the order of their creation.
        left: The pods that were left after its end.
        requests: Its requests to the API server.
        intruder: The log of a process that knows everything an executor knows, except the secret.
    """

    result: dict[str, Any]
    driver: Pod
    made: dict[str, Pod]
    left: set[str]
    requests: list[Request]
    intruder: str

    @property
    def container(self) -> dict[str, Any]:
        """The container of the first executor."""
        (container,) = next(iter(self.made.values()))["spec"]["containers"]
        return dict(container)

    @property
    def variables(self) -> dict[str, str]:
        """Its variables with values in the pod."""
        return {entry["name"]: entry["value"] for entry in self.container["env"] if "value" in entry}


class Cluster(Kubelet):
    """A kubelet whose first executor runs out of memory, with an intruder beside it."""

    intruder: "subprocess.Popen[bytes] | None" = None

    def start(self, pod: Pod) -> Callable[[], None]:
        """Start every pod except the first."""
        name = pod["metadata"]["name"]
        if self.intruder is None:
            self.intruder = self.run("intruder", pod, {SECRET: "another", "SPARK_EXECUTOR_ID": "99"})
            self.fail(name)
            return lambda: None
        return super().start(pod)

    def environment(self, name: str, pod: Pod) -> dict[str, str]:
        """The variables of a pod's container, with a folder of this machine as its disk."""
        return {**super().environment(name, pod), "SPARK_LOCAL_DIRS": str(self.folder / name)}

    fail: Callable[[str], None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with two executors."""
    folder = tmp_path_factory.mktemp("kubernetes")
    machine = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
    machine["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    cluster = Cluster(
        folder / "pods", command=lambda _: [str(ENTRYPOINT)], image=lambda pod: {**machine, "HOME": str(pod)}
    )
    rules = named("Role", "novoic-spark-driver")["rules"]
    with pods_api(folder, rules, NAMESPACE, cluster.start) as api, (folder / "driver.log").open("w+") as log:
        cluster.fail = api.fail
        driver = api.add({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": RUN_POD}, "spec": {}})
        done = subprocess.run(
            [sys.executable, spark_run.__file__, IMAGE, json.dumps(SETTINGS)],
            env=machine | driver_environment(api, folder),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            timeout=600,
            check=False,
        )
        left = set(api.pods)
        if cluster.intruder is not None:
            cluster.intruder.kill()
            cluster.intruder.wait()
        logs = "\n".join(path.read_text()[-3000:] for path in (folder / "pods").glob("*.log"))
        assert done.returncode == 0, f"{(folder / 'driver.log').read_text()}\n{api.requests}\n{logs}"
    intruder = cluster.log("intruder").read_text()
    return Run(json.loads(done.stdout), driver, api.made, left, api.requests, intruder)


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs("java")
class TestRun:
    """A run with two executors; Spark has to make one of them again."""

    def test_all_is_computed_by_executors_though_the_first_failed(self, run: Run) -> None:
        assert run.result["success"]
        assert sorted(row["session"] for row in run.result["rows"]) == sorted(f"S{number}" for number in range(40))
        _failed, *others = run.made
        assert len(others) == 2
        hosts = Counter(row["host"] for row in run.result["rows"])
        assert hosts.keys() == set(others)
        assert min(hosts.values()) >= 10

    def test_the_settings_come_from_launchpad_pod_file_and_class_in_this_order(self, run: Run) -> None:
        conf = run.result["conf"]
        assert (
            conf["spark.executor.memory"]
            == SETTINGS["spark.executor.memory"]
            != spark_defaults()["spark.executor.memory"]
        )
        assert conf["spark.driver.host"] == DRIVER_IP
        assert conf["spark.executor.memoryOverhead"] == spark_defaults()["spark.executor.memoryOverhead"]
        assert (
            conf["spark.sql.session.timeZone"]
            == TIME_ZONE
            != SparkResource(master=MASTER).spark_defaults["spark.sql.session.timeZone"]
        )
        assert conf["spark.ui.enabled"] == "false"

    def test_the_role_allows_what_spark_does_and_nothing_else(self, run: Run) -> None:
        assert [request for request in run.requests if not request.allowed] == []
        (rule,) = named("Role", "novoic-spark-driver")["rules"]
        assert {request.resource for request in run.requests} == set(rule["resources"])
        assert {request.verb for request in run.requests} == set(rule["verbs"])

    def test_nothing_is_left_and_all_goes_with_the_driver(self, run: Run) -> None:
        assert run.left == {RUN_POD}
        for pod in run.made.values():
            (owner,) = pod["metadata"]["ownerReferences"]
            assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", RUN_POD, run.driver["metadata"]["uid"])

    def test_the_executors_pod_is_valid_and_as_restricted_as_the_namespace_asks_for(self, run: Run) -> None:
        for pod in run.made.values():
            validate(pod)
            spec = pod["spec"]
            assert spec["securityContext"]["runAsNonRoot"]
            assert spec["securityContext"]["runAsUser"] == 10001
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert spec["serviceAccountName"] == "novoic-spark-executor"
            assert spec["automountServiceAccountToken"] is False
            assert all(volume.keys() == {"name", "emptyDir"} for volume in spec["volumes"])
            (container,) = spec["containers"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }

    def test_the_executors_pod_is_of_the_size_that_the_settings_say(self, run: Run) -> None:
        assert run.container["image"] == IMAGE
        assert run.container["args"] == ["executor"]
        resources = run.container["resources"]
        assert resources["requests"]["cpu"] == spark_defaults()["spark.executor.cores"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"] == f"{600 + 1024}Mi"
        assert [port["containerPort"] for port in run.container["ports"]] == [7079]
        assert {mount["mountPath"] for mount in run.container["volumeMounts"]} == {"/tmp", "/var/lib/novoic"}
        assert run.variables["SPARK_LOCAL_DIRS"] == "/var/lib/novoic"

    def test_executors_get_the_settings_and_the_key_of_the_bucket_and_no_other_secret(self, run: Run) -> None:
        sources = [(kind, source["name"]) for entry in run.container["envFrom"] for kind, source in entry.items()]
        assert sources == [("configMapRef", "novoic-settings"), ("secretRef", "novoic-s3")]
        found = json.loads(run.result["rows"][0]["environment"])
        assert found["NOVOIC_RAW"] == named("ConfigMap", "novoic-settings")["data"]["NOVOIC_RAW"]
        assert not [name for name in found if "PSEUDONYM" in name or "POSTGRES" in name or "DAGSTER" in name]

    def test_what_crosses_the_network_is_encrypted_with_a_secret_of_the_run(self, run: Run) -> None:
        assert len(run.variables[SECRET]) >= 32
        assert {pod_secret(pod) for pod in run.made.values()} == {run.variables[SECRET]}
        options = {value for name, value in run.variables.items() if name.startswith("SPARK_JAVA_OPT_")}
        assert {
            "-Dspark.authenticate=true",
            "-Dspark.network.crypto.enabled=true",
            "-Dspark.network.crypto.cipher=AES/GCM/NoPadding",
            "-Dspark.network.crypto.saslFallback=false",
        } <= options
        assert SECRET.lower() not in json.dumps(run.result["conf"]).lower()
        assert run.variables[SECRET] not in json.dumps(run.result["conf"])

    def test_who_does_not_know_the_secret_does_not_get_in(self, run: Run) -> None:
        assert "org.apache.spark.network.crypto.AuthClientBootstrap" in run.intruder
        assert "Successfully registered with driver" not in run.intruder
        assert run.result["cores"] == 4


def pod_secret(pod: Pod) -> str:
    """The secret of a pod."""
    (container,) = pod["spec"]["containers"]
    return next(entry["value"] for entry in container["env"] if entry["name"] == SECRET)
