"""The installed `novoic` command: its output and its exit codes."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from novoic_assets.definitions import defs
from novoic_assets_tests.lab import HEADER, wav

REPOSITORY = Path(__file__).parents[1]
NOVOIC = Path(sys.executable).parent / "novoic"
KEY = "a key for the tests, not for a lab"
DATASETS = ["ad_vs_hc", "ad_mci_vs_hc", "ad_vs_hc_under_60"]
REPEATS = int(os.environ.get("NOVOIC_TEST_REPEATS", "3"))
LONG_NAME = "[red]a :cat: of a session's name that is longer than a terminal is wide, and then some"


@dataclass(frozen=True)
class Home:
    """A folder to run commands in."""

    folder: Path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOVOIC_", "DAGSTER_"))}
        return subprocess.run(
            [NOVOIC, *arguments],
            cwd=self.folder,
            env={**kept, "NOVOIC_PSEUDONYM_KEY": KEY, "COLUMNS": "80", **environment},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, subprocess.CompletedProcess[str]]]:
    """A folder with the repository's dagster.yaml, a sample corpus, a bad recording and one run."""
    home = Home(tmp_path_factory.mktemp("cli"))
    shutil.copy(REPOSITORY / "dagster.yaml", home.folder)
    synth = home.run("synth", "data", "--sessions", "5", "--minutes", "0.1")
    (home.folder / "data" / "audio" / f"{LONG_NAME}.wav").write_bytes(wav())
    return home, {"synth": synth, "materialize": home.run("materialize")}


@pytest.fixture(scope="module")
def home(made: tuple[Home, object]) -> Home:
    return made[0]


def assert_fails(done: subprocess.CompletedProcess[str], message: str) -> None:
    """Check for one line on stderr and no traceback."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("novoic: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_synth_writes_a_corpus_and_says_so(made: tuple[Home, dict[str, subprocess.CompletedProcess[str]]]) -> None:
    home, first = made
    assert first["synth"].returncode == 0
    assert re.fullmatch(r"Wrote a synthetic corpus: \d+ patients, 5 sessions, \d minutes\.\n", first["synth"].stdout)
    assert (home.folder / "data" / "metadata.csv").read_text().startswith(HEADER)


def test_materialize_publishes_and_shows_the_datasets(
    made: tuple[Home, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    home, first = made
    done = first["materialize"]
    assert done.returncode == 0, done.stderr
    for dataset in DATASETS:
        assert dataset in done.stdout
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines()), done.stderr
    assert (home.folder / "store" / "training_data" / "ad_vs_hc" / "current.json").exists()


@contextmanager
def history(home: Home) -> Iterator[dg.DagsterInstance]:
    """Open the instance of the folder's dagster.yaml, with its relative paths made absolute."""
    folder = home.folder / "instance"
    folder.mkdir(exist_ok=True)
    config = (home.folder / "dagster.yaml").read_text().replace(".dagster", str(home.folder / ".dagster"))
    (folder / "dagster.yaml").write_text(config)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


def test_dagsters_own_instance_has_the_run_and_what_it_materialized(home: Home) -> None:
    with history(home) as instance:
        runs = instance.get_runs()
        assert runs
        assert runs[-1].status == dg.DagsterRunStatus.SUCCESS
        assert runs[-1].job_name == "materialize_all"
        for key in defs.resolve_asset_graph().get_all_asset_keys():
            assert instance.get_latest_materialization_event(key), key


def test_datasets_are_shown_as_a_table_and_as_json(home: Home) -> None:
    table = home.run("datasets")
    assert table.returncode == 0
    done = home.run("datasets", "--json")
    assert done.returncode == 0
    published = json.loads(done.stdout)
    assert list(published) == DATASETS
    for name, content in published.items():
        assert name in table.stdout
        assert content["version"] in table.stdout
        assert set(content["counts"]) == {"train", "test"}


def test_the_quarantine_shows_counts_and_no_name(home: Home) -> None:
    done = home.run("quarantine")
    assert done.returncode == 0
    assert re.search(r"audio_features +no_transcript +1 +the recording has no", " ".join(done.stdout.split("│")))
    assert "cat" not in done.stdout
    (row,) = json.loads(home.run("quarantine", "--json").stdout)
    assert row == {
        "stage": "audio_features",
        "reason": "no_transcript",
        "count": 1,
        "meaning": "the recording has no transcript",
    }


def test_the_quarantine_lists_names_as_they_are_and_in_full(home: Home) -> None:
    done = home.run("quarantine", "--list", COLUMNS="60")
    assert done.returncode == 0, done.stderr
    assert "…" not in done.stdout
    (row,) = json.loads(home.run("quarantine", "--list", "--json").stdout)
    assert row["session"] == LONG_NAME
    for part in ("[red]", ":cat:"):
        assert part in "".join(done.stdout.split())


def test_a_pseudonym_is_identified(home: Home) -> None:
    from novoic_assets.training.load import load_dataset

    data = load_dataset("ad_vs_hc", home.folder / "store")
    patient, session = home.run("identify", data.patient[0]), home.run("identify", data.session[0])
    assert patient.returncode == session.returncode == 0
    rows = [line.split(",")[0] for line in (home.folder / "data" / "metadata.csv").read_text().splitlines()]
    kind, name = patient.stdout.strip().split(" ", 1)
    assert kind == "patient"
    assert name in rows[1:]
    kind, name = session.stdout.strip().split(" ", 1)
    assert kind == "session"
    assert (home.folder / "data" / "text" / f"{name}.xml").exists()
    assert_fails(home.run("identify", "P0123456789abcdef"), "has that pseudonym")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["datasets", "--store", "nowhere"], "the folder that NOVOIC_STORE names does not exist; check NOVOIC_STORE"),
        (["quarantine", "--store", "nowhere"], "run `novoic materialize` first"),
        (["identify", "P0", "--store", "nowhere"], "run `novoic materialize` first"),
        (["datasets", "--store", "dagster.yaml"], "NOVOIC_STORE"),
        (["datasets", "--store", "gs://bucket/prefix"], "NOVOIC_STORE must be a folder of this machine"),
        (["materialize", "--raw", "nowhere"], "the folder that NOVOIC_RAW names does not exist; check NOVOIC_RAW"),
        (["materialize", "--select", "no_such_asset"], "--select names no asset"),
        (["synth", "data"], "never replaces one"),
        (["synth", "other", "--minutes", "-1"], "minutes"),
    ],
)
def test_a_failure_is_one_line_and_exit_code_1(home: Home, arguments: list[str], message: str) -> None:
    assert_fails(home.run(*arguments), message)
    assert not (home.folder / "nowhere").exists()
    assert not (home.folder / "other").exists()


def test_help_answers_at_once_and_whatever_is_set(home: Home) -> None:
    for arguments in (["--help"], ["materialize", "--help"]):
        done = home.run(*arguments, NOVOIC_WORKERS="many")
        assert done.returncode == 0, done.stderr
        assert "Usage: novoic" in done.stdout
    heavy = {"dagster", "deltalake", "numpy", "obstore", "pandas", "pyarrow", "scipy", "spacy"}
    code = f"import sys, novoic_assets.cli; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_an_invalid_setting_fails_with_one_line(home: Home) -> None:
    for command in ("datasets", "materialize", "purge-history"):
        assert_fails(home.run(command, NOVOIC_WORKERS="many"), "NOVOIC_WORKERS takes a whole number, 0 or more")


@pytest.mark.parametrize("folder", ["/nowhere", ".dagster"])
def test_a_history_that_is_nowhere_is_one_line(home: Home, folder: str) -> None:
    for command in ("materialize", "purge-history"):
        assert_fails(home.run(command, DAGSTER_HOME=folder), "DAGSTER_HOME takes the absolute path of a folder")


def test_an_option_comes_before_the_environment(home: Home) -> None:
    assert_fails(home.run("datasets", NOVOIC_STORE="nowhere"), "NOVOIC_STORE names does not exist")
    assert home.run("datasets", "--store", "store", NOVOIC_STORE="nowhere").returncode == 0
    assert home.run("datasets", NOVOIC_STORE="").returncode == 0


def test_settings_shows_each_with_its_default_and_what_it_is_set_to(home: Home) -> None:
    done = home.run("settings", NOVOIC_WORKERS="3", AWS_DEFAULT_REGION="eu-west-2")
    assert done.returncode == 0, done.stderr
    assert "\nNOVOIC_WORKERS: set to 3\n      Number of worker processes if Spark is not used;" in done.stdout
    assert "\nNOVOIC_RAW: default data\n" in done.stdout
    assert "\nNOVOIC_FAMILIES: not set\n" in done.stdout
    assert "\nAWS_REGION, AWS_DEFAULT_REGION: set to eu-west-2\n" in done.stdout
    assert "\nNOVOIC_PSEUDONYM_KEY: set\n" in done.stdout
    assert KEY not in done.stdout


def test_settings_as_json_keeps_secrets(home: Home) -> None:
    done = home.run("settings", "--json", NOVOIC_WORKERS="3", AWS_SECRET_ACCESS_KEY=KEY)
    assert KEY not in done.stdout
    told = {setting["names"][0]: setting for setting in json.loads(done.stdout)}
    assert told["NOVOIC_WORKERS"] == {
        "names": ["NOVOIC_WORKERS"],
        "value": "3",
        "secret": False,
        "default": "0",
        "takes": "a whole number, 0 or more",
        "meaning": "Number of worker processes if Spark is not used; 0 means one for each core.",
    }
    assert (told["NOVOIC_RAW"]["value"], told["NOVOIC_RAW"]["default"]) == (None, "data")
    assert told["AWS_SECRET_ACCESS_KEY"]["value"] == told["NOVOIC_PSEUDONYM_KEY"]["value"] == "set"


def test_settings_shows_the_invalid_value_and_then_fails(home: Home) -> None:
    done = home.run("settings", NOVOIC_WORKERS="many")
    assert done.returncode == 1
    assert "NOVOIC_WORKERS: set to many\n" in done.stdout
    assert done.stderr == "novoic: NOVOIC_WORKERS takes a whole number, 0 or more\n"


def test_settings_writes_its_tables_between_the_marks_of_a_page(home: Home, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("A.\n<!-- settings -->\n<!-- end of the settings -->\nB.\n<!-- S3 settings -->\n")
    message = "--into cannot rewrite this page; name a readable UTF-8 page that has the marks of the settings"
    assert_fails(home.run("settings", "--into", str(page)), message)
    with page.open("a") as file:
        file.write("old\n<!-- end of the S3 settings -->\nC.\n")
    assert home.run("settings", "--into", str(page)).returncode == 0
    own, s3 = page.read_text().split("\nB.\n")
    assert "| `NOVOIC_WORKERS` | `0` | a whole number, 0 or more |" in own
    assert "| `NOVOIC_S3_RETRY_SECONDS` | `60` |" in s3
    assert "old" not in s3


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["datasets", "--no-such-option"], ["synth", "x", "--sessions", "0"]]
)
def test_wrong_usage_is_exit_code_2(home: Home, arguments: list[str]) -> None:
    done = home.run(*arguments)
    assert done.returncode == 2
    assert "Usage: novoic" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "asset", sorted(key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys())
)
def test_every_asset_can_be_selected_alone(asset: str) -> None:
    defs.resolve_job_def("materialize_all").get_subset(asset_selection={dg.AssetKey(asset)})


def test_select_runs_the_selected_asset_alone(home: Home) -> None:
    done = home.run("materialize", "--select", "text_features")
    assert done.returncode == 0, done.stderr
    with history(home) as instance:
        (run,) = instance.get_runs(limit=1)
        records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    assert [record.asset_key.to_user_string() for record in records] == ["text_features"]


@pytest.mark.slow
def test_materialize_again_changes_nothing(home: Home) -> None:
    before = home.run("datasets", "--json").stdout
    assert home.run("materialize").returncode == 0
    assert home.run("datasets", "--json").stdout == before


@pytest.mark.slow
def test_corrupt_metadata_is_one_line(home: Home) -> None:
    metadata = home.folder / "data" / "metadata.csv"
    content = metadata.read_text()
    metadata.write_text("speakerid;age\nP1;60\n")
    done = home.run("materialize")
    metadata.write_text(content)
    assert_fails(done, "raw_metadata: the metadata lacks the columns speakerid, age, gender")
    assert home.run("datasets").returncode == 0


@pytest.mark.slow
def test_demo_takes_a_corpus_that_is_there_and_shows_the_datasets(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.run("synth", "data", "--sessions", "12", "--minutes", "0.1").returncode == 0
    done = home.run("demo")
    assert done.returncode == 0, done.stderr
    assert "Wrote" not in done.stdout
    for dataset in DATASETS:
        assert re.search(rf"\b{dataset}\b.* [0-9a-f]{{16}} ", done.stdout)


@pytest.mark.slow
def test_commands_that_make_the_history_at_once_do_not_hinder_each_other(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    with ThreadPoolExecutor(4) as threads:
        for done in threads.map(lambda _: Home(tmp_path).run("purge-history"), range(4)):
            assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["datasets"], 0),
        (["datasets", "--store", "nowhere"], 1),
        (["quarantine"], 0),
        (["quarantine", "--list"], 0),
        (["quarantine", "--store", "nowhere"], 1),
        (["identify", "PSEUDONYM"], 0),
        (["identify", "P0123456789abcdef"], 1),
        (["materialize"], 0),
        (["materialize", "--raw", "nowhere"], 1),
    ],
)
@pytest.mark.timeout(600)
def test_again_and_again_a_command_ends_as_it_should(home: Home, arguments: list[str], code: int) -> None:
    # Libraries that start threads have aborted short processes at their exit.
    if arguments[-1] == "PSEUDONYM":
        from novoic_assets.training.load import load_dataset

        arguments = ["identify", load_dataset("ad_vs_hc", home.folder / "store").session[0]]
    assert [home.run(*arguments).returncode for _ in range(REPEATS)] == [code] * REPEATS
