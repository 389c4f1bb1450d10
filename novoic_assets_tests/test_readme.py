"""The README's commands work as described, in a copy of the repository that shares its installed packages."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from novoic_assets.cli.catalogue import with_settings
from novoic_assets.settings import S3_VARIABLES, VARIABLES
from novoic_assets_tests import needs

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
# `make test` would run these tests again, without end. In the copy it runs only a few.
NARROWED = {"make test": {"PYTEST_ADDOPTS": "novoic_assets_tests/sessions/test_listing.py"}}
# These commands serve until somebody stops them; test_ui.py and sensors/test_daemon.py test what they start.
SERVERS = dict.fromkeys(("make ui", "NOVOIC_AUTOMATION=new_data,nightly make ui"), "dagster dev -w workspace.yaml")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not all((REPOSITORY / ".venv" / stamp).exists() for stamp in ("runtime", "dev")):
        needs.skip("what make installs", "make .venv/runtime .venv/dev")
    folder = tmp_path_factory.mktemp("readme") / "clone"
    left_out = (".git", ".venv", "data", "store", ".dagster", ".hypothesis")
    shutil.copytree(REPOSITORY, folder, ignore=lambda path, names: [n for n in names if n in left_out])
    (folder / ".venv").symlink_to(REPOSITORY / ".venv")
    yield folder
    shutil.rmtree(folder)


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # Keep make from installing again, although the copied files are newer than the installed packages.
    old = "-o requirements.txt -o requirements-dev.txt -o pyproject.toml"
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("NOVOIC_", "DAGSTER_"))}
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**settings, "MAKEFLAGS": old, **NARROWED.get(command, {})},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.slow
def test_the_commands_of_the_readme_work_in_order(copy: Path) -> None:
    lab = run(".venv/bin/novoic synth ../lab/raw --sessions 12 --minutes 0.1", copy)
    assert lab.returncode == 0, lab.stderr
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    assert {"make demo", "make test"} <= set(commands)
    for command in commands:
        if command in SERVERS:
            planned = run(f"{command.replace('make', 'make -n')}", copy)
            assert SERVERS[command] in planned.stdout
            continue
        done = run(command, copy)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        if command == "make demo":
            assert "Wrote a synthetic corpus" in done.stdout
        if command in ("make demo", ".venv/bin/novoic datasets --store ../lab/store"):
            assert all(name in done.stdout for name in ("ad_vs_hc", "ad_mci_vs_hc", "ad_vs_hc_under_60")), done.stdout

    (example,) = blocks("python")
    script = subprocess.run(
        [copy / ".venv" / "bin" / "python", "-W", "error", "-c", example],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert script.returncode == 0, script.stderr


@pytest.mark.slow
def test_every_make_target_of_the_readme_exists(copy: Path) -> None:
    for target in set(re.findall(r"`make ([a-z-]+)`", README)):
        assert run(f"make -n {target}", copy).returncode == 0, target


def test_the_tables_of_the_settings_are_up_to_date() -> None:
    assert with_settings(README) == README, "run `make docs`"
    assert "| `NOVOIC_WORKERS` | `0` |" in README
    for variable in (*VARIABLES.values(), *S3_VARIABLES):
        assert README.count(f"\n| `{variable.name}`") == 1


def test_every_file_that_the_readme_links_to_exists() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (REPOSITORY / target).exists(), target
