"""The definitions load, and describe each asset: its meaning, its owner and its lineage."""

import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from novoic_assets.definitions import MATERIALIZE_ALL, defs
from novoic_assets.errors import NovoicError
from novoic_assets.resources.configured import (
    ArrivalResource,
    EngineResource,
    FeatureSettingsResource,
    PublishingResource,
    RawDataResource,
    StoreResource,
)
from novoic_assets.sensors.new_data import new_data_sensor
from novoic_assets.sensors.nightly import nightly_schedule
from novoic_assets.training.cohorts import COHORTS
from novoic_assets.training.findings import ERROR_CHECKS, WARNING_CHECKS

REPOSITORY = Path(__file__).parents[1]
DATASETS = [cohort.name for cohort in COHORTS]
LINEAGE = {
    "raw_metadata": set(),
    "raw_transcripts": set(),
    "raw_audio": set(),
    "parsed_transcripts": {"raw_transcripts"},
    "text_features": {"parsed_transcripts"},
    "audio_features": {"parsed_transcripts", "raw_audio"},
    "quarantine": {"raw_metadata", "parsed_transcripts", "text_features", "audio_features"},
    **{name: {"raw_metadata", "text_features", "audio_features"} for name in DATASETS},
}
GROUPS = {
    "raw": {"raw_metadata", "raw_transcripts", "raw_audio"},
    "parsed": {"parsed_transcripts"},
    "features": {"text_features", "audio_features"},
    "training": {"quarantine", *DATASETS},
}
CHECKS = {
    "raw_metadata": {"patients_unique", "controls_unimpaired"},
    "parsed_transcripts": {"reconciled", "patient_speech"},
    "text_features": {"reconciled", "lengths", "finite"},
    "audio_features": {"reconciled", "lengths", "finite", "audible", "within_recording", "full_scale"},
    **{name: {*ERROR_CHECKS, *WARNING_CHECKS} for name in DATASETS},
}


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_the_definitions_load() -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_lineage_is_as_designed(specs: dict[str, dg.AssetSpec]) -> None:
    assert {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in specs.items()} == LINEAGE


def test_every_asset_is_in_its_group(specs: dict[str, dg.AssetSpec]) -> None:
    groups: dict[str | None, set[str]] = {}
    for name, spec in specs.items():
        groups.setdefault(spec.group_name, set()).add(name)
    assert groups == GROUPS


@pytest.mark.parametrize("name", LINEAGE)
def test_every_asset_says_what_it_is(specs: dict[str, dg.AssetSpec], name: str) -> None:
    spec = specs[name]
    assert spec.description
    assert spec.description.strip().endswith(".") or "`" in spec.description
    assert list(spec.owners) == ["team:speech"]
    assert spec.kinds
    assert spec.code_version
    assert spec.tags["novoic/personal_data"] == "true"
    assert spec.partitions_def is None


def test_every_asset_has_its_checks() -> None:
    checks: dict[str, set[str]] = {}
    for key in defs.resolve_asset_graph().asset_check_keys:
        checks.setdefault(key.asset_key.to_user_string(), set()).add(key.name)
    assert checks == CHECKS


def test_the_job_selects_every_asset_and_check() -> None:
    job, graph = defs.resolve_job_def(MATERIALIZE_ALL), defs.resolve_asset_graph()
    assert job.asset_layer.selected_asset_keys == graph.get_all_asset_keys()
    assert set(job.asset_layer.asset_graph.asset_check_keys) == graph.asset_check_keys
    # One process: starting a process for each step takes longer than most steps.
    assert job.executor_def.name == dg.in_process_executor.name


# Publishing a dataset runs its checks; they cannot be run alone.
@pytest.mark.parametrize(
    ("asset", "check"),
    [(asset, check) for asset, names in CHECKS.items() if asset not in DATASETS for check in sorted(names)],
)
def test_every_check_of_a_stage_can_be_run_alone(asset: str, check: str) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    job = defs.resolve_job_def(MATERIALIZE_ALL).get_subset(asset_selection=set(), asset_check_selection={key})
    assert job.asset_layer.selected_asset_keys == set()


def test_the_fields_of_the_launchpad_are_the_environments_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVOIC_RAW", "/somewhere/raw")
    monkeypatch.setenv("NOVOIC_STORE", "/somewhere/store")
    monkeypatch.setenv("NOVOIC_WORKERS", "3")
    monkeypatch.setenv("NOVOIC_SPACY_MODEL", "a_model")
    monkeypatch.setenv("NOVOIC_COVARIATES", "age")
    monkeypatch.setenv("NOVOIC_SETTLE_SECONDS", "25")
    monkeypatch.setenv("NOVOIC_PAIR_SECONDS", "0")
    assert RawDataResource().root == "/somewhere/raw"
    assert StoreResource().root == "/somewhere/store"
    assert EngineResource().workers == 3
    assert FeatureSettingsResource().spacy_model == "a_model"
    assert PublishingResource().covariates == "age"
    assert (ArrivalResource().settle_seconds, ArrivalResource().pair_seconds) == (25, 0)


def automation() -> tuple[dg.SensorDefinition, dg.ScheduleDefinition]:
    """Make the sensor and the schedule from the environment."""
    return new_data_sensor(MATERIALIZE_ALL, []), nightly_schedule(MATERIALIZE_ALL, [])


def test_by_default_nothing_starts_automatically() -> None:
    sensor, schedule = defs.resolve_sensor_def("new_data"), defs.resolve_schedule_def("nightly")
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert sensor.description
    assert schedule.description
    assert sensor.job_name == schedule.job_name == MATERIALIZE_ALL
    assert sensor.minimum_interval_seconds == 15
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "UTC")


@pytest.mark.parametrize(
    ("setting", "is_on"),
    [
        ("", (False, False)),
        ("new_data", (True, False)),
        ("nightly", (False, True)),
        (" nightly , new_data,", (True, True)),
    ],
)
def test_a_setting_switches_on_what_starts_automatically(
    monkeypatch: pytest.MonkeyPatch, setting: str, is_on: tuple[bool, bool]
) -> None:
    monkeypatch.setenv("NOVOIC_AUTOMATION", setting)
    monkeypatch.setenv("NOVOIC_SENSOR_SECONDS", "7")
    monkeypatch.setenv("NOVOIC_NIGHTLY_CRON", "30 4 * * 1")
    sensor, schedule = automation()
    assert (sensor.default_status == dg.DefaultSensorStatus.RUNNING) == is_on[0]
    assert (schedule.default_status == dg.DefaultScheduleStatus.RUNNING) == is_on[1]
    assert sensor.minimum_interval_seconds == 7
    assert schedule.cron_schedule == "30 4 * * 1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOVOIC_AUTOMATION", "new-data"),
        ("NOVOIC_SENSOR_SECONDS", "0"),
        ("NOVOIC_SENSOR_SECONDS", "often"),
        ("NOVOIC_NIGHTLY_CRON", "at night"),
    ],
)
def test_an_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(NovoicError, match=name):
        automation()


def test_the_datasets_and_nothing_else_have_to_be_fresh(specs: dict[str, dg.AssetSpec]) -> None:
    policies = {name: spec.freshness_policy for name, spec in specs.items() if spec.freshness_policy}
    assert policies.keys() == set(DATASETS)
    for policy in policies.values():
        assert policy == dg.FreshnessPolicy.time_window(
            warn_window=timedelta(hours=26), fail_window=timedelta(hours=50)
        )


def test_the_instances_settings_are_valid_and_telemetry_is_off(tmp_path: Path) -> None:
    content = (REPOSITORY / "dagster.yaml").read_text().replace(".dagster", str(tmp_path / "history"))
    (tmp_path / "dagster.yaml").write_text(content)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.is_persistent
        assert not instance.telemetry_enabled
        assert instance.get_runs() == []
        assert instance.freshness_enabled  # otherwise nothing warns of stale datasets
    assert (tmp_path / "history").exists()


def test_the_workspace_names_the_definitions() -> None:
    workspace = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())
    (location,) = workspace["load_from"]
    assert location["python_module"]["module_name"] == "novoic_assets.definitions"


@pytest.mark.slow
def test_dagster_validates_the_workspace_without_a_warning_of_ours(tmp_path: Path) -> None:
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    done = subprocess.run(
        [Path(sys.executable).parent / "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "Validation successful for code location novoic_assets" in output
    warned = [line for line in output.splitlines() if "Warning" in line and "SupersessionWarning" not in line]
    assert not warned
