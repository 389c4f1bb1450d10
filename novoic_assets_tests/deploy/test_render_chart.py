"""`make helm-template` on small charts, since Dagster's own is not part of this repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helm_python.chart import Chart

from novoic_assets_tests.deploy import chart, render_chart

TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-daemon
  namespace: {{ .Release.Namespace }}
spec:
  selector: {matchLabels: {app: daemon}}
  template:
    metadata: {labels: {app: daemon}}
    spec:
      securityContext: {{ .Values.dagsterDaemon.podSecurityContext | toYaml | nindent 8 }}
      containers:
        - name: daemon
          image: "{{ .Values.dagsterDaemon.image.repository }}:{{ .Values.dagsterDaemon.image.tag }}"
          livenessProbe: {{ .Values.dagsterDaemon.livenessProbe | toYaml | nindent 12 }}
          resources: {{ .Values.dagsterDaemon.resources | toYaml | nindent 12 }}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder of a chart with one template."""
    folder = tmp_path / "dagster"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: dagster\nversion: 1.13.27\n")
    (folder / "values.yaml").write_text("dagsterDaemon: {}\n")
    (folder / "templates" / "deployment.yaml").write_text(TEMPLATE)
    return folder


def helm_template(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "novoic_assets_tests.deploy.render_chart", *arguments],
        cwd=chart.REPOSITORY,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_values_go_through_helms_engine_into_valid_manifests(source: Path) -> None:
    (deployment,) = render_chart.render(source, chart.load_values())
    pod = deployment["spec"]["template"]["spec"]
    assert deployment["metadata"] == {"name": "novoic-daemon", "namespace": "novoic"}
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["containers"][0]["image"] == chart.image(chart.load_values())
    assert render_chart.faults([deployment]) == []


def test_the_command_takes_an_archive(source: Path, tmp_path: Path) -> None:
    with Chart.load(source) as loaded:
        archive = loaded.save(tmp_path)
    done = helm_template(archive)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 manifests, valid for Kubernetes 1.30")


def test_a_field_that_kubernetes_does_not_know_is_reported(source: Path) -> None:
    template = source / "templates" / "deployment.yaml"
    template.write_text(TEMPLATE.replace("resources:", "resource:"))
    done = helm_template(source)
    assert done.returncode == 1
    assert "Deployment novoic-daemon" in done.stderr
    assert "'resource' was unexpected" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_chart_is_reported_in_one_line(tmp_path: Path) -> None:
    done = helm_template(tmp_path / "nothing")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_instance_that_differs_from_that_of_the_tests_is_reported() -> None:
    config = chart.instance_config(chart.load_values())
    config["run_retries"]["max_retries"] = 0
    config["retention"]["sensor"]["purge_after_days"]["started"] = -1  # a default of the chart's
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "novoic-dagster-instance"},
        "data": {"dagster.yaml": yaml.safe_dump(config)},
    }
    assert render_chart.faults([manifest]) == ["dagster.yaml: run_retries.max_retries: expected 3, rendered 0"]


def test_dagsters_own_chart_renders(dagster_chart: Path) -> None:
    rendered = render_chart.render(dagster_chart, chart.load_values())
    assert render_chart.faults(rendered) == []
    names = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in rendered}
    assert {("ConfigMap", "novoic-dagster-instance"), ("Deployment", "novoic-dagster-daemon")} <= names
    assert "Secret" not in {kind for kind, _ in names}
