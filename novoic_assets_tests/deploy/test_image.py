"""The image: its entrypoint, and the real Dockerfile, built and run as in a pod."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from novoic_assets_tests.deploy import spark_run
from novoic_assets_tests.deploy.containers import REPOSITORY, USER, Builder, Image, skip_where_no_image_can_be_built
from novoic_assets_tests.deploy.kubelet import DRIVER_IP, Kubelet
from novoic_assets_tests.deploy.manifests import DEPLOY, named
from novoic_assets_tests.deploy.pods_api import pods_api

ENTRYPOINT = DEPLOY.parent / "image" / "entrypoint.sh"
EXECUTOR = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@10.0.0.1:7078",
    "SPARK_EXECUTOR_ID": "1",
    "SPARK_EXECUTOR_CORES": "2",
    "SPARK_EXECUTOR_MEMORY": "1024m",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.2",
    "SPARK_EXECUTOR_POD_NAME": "novoic-assets-exec-1",
    "SPARK_RESOURCE_PROFILE_ID": "0",
}
# A pod's folder for the token of its service account; its /var/run is a link to /run.
ACCOUNT = "run/secrets/kubernetes.io/serviceaccount"


class TestEntrypoint:
    """The entrypoint, with stand-ins for Java and spark-submit that print their arguments."""

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        """A folder for JAVA_HOME and SPARK_HOME."""
        (tmp_path / "bin").mkdir()
        for name in ("java", "spark-submit"):
            script = tmp_path / "bin" / name
            script.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
            script.chmod(0o755)
        return tmp_path

    def start(self, home: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        places = {"PATH": os.environ["PATH"], "JAVA_HOME": str(home), "SPARK_HOME": str(home)}
        return subprocess.run(
            [ENTRYPOINT, *arguments], env=places | environment, capture_output=True, text=True, check=False
        )

    def test_an_executor_is_what_spark_asks_for(self, home: Path) -> None:
        done = self.start(home, "executor", **EXECUTOR, SPARK_CONF_DIR="/opt/spark/conf")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[:4] == ["-Xms1024m", "-Xmx1024m", "-cp", f"/opt/spark/conf:{home}/jars/*"]
        assert lines[4] == "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
        assert dict(zip(lines[5::2], lines[6::2], strict=True)) == {
            "--driver-url": "spark://CoarseGrainedScheduler@10.0.0.1:7078",
            "--executor-id": "1",
            "--cores": "2",
            "--app-id": "spark-1",
            "--hostname": "10.0.0.2",
            "--resourceProfileId": "0",
            "--podName": "novoic-assets-exec-1",
        }

    def test_java_options_keep_their_order_and_their_spaces(self, home: Path) -> None:
        options = [f"-Dnumber={number} of 12" for number in range(12)]
        variables = {f"SPARK_JAVA_OPT_{number}": option for number, option in enumerate(options)}
        done = self.start(home, "executor", **EXECUTOR, **variables)
        assert done.stdout.splitlines()[:12] == options

    @pytest.mark.parametrize("name", sorted(EXECUTOR))
    def test_an_executor_that_is_told_too_little_says_so(self, home: Path, name: str) -> None:
        done = self.start(home, "executor", **{key: value for key, value in EXECUTOR.items() if key != name})
        assert done.returncode == 2
        assert name in done.stderr
        assert done.stderr.count("\n") == 1

    def test_a_driver_is_a_spark_submit_in_client_mode(self, home: Path) -> None:
        done = self.start(home, "driver", "--class", "Main", "local:///a b.py", SPARK_DRIVER_BIND_ADDRESS="10.0.0.1")
        assert done.stdout.splitlines() == [
            *("--conf", "spark.driver.bindAddress=10.0.0.1"),
            *("--deploy-mode", "client", "--class", "Main", "local:///a b.py"),
        ]

    def test_anything_else_is_run_as_it_is(self, home: Path) -> None:
        done = self.start(home, "bash", "-c", 'echo "$1"; exit 7', "bash", "two words")
        assert (done.returncode, done.stdout) == (7, "two words\n")

    def test_without_a_command_it_says_so(self, home: Path) -> None:
        done = self.start(home)
        assert done.returncode == 2
        assert "give a command" in done.stderr


def test_the_tag_in_the_dockerfile_is_the_version() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    ours = version("novoic-assets")
    assert f'org.opencontainers.image.version="{ours}"' in text
    assert f"--tag novoic-assets:{ours}" in text


def test_the_user_of_the_image_is_the_user_of_the_pods() -> None:
    assert re.search(rf"^USER {USER}:{USER}$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert f"runAsUser: {USER}" in named("ConfigMap", "novoic-spark")["data"]["executor-pod.yaml"]


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    skip_where_no_image_can_be_built()
    builder = Builder(tmp_path_factory.mktemp("images"))
    yield builder
    builder.clear()


@pytest.fixture(scope="module")
def image(builder: Builder) -> Image:
    return builder.project()


@pytest.mark.slow
@pytest.mark.timeout(1500)
class TestImage:
    """The image that the Dockerfile builds."""

    def test_data_stay_out_of_a_build(self, builder: Builder, tmp_path: Path) -> None:
        (tmp_path / ".dockerignore").write_text((REPOSITORY / ".dockerignore").read_text())
        (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        let_in = ["LICENSE", "README.md", "pyproject.toml", "requirements-kubernetes.txt", "deploy/image/entrypoint.sh"]
        let_in += ["novoic_assets/settings.py", "novoic_assets/cli/runs.py"]
        kept_out = ["data/audio/S001.wav", "metadata.csv", "store/restricted/pseudonym.key", ".env", ".git/config"]
        kept_out += ["novoic_assets/S001.xml", "novoic_assets/sessions/S001.wav", "deploy/base/spark.yaml", "secret.py"]
        for name in let_in + kept_out:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
        root = builder.build(tmp_path, "context").root
        assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == set(let_in)

    def test_its_containers_are_not_root(self, image: Image, tmp_path: Path) -> None:
        assert image.config["User"] == f"{USER}:{USER}"
        done = image.run(tmp_path, "bash", "-c", "id -u; id -un; grep -E 'CapEff|NoNewPrivs' /proc/self/status")
        assert done.stdout.split() == [str(USER), "novoic", "CapEff:", "0000000000000000", "NoNewPrivs:", "1"]

    def test_nothing_can_be_written_but_what_is_mounted(self, image: Image, tmp_path: Path) -> None:
        script = (
            'for name in / /opt/novoic /etc /tmp "$HOME"; do touch "$name/x" 2>/dev/null && echo "$name"; done; true'
        )
        assert image.run(tmp_path, "bash", "-c", script).stdout.split() == ["/tmp", "/var/lib/novoic"]

    def test_it_holds_no_compiler_no_cache_and_nothing_that_its_user_could_change(self, image: Image) -> None:
        tools = {"gcc", "cc", "g++", "c++", "make", "javac", "git", "pip", "pip3", "hatchling", "curl", "wget"}
        folders = [image.root / name for name in ("usr/bin", "usr/local/bin", "opt/novoic/venv/bin")]
        assert not tools & {path.name for folder in folders for path in folder.iterdir()}
        for name in ("var/lib/apt/lists", "var/cache/apt/archives", "root"):
            assert not [
                path for path in (image.root / name).rglob("*.*") if path.is_file() and path.stat().st_size > 4096
            ]
        ours = [path for path in (image.root / "opt").rglob("*") if not path.is_symlink()]
        assert len(ours) > 10_000
        assert not [path for path in ours if path.stat().st_uid != 0 or path.stat().st_mode & 0o022]

    def test_every_module_is_there_with_its_bytecode(self, image: Image) -> None:
        package = image.root / "opt/novoic/venv/lib/python3.11/site-packages/novoic_assets"
        sources = {path.relative_to(package) for path in package.rglob("*.py")}
        there = {
            path.relative_to(REPOSITORY / "novoic_assets") for path in (REPOSITORY / "novoic_assets").rglob("*.py")
        }
        assert sources == there
        for source in sources:
            compiled = package / source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc"
            flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
            assert flags == 0b01  # valid by a hash of the source that is never checked: PEP 552

    def test_no_secret_is_among_its_variables(self, image: Image) -> None:
        assert not [name for name in image.environment if re.search("KEY|TOKEN|PASSWORD|SECRET|NOVOIC|AWS|PIP", name)]

    def test_it_is_web_server_daemon_and_code_location_too(self, image: Image, tmp_path: Path) -> None:
        imports = "import dagster_aws, dagster_k8s, dagster_postgres, confluent_kafka, dagster_webserver"
        for command in (["python", "-c", imports], ["dagster-webserver", "--version"], ["dagster-daemon", "--version"]):
            done = image.run(tmp_path, *command)
            assert done.returncode == 0, done.stderr

    def test_the_main_job_runs_in_it(self, image: Image, tmp_path: Path) -> None:
        done = image.run(tmp_path, "novoic", "demo")
        assert done.returncode == 0, done.stdout + done.stderr
        for name in ("ad_vs_hc", "ad_mci_vs_hc", "ad_vs_hc_under_60"):
            assert (tmp_path / "var-lib-novoic/store/training_data" / name / "current.json").exists()

    def test_a_run_in_it_works_with_executors_in_it(self, image: Image, tmp_path: Path) -> None:
        conf = image.root / "etc/novoic/spark"
        conf.mkdir(parents=True)
        for name, content in named("ConfigMap", "novoic-spark")["data"].items():
            (conf / name).write_text(content)
        account = image.root / ACCOUNT
        account.mkdir(parents=True)
        kubelet = Kubelet(tmp_path / "pods", image.command, lambda _: image.environment)
        rules = named("Role", "novoic-spark-driver")["rules"]
        with pods_api(tmp_path, rules, "novoic", kubelet.start) as api:
            (account / "token").write_text(api.token)
            (account / "ca.crt").write_bytes(api.authority.read_bytes())
            api.add({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dagster-run-1"}, "spec": {}})
            pod = tmp_path / "driver"
            image.command(pod)
            (pod / "tmp" / "spark_run.py").write_text(Path(spark_run.__file__).read_text())
            done = image.run(
                pod,
                *("python", "/tmp/spark_run.py", "novoic-assets:0.1.0", json.dumps({"spark.executor.memory": "600m"})),
                environment={
                    "NOVOIC_SPARK_MASTER": f"k8s://{api.url}",
                    "NOVOIC_POD_NAME": "dagster-run-1",
                    "NOVOIC_POD_IP": DRIVER_IP,
                    "NOVOIC_POD_NAMESPACE": "novoic",
                    "SPARK_CONF_DIR": "/etc/novoic/spark",
                },
            )
            logs = "\n".join(path.read_text()[-3000:] for path in (tmp_path / "pods").glob("*.log"))
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
            made = set(api.made)
        result = json.loads(done.stdout)
        assert result["success"]
        assert len(result["rows"]) == 40
        assert {row["host"] for row in result["rows"]} == made
        assert len(made) == 2
