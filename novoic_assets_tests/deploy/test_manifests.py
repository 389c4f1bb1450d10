"""The manifests in deploy/ are valid, agree with each other and with the image, and are as strict as they claim."""

import re
from typing import Any

import pytest
import yaml

from novoic_assets_tests.deploy.manifests import (
    DEPLOY,
    VERSIONS,
    Manifest,
    kustomized,
    load,
    named,
    spark_defaults,
    validate,
)

MANIFESTS = kustomized()


def identity(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def executor_template() -> dict[str, Any]:
    pod: dict[str, Any] = yaml.safe_load(named("ConfigMap", "novoic-spark")["data"]["executor-pod.yaml"])
    return pod


def policies() -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m["spec"] for m in MANIFESTS if m["kind"] == "NetworkPolicy"}


def ports(rules: list[dict[str, Any]]) -> set[int]:
    return {entry["port"] for rule in rules for entry in rule["ports"]}


def test_the_versions_of_kubernetes_begin_with_1_30() -> None:
    assert VERSIONS[0].startswith("1.30.")
    assert len(VERSIONS) >= 5


@pytest.mark.parametrize("manifest", MANIFESTS, ids=identity)
def test_each_manifest_is_valid(manifest: Manifest) -> None:
    validate(manifest)


def test_a_key_that_kubernetes_does_not_know_is_refused() -> None:
    account = {**named("ServiceAccount", "novoic-run"), "automountServiceAccountTokens": False}
    with pytest.raises(Exception, match="automountServiceAccountTokens"):
        validate(account, VERSIONS[:1])


def test_the_pod_template_of_executors_is_valid_once_spark_has_added_the_image() -> None:
    pod = executor_template()
    pod["spec"]["containers"][0]["image"] = "novoic-assets:0.1.0"
    validate(pod)


def test_every_file_is_in_the_kustomization() -> None:
    (kustomization,) = load(DEPLOY / "kustomization.yaml")
    files = {path.name for path in DEPLOY.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files


def test_everything_is_in_the_namespace_that_is_made() -> None:
    (namespace,) = [m["metadata"]["name"] for m in MANIFESTS if m["kind"] == "Namespace"]
    assert {m["metadata"]["namespace"] for m in MANIFESTS if m["kind"] != "Namespace"} == {namespace}
    names = [identity(m) for m in MANIFESTS]
    assert len(set(names)) == len(names)


def test_pods_that_are_not_restricted_are_refused() -> None:
    labels = named("Namespace", "novoic")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_role_is_for_pods_alone_and_the_run_account_alone() -> None:
    (rule,) = named("Role", "novoic-spark-driver")["rules"]
    assert (rule["apiGroups"], rule["resources"]) == ([""], ["pods"])
    binding = named("RoleBinding", "novoic-spark-driver")
    assert binding["roleRef"]["name"] == "novoic-spark-driver"
    assert [(s["kind"], s["name"], s["namespace"]) for s in binding["subjects"]] == [
        ("ServiceAccount", "novoic-run", "novoic")
    ]


def test_accounts_and_config_maps_that_executors_name_exist() -> None:
    pod = executor_template()["spec"]
    account = spark_defaults()["spark.kubernetes.authenticate.executor.serviceAccountName"]
    assert named("ServiceAccount", account)["automountServiceAccountToken"] is False
    for source in pod["containers"][0]["envFrom"]:
        if "configMapRef" in source:
            assert named("ConfigMap", source["configMapRef"]["name"])["data"]


def test_the_ports_that_spark_is_given_are_the_ports_that_are_open() -> None:
    port = {name: int(value) for name, value in spark_defaults().items() if name.lower().endswith(".port")}
    driver = {port["spark.driver.port"], port["spark.driver.blockManager.port"]}
    executor = {port["spark.blockManager.port"]}
    run, worker = policies()["novoic-run"], policies()["novoic-spark-executor"]
    assert ports(run["ingress"]) == driver
    assert ports(worker["ingress"]) == executor
    assert driver | executor | {53, 443} == ports(worker["egress"])
    assert ports(run["egress"]) >= executor | {53, 443, 5432}


def test_only_named_pods_come_in_and_executors_do_not_reach_the_database() -> None:
    everyone = policies()["novoic-nobody-comes-in"]
    assert everyone["podSelector"] == {}
    assert everyone["policyTypes"] == ["Ingress"]
    assert "ingress" not in everyone
    assert 5432 not in ports(policies()["novoic-spark-executor"]["egress"])


def test_the_policies_find_the_pods_by_the_labels_that_these_have() -> None:
    from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job

    config = DagsterK8sJobConfig(job_image="image", dagster_home="/home")
    job = construct_dagster_k8s_job(config, args=[], job_name="run", component="run_worker")
    run_labels = job.to_dict()["spec"]["template"]["metadata"]["labels"]
    assert policies()["novoic-run"]["podSelector"]["matchLabels"].items() <= run_labels.items()
    wanted = policies()["novoic-spark-executor"]["podSelector"]["matchLabels"]
    assert wanted.items() <= executor_template()["metadata"]["labels"].items()


def test_settings_hold_no_secret() -> None:
    for manifest in MANIFESTS:
        assert manifest["kind"] != "Secret"
        for name in manifest.get("data", {}):
            assert not re.search("KEY|PASSWORD|TOKEN|SECRET", name)
