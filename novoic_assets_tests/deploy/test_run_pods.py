"""The pod of a run, which dagster-k8s makes from helm-values.yaml, keeps the promises of the guide."""

import sys
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin

from novoic_assets.assets.cluster import SPARK_POOL, pod_size
from novoic_assets.definitions import MATERIALIZE_ALL, defs
from novoic_assets.errors import NovoicError
from novoic_assets_tests.deploy import chart
from novoic_assets_tests.deploy.kubernetes_api import Cluster, kubernetes_api

KUBERNETES = ("1.30", "1.34", kubernetes_validate.latest_version())
HEAVY = {"parsed_transcripts", "text_features", "audio_features"}
ALL_ASSETS = "__ASSET_JOB"  # Dagster's name of the job behind "Materialize" in the UI


@pytest.fixture(scope="module")
def values() -> chart.Values:
    return chart.load_values()


@pytest.fixture(scope="module")
def jobs(values: chart.Values, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The Jobs that reach the cluster for a run of the complete job, and for a run that somebody starts in the UI."""
    home = tmp_path_factory.mktemp("home")
    with kubernetes_api() as cluster:
        launcher = chart.instance_config(values)["run_launcher"]
        launcher["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(cluster.kubeconfig(home))}
        (home / "dagster.yaml").write_text(yaml.safe_dump({"run_launcher": launcher, "telemetry": {"enabled": False}}))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            made = {name: launch(instance, cluster, name, values) for name in (MATERIALIZE_ALL, ALL_ASSETS)}
        assert cluster.refused == []
    return made


def launch(instance: dg.DagsterInstance, cluster: Cluster, name: str, values: chart.Values) -> dict[str, Any]:
    pointer = ModuleCodePointer("novoic_assets.definitions", "defs")
    repository = RepositoryPythonOrigin(
        sys.executable, pointer, container_image=chart.image(values), entry_point=DEFAULT_DAGSTER_ENTRY_POINT
    )
    job = defs.resolve_job_def(name)
    run = instance.create_run_for_job(job, tags=job.run_tags, job_code_origin=JobPythonOrigin(name, repository))
    instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    return cluster.made[-1]


@pytest.fixture(params=[MATERIALIZE_ALL, ALL_ASSETS])
def job(jobs: dict[str, dict[str, Any]], request: pytest.FixtureRequest) -> dict[str, Any]:
    return jobs[request.param]


@pytest.fixture
def pod(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["template"]["spec"]


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return only


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_cluster_knows_every_field(job: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(job, version, strict=True)


def test_it_runs_the_image_of_the_code_location(container: dict[str, Any], values: chart.Values) -> None:
    assert container["image"] == chart.image(values)
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    assert "command" not in container  # keeps the image's entrypoint


def test_its_user_has_no_rights_beyond_its_folders(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_it_may_write_to_its_two_folders_alone(pod: dict[str, Any], container: dict[str, Any]) -> None:
    kinds = {volume["name"]: set(volume) - {"name"} for volume in pod["volumes"]}
    writable = {
        mount["mountPath"]: kinds[mount["name"]]
        for mount in container["volumeMounts"]
        if not mount.get("readOnly") and kinds[mount["name"]] != {"configMap"}
    }
    assert writable == {"/tmp": {"emptyDir"}, "/var/lib/novoic": {"emptyDir"}}


def test_it_finds_spark_settings(pod: dict[str, Any], container: dict[str, Any], values: chart.Values) -> None:
    maps = {volume["name"]: volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
    mounted = {mount["mountPath"]: maps[mount["name"]] for mount in container["volumeMounts"] if mount["name"] in maps}
    assert mounted == {"/etc/novoic/spark": "novoic-spark"}
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["DAGSTER_HOME"] == values["global"]["dagsterHome"]
    assert environment["SPARK_CONF_DIR"] == "/etc/novoic/spark"
    assert environment["NOVOIC_SPARK_MASTER"] == "k8s://https://kubernetes.default.svc"


def test_it_knows_its_own_name_and_address(container: dict[str, Any]) -> None:
    fields = {
        entry["name"]: entry["valueFrom"]["fieldRef"]["fieldPath"]
        for entry in container["env"]
        if "fieldRef" in entry.get("valueFrom", {})
    }
    assert fields == {
        "NOVOIC_POD_NAME": "metadata.name",
        "NOVOIC_POD_IP": "status.podIP",
        "NOVOIC_POD_NAMESPACE": "metadata.namespace",
    }


def test_secrets_come_by_name_and_no_others(container: dict[str, Any], values: chart.Values) -> None:
    secrets = values["novoic"]["secrets"]
    sources = [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source]
    assert sources == [secrets["pseudonymKey"], secrets["s3"]]
    by_key = {
        entry["name"]: (entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
        for entry in container["env"]
        if "secretKeyRef" in entry.get("valueFrom", {})
    }
    assert by_key == {chart.PASSWORD: (secrets["database"], "postgresql-password")}
    maps = [source["configMapRef"]["name"] for source in container["envFrom"] if "configMapRef" in source]
    assert maps == ["novoic-settings"]


def test_its_account_may_make_executors(job: dict[str, Any], pod: dict[str, Any]) -> None:
    assert pod["serviceAccountName"] == "novoic-run"
    assert pod["automountServiceAccountToken"] is True
    assert job["metadata"]["namespace"] == chart.NAMESPACE


def test_it_is_tried_once_and_goes_after_a_day(job: dict[str, Any], pod: dict[str, Any]) -> None:
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["ttlSecondsAfterFinished"] == 86_400
    assert pod["restartPolicy"] == "Never"


def test_the_job_has_its_own_size_and_other_runs_the_launchers(
    jobs: dict[str, dict[str, Any]], values: chart.Values
) -> None:
    sizes = {name: job["spec"]["template"]["spec"]["containers"][0]["resources"] for name, job in jobs.items()}
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    assert sizes[MATERIALIZE_ALL] == pod_size()["dagster-k8s/config"]["container_config"]["resources"]
    assert sizes[ALL_ASSETS] == launcher["resources"]
    for size in sizes.values():
        assert size["requests"]["memory"] == size["limits"]["memory"]


def test_heavy_assets_ask_for_a_pod_and_share_the_pool() -> None:
    asked = {}
    for asset in defs.resolve_asset_graph().assets_defs:
        if asset.is_executable:
            asked |= {key.to_user_string(): asset.node_def for key in asset.keys}
    heavy = {name for name, op in asked.items() if getattr(op, "pool", None) == SPARK_POOL}
    sized = {name for name, op in asked.items() if "dagster-k8s/config" in op.tags}
    assert heavy == sized == HEAVY


def test_the_size_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVOIC_RUN_CPU", "2500m")
    monkeypatch.setenv("NOVOIC_RUN_MEMORY", "6.5Gi")
    assert pod_size()["dagster-k8s/config"]["container_config"]["resources"] == {
        "requests": {"cpu": "2500m", "memory": "6.5Gi"},
        "limits": {"memory": "6.5Gi"},
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("NOVOIC_RUN_CPU", "two"), ("NOVOIC_RUN_CPU", "1Gi"), ("NOVOIC_RUN_MEMORY", "4 Gi"), ("NOVOIC_RUN_MEMORY", "4GB")],
)
def test_an_impossible_size_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(NovoicError, match=f"{name} takes a quantity of Kubernetes"):
        pod_size()
