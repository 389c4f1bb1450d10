"""The README keeps its word: its commands and its example run as they stand, and its map leads to what exists."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from novoic_assets.cli.catalogue import with_settings
from novoic_assets.features.catalogue import ENTRY_POINTS as FAMILIES
from novoic_assets.sessions.formats.registered import ENTRY_POINTS as FORMATS
from novoic_assets.settings import S3_VARIABLES, VARIABLES
from novoic_assets.synthetic.corpus import CorpusSettings
from novoic_assets.training.files.catalogue import ENTRY_POINTS as FILES
from novoic_assets_tests import needs
from novoic_assets_tests.lab import materialize_sample
from novoic_assets_tests.test_architecture import FACE, FLOORS, PACKAGE

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
THE_CODE = README.partition("\n## The code\n")[2]
CLEARLY = 0.75  # the least AUC that the README may call close to 1
# In the copy `make test` runs one file: otherwise it would run these tests again, without end.
NARROWED = {"make test": {"PYTEST_ADDOPTS": "novoic_assets_tests/stages/test_listing.py"}}
# These serve until they are stopped; test_ui.py and sensors/test_daemon.py test what they start.
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
    # The copied files count as old, so that make does not install anything again.
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


def train_a_model(folder: Path) -> list[float]:
    """Run the README's example beside the store `store`, and return the AUCs that it prints."""
    (example,) = blocks("python")
    script = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert script.returncode == 0, script.stderr
    return [float(auc) for auc in re.findall(r"\d\.\d+", script.stdout)]


def test_the_example_trains_a_model_on_a_small_sample_corpus(tmp_path: Path) -> None:
    materialize_sample(tmp_path, CorpusSettings(sessions=20, minutes=0.1))
    aucs = train_a_model(tmp_path)
    assert len(aucs) == 2
    assert all(0.0 <= auc <= 1.0 for auc in aucs)


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

    aucs = train_a_model(copy)
    assert min(aucs) > CLEARLY


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


def test_the_map_of_the_code_names_every_room_from_the_top_down() -> None:
    *rows, ground = THE_CODE.split("```")[1].strip().splitlines()
    named = [re.findall(r"(\w+)(?:/|\.py)", row.partition("  ")[0]) for row in rows]
    named.append(ground.removeprefix("the ground").strip().split(", "))
    order = [room for floor in named for room in floor]
    floors = {room: number for number, floor in enumerate(FLOORS) for room in floor if room != FACE}
    assert sorted(order) == sorted(floors)
    assert [floors[room] for room in order] == sorted(floors.values())


def test_the_map_of_the_code_leads_to_files_and_entry_points_that_exist() -> None:
    files = re.findall(r"`([\w/]+\.py)`", THE_CODE)
    assert len(files) >= 12
    assert [name for name in files if not (PACKAGE / name).is_file()] == []
    assert set(re.findall(r"`(novoic_assets\.\w+)`", THE_CODE)) == {FAMILIES, FORMATS, FILES}
