"""helm-values.yaml fits the chart's schemas, and avoids the traps that the schemas miss."""

import copy
import json
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from novoic_assets_tests.deploy import chart, manifests
from novoic_assets_tests.deploy.values_schema import ValuesSchema

TRIAL = chart.REPOSITORY / "deploy" / "kind"
GUIDE = chart.REPOSITORY / "docs" / "deploy-kubernetes.md"
LIBRARY = version("dagster")
TIMES = "\N{MULTIPLICATION SIGN}"

Values = chart.Values


@pytest.fixture(scope="module")
def values() -> Values:
    return chart.load_values()


@pytest.fixture(scope="module")
def schema(dagster_chart: Path) -> ValuesSchema:
    return ValuesSchema(dagster_chart)


def test_the_values_fit_the_schemas_of_the_chart(schema: ValuesSchema, values: Values) -> None:
    assert schema.errors(values) == []


def test_the_values_of_the_trial_fit_them_and_the_chart(schema: ValuesSchema, values: Values) -> None:
    trial = yaml.safe_load((TRIAL / "helm-values.yaml").read_text())
    assert set(leaves(trial)) <= set(leaves(values))  # it only changes existing values
    assert schema.errors(merged(values, trial)) == []


def merged(values: Any, over: Any) -> Any:
    """Merge values as Helm does with a second file: merge maps, replace the rest."""
    if not (isinstance(values, dict) and isinstance(over, dict)):
        return over
    return values | {name: merged(values.get(name), value) for name, value in over.items()}


def leaves(values: Any, path: str = "") -> list[str]:
    """The paths of all values; a list counts as one."""
    if not isinstance(values, dict):
        return [path]
    return [leaf for name, value in values.items() for leaf in leaves(value, f"{path}/{name}")]


def test_the_patches_of_the_trial_meet_what_they_change() -> None:
    (kustomization,) = manifests.load(TRIAL / "kustomization.yaml")
    documents = manifests.kustomized()
    for patch in kustomization["patches"]:
        target = patch["target"]
        names = {document["metadata"]["name"] for document in documents if document["kind"] == target["kind"]}
        wanted = target["name"].split("|")
        assert set(wanted) <= names
        for name in wanted:
            document = manifests.named(target["kind"], name)
            for operation in yaml.safe_load(patch["patch"]):
                *folders, last = operation["path"].removeprefix("/").split("/")
                part = document
                for folder in folders:
                    part = part[folder]
                there = isinstance(part, list) if last == "-" else last in part
                assert there == (operation["op"] == "replace" or last == "-"), operation["path"]


def test_the_services_of_the_trial_are_valid(values: Values) -> None:
    services = manifests.load(TRIAL / "services.yaml")
    for document in services:
        manifests.validate(document)
    trial = yaml.safe_load((TRIAL / "helm-values.yaml").read_text())
    (host,) = [
        f"{document['metadata']['name']}.{document['metadata']['namespace']}.svc"
        for document in services
        if document["kind"] == "Service"
        and document["spec"]["ports"] == [{"port": values["postgresql"]["service"]["port"]}]
    ]
    assert trial["postgresql"]["postgresqlHost"] == host


def deployment(values: Values) -> dict[str, Any]:
    (only,) = values["dagster-user-deployments"]["deployments"]
    return only


def run_launcher(values: Values) -> dict[str, Any]:
    return values["runLauncher"]["config"]["k8sRunLauncher"]


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda values: values.update(dagsterWebServer={}), "dagsterWebServer: no such key"),
        (lambda values: values["postgresql"].update(postgresHost="x"), "postgresql.postgresHost: no such key"),
        (lambda values: deployment(values).update(envSecret=[]), "deployments.0.envSecret: no such key"),
        (lambda values: deployment(values)["image"].pop("pullPolicy"), "'pullPolicy' is a required property"),
        (lambda values: deployment(values)["readinessProbe"].pop("enabled"), "readinessProbe"),
        (lambda values: deployment(values).update(envSecrets=["novoic-s3"]), "envSecrets"),
        (lambda values: run_launcher(values).update(runK8SConfig={}), "runLauncher.config.k8sRunLauncher"),
        (lambda values: run_launcher(values).update(resource={}), "resource: no such key"),
        (lambda values: values["dagsterDaemon"]["livenessProbe"].update(perod=1), "livenessProbe.perod: no such key"),
        (lambda values: values["dagsterDaemon"]["runRetries"].update(maxRetries="3"), "runRetries"),
        (lambda values: values["concurrency"]["pools"].update(limit=1), "concurrency.pools"),
        (lambda values: values["retention"].update(sensors={}), "retention"),
        (lambda values: values["dagster-user-deployments"].update(rbac=False), "dagster-user-deployments.rbac"),
    ],
)
def test_a_mistake_is_found(
    schema: ValuesSchema, values: Values, mistake: Callable[[Values], object], said: str
) -> None:
    changed = copy.deepcopy(values)
    mistake(changed)
    assert any(said in error for error in schema.errors(changed)), schema.errors(changed)


def test_chart_and_library_are_of_one_version() -> None:
    named = set(re.findall(r"version (\d+\.\d+\.\d+)", chart.VALUES.read_text()))
    named |= set(re.findall(r"--version (\d+\.\d+\.\d+)", GUIDE.read_text()))
    assert named == {LIBRARY}
    locked = (chart.REPOSITORY / "requirements-kubernetes.txt").read_text()
    assert re.search(r"^dagster==(\S+)", locked, re.MULTILINE)[1] == LIBRARY  # type: ignore[index]


def test_what_a_user_changes_is_in_one_place(values: Values) -> None:
    own = values["novoic"]
    assert deployment(values)["image"] == values["dagsterWebserver"]["image"] == values["dagsterDaemon"]["image"]
    assert deployment(values)["image"] == own["image"]
    text = chart.VALUES.read_text()
    for value in (own["image"]["repository"], own["databaseHost"], own["bucket"], *own["secrets"].values()):
        assert len(re.findall(rf"^[^#\n]*[ :]{re.escape(value)}\b(?!-)", text, re.MULTILINE)) == 1, value


def test_images_have_tags_that_stay(values: Values) -> None:
    images = [values["novoic"]["image"], values["busybox"]["image"]]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", image["tag"]) for image in images)
    assert values["novoic"]["image"]["tag"] == version("novoic-assets")


@pytest.mark.parametrize("part", ["dagsterWebserver", "dagsterDaemon", "code location"])
def test_every_pod_is_confined_and_sized(values: Values, part: str) -> None:
    pod = deployment(values) if part == "code location" else values[part]
    assert pod["podSecurityContext"] == run_launcher(values)["runK8sConfig"]["podSpecConfig"]["securityContext"]
    assert pod["securityContext"] == run_launcher(values)["securityContext"]
    assert pod["resources"]["requests"].keys() == {"cpu", "memory"}
    assert pod["resources"]["limits"]["memory"] == pod["resources"]["requests"]["memory"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["volumeMounts"]}
    assert mounts == {"tmp": "/tmp", "state": "/var/lib/novoic"}
    assert [volume for volume in pod["volumes"] if volume.keys() != {"name", "emptyDir"}] == []


def test_a_slow_import_is_waited_for(values: Values) -> None:
    for pod in (deployment(values), values["dagsterWebserver"], values["dagsterDaemon"]):
        probe = pod["startupProbe"]
        assert probe["enabled"] is True
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 300
        assert pod["livenessProbe"]["timeoutSeconds"] >= 10


def test_the_web_server_probes_the_port_that_it_has(values: Values) -> None:
    webserver = values["dagsterWebserver"]
    ports = {webserver[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert ports == {webserver["service"]["port"]}
    assert webserver["service"]["port"] > 1024  # on some nodes only root may bind lower ports


def test_the_pseudonym_key_is_for_runs_alone(values: Values) -> None:
    key = values["novoic"]["secrets"]["pseudonymKey"]
    assert key in [entry["name"] for entry in run_launcher(values)["envSecrets"]]
    for pod in (deployment(values), values["dagsterWebserver"], values["dagsterDaemon"]):
        assert key not in [entry["name"] for entry in pod.get("envSecrets", [])]


def test_traps_of_the_chart_are_avoided(values: Values) -> None:
    assert deployment(values)["includeConfigInLaunchedRuns"] == {"enabled": False}
    assert values["postgresql"]["enabled"] is False
    assert values["generatePostgresqlPasswordSecret"] is False
    assert "postgresqlPassword" not in values["postgresql"]
    assert values["imagePullSecrets"] == values["dagster-user-deployments"]["imagePullSecrets"]
    assert values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]["maxConcurrentRuns"] is None
    assert values["dagsterDaemon"]["runMonitoring"]["maxResumeRunAttempts"] == 0
    assert values["telemetry"]["enabled"] is False
    assert "image" not in run_launcher(values)  # it would win over the code location's


def test_values_and_manifests_name_the_same_things(values: Values) -> None:
    documents = manifests.kustomized()
    names = {(document["kind"], document["metadata"]["name"]) for document in documents}
    launcher = run_launcher(values)
    pod = launcher["runK8sConfig"]["podSpecConfig"]
    maps = {entry["name"] for part in (launcher, deployment(values)) for entry in part["envConfigMaps"]}
    maps |= {volume["configMap"]["name"] for volume in launcher["volumes"] if "configMap" in volume}
    assert {("ConfigMap", name) for name in maps} <= names
    assert ("ServiceAccount", pod["serviceAccountName"]) in names
    own = values["novoic"]
    (purge,) = [document for document in documents if document["kind"] == "CronJob"]
    (container,) = purge["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == chart.image(values)
    secrets = [entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "valueFrom" in entry]
    assert secrets == [{"name": own["secrets"]["database"], "key": "postgresql-password"}]
    settings = manifests.named("ConfigMap", "novoic-settings")["data"]
    assert {settings[name].removeprefix("s3://").split("/")[0] for name in ("NOVOIC_RAW", "NOVOIC_STORE")} == {
        own["bucket"]
    }
    assert values["computeLogManager"]["config"]["s3ComputeLogManager"]["region"]["env"] in settings


def test_the_guide_names_only_what_exists(values: Values) -> None:
    guide = GUIDE.read_text()
    for path in set(re.findall(r"(?<![\w./-])(deploy(?:-kind)?/[\w./-]*\w|helm-values\.yaml|Dockerfile)", guide)):
        assert (chart.REPOSITORY / path).exists(), path
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", guide):
        assert (GUIDE.parent / target).exists(), target
    for name in values["novoic"]["secrets"].values():
        assert f"kubectl create secret generic {name} " in guide, name
    makefile = (chart.REPOSITORY / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)", guide, re.MULTILINE)):
        assert f"\n{target}:" in makefile, target


def test_the_guide_lists_what_to_change_and_no_more(values: Values) -> None:
    guide = GUIDE.read_text()
    listed = set(re.findall(r"^\| `novoic\.([\w.]+)`", guide, re.MULTILINE))
    own = values["novoic"]
    changed = {f"{name}" for name in own if name not in ("secrets", "image")}
    changed |= {f"image.{name}" for name in ("repository", "tag")} | {"secrets"}
    assert listed == changed


def test_the_figures_of_the_guide_are_those_that_were_measured() -> None:
    measured = json.loads((GUIDE.parent / "performance.json").read_text())
    volume, engines = measured["volume"]["figures"], measured["engines"]["figures"]["engines"]
    minutes = volume["run"]["cpu_s"] / 60
    factor = engines["spark cluster"]["median_s"] / engines["pool"]["median_s"]
    gigabytes = volume["hours"] * 3600 * 16_000 * 2 / 1e9  # 16 bits, 16 kHz
    guide = GUIDE.read_text()
    assert f"{minutes:.1f} min {TIMES} {factor:.2f} ÷ c  =  {minutes * factor:.0f} min ÷ c" in guide
    assert f"{volume['sessions']:,} sessions are {minutes:.1f} minutes of CPU" in guide
    assert f"the audio, {gigabytes:.0f} GB" in guide
    assert f"{minutes * factor / 60:.2f} core-hours" in guide
    longest = measured["sessions"]["figures"]["lengths"][-1]
    hours = 1500 * longest["runs"]["2"]["cpu_s"] / (longest["sessions"] * longest["seconds"])
    prose = " ".join(guide.split())
    assert f"All families together take {hours:.1f} core-hours, at the rate of sessions of 17 minutes" in prose
    assert longest["seconds"] == 17 * 60
    assert f"{hours * factor:.1f} hours ÷ *c* with Spark: some {60 * hours * factor / 16:.0f} minutes on 16" in prose
    rows = re.findall(r"^\| (\d+)[^|]*\| (\d+) \|[^|]*\| (\d+) min \| (\d+) min \|$", guide, re.MULTILINE)
    assert len(rows) == 3
    for executors, cores, work, audio in rows:
        assert f"{minutes * factor / int(cores):.0f}" == work
        assert f"{gigabytes * 1000 / (100 * int(executors)) / 60:.0f}" == audio
