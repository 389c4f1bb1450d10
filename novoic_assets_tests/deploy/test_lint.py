"""The linters find bad habits in the Dockerfile, ambiguous YAML and forgotten secrets."""

import subprocess
import sys
from pathlib import Path

import pytest
from detect_secrets import SecretsCollection
from detect_secrets.settings import default_settings

from novoic_assets_tests import needs
from novoic_assets_tests.deploy import chart

PROGRAMS = Path(sys.executable).parent
# Lock files consist of hashes; pictures and figures are large and generated.
LEFT_OUT = ("requirements", "docs/performance", "docs/lineage")
# Passwords of servers that a test starts and stops are no secrets; tests are still searched for keys and tokens.
WORD, TESTS = "Secret Keyword", "novoic_assets_tests/"
# Values that are no secrets: the name of a variable, and the public password of the trial.
NAMES = {"DAGSTER_PG_PASSWORD", "only-to-try"}


def lint(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [PROGRAMS / program, *arguments],
        cwd=chart.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def files() -> list[str]:
    """The files of the repository, including those not yet committed."""
    git = needs.program("git")
    if not (chart.REPOSITORY / ".git").exists():
        needs.skip("a clone", "git clone")
    command = [git, "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=chart.REPOSITORY, capture_output=True, text=True, check=True)
    return [name for name in sorted(set(listing.stdout.splitlines())) if (chart.REPOSITORY / name).is_file()]


def test_the_dockerfile_has_no_bad_habits() -> None:
    lint("hadolint", "Dockerfile")


def test_the_yaml_is_not_ambiguous() -> None:
    found = [name for name in files() if name.endswith((".yaml", ".yml"))]
    assert {"helm-values.yaml", "dagster.yaml", "deploy/base/kustomization.yaml"} <= set(found)
    lint("yamllint", "--strict", *found)


def findings(names: list[str], root: Path) -> list[str]:
    """List place and kind of everything that looks like a secret, never the secret itself."""
    secrets = SecretsCollection(root=str(root))
    with default_settings():
        for name in names:
            secrets.scan_file(name)
    known = NAMES | set(chart.load_values()["novoic"]["secrets"].values())
    return [
        f"{name}:{secret.line_number}: {secret.type}"
        for name, secret in secrets
        if _first_line(secret.secret_value or "") not in known and not (secret.type == WORD and name.startswith(TESTS))
    ]


def _first_line(value: str) -> str:
    """The scanner finds a reference to a Secret in a manifest inside a ConfigMap with all following lines."""
    return value.partition("\n")[0].removeprefix("name: ")


@pytest.mark.slow
def test_no_secret_is_in_the_repository() -> None:
    names = [name for name in files() if not name.startswith(LEFT_OUT)]
    assert len(names) > 100
    assert findings(names, chart.REPOSITORY) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("settings.yaml", "AWS_ACCESS_KEY_ID: " + "AKIA" + "QWERTZUIOPASDFGH"),
        ("settings.yaml", "password: " + "hunter" + "2hunter2"),
        (f"{TESTS}key.py", "KEY = '''-----BEGIN RSA " + "PRIVATE KEY-----'''"),
    ],
)
def test_a_secret_is_found(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(f"{line}\n")
    assert len(findings([name], tmp_path)) == 1
