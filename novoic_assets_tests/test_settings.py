"""Settings: the values each takes, and the errors for invalid values.

The README's tables and `novoic settings` use the same descriptions; test_cli.py and test_readme.py check that.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from novoic_assets.errors import NovoicError
from novoic_assets.settings import S3_VARIABLES, VARIABLES, Settings, settings

REPOSITORY = Path(__file__).parents[1]
KEY = "a secret of 16 characters and more"

# For each setting a valid text, and the value that it gives.
GOOD = {
    "raw": ("s3://bucket/raw", "s3://bucket/raw"),
    "store": ("../lab/store", "../lab/store"),
    "workers": ("3", 3),
    "spark_master": ("local[*]", "local[*]"),
    "device": ("cuda:0", "cuda:0"),
    "spacy_model": ("a_model", "a_model"),
    "families": ("-formants,lab:FAMILY", "-formants,lab:FAMILY"),
    "covariates": ("age", "age"),
    "automation": (" nightly , new_data,", {"new_data", "nightly"}),
    "sensor_seconds": ("1", 1),
    "settle_seconds": ("0", 0),
    "pair_seconds": ("0", 0),
    "nightly_cron": ("30 4 * * 1", "30 4 * * 1"),
    "kafka_servers": ("one:9092,two:9092", "one:9092,two:9092"),
    "kafka_topic": ("events", "events"),
    "kafka_security": ("SASL_SSL", "SASL_SSL"),
    "kafka_sasl_mechanism": ("PLAIN", "PLAIN"),
    "kafka_username": ("reader", "reader"),
    "kafka_ca": ("/ca.pem", "/ca.pem"),
    "kafka_certificate": ("/certificate.pem", "/certificate.pem"),
    "kafka_key": ("/key.pem", "/key.pem"),
    "run_cpu": ("2500m", "2500m"),
    "run_memory": ("6.5Gi", "6.5Gi"),
    "pod_name": ("dagster-run-1", "dagster-run-1"),
    "pod_ip": ("10.0.0.1", "10.0.0.1"),
    "pod_namespace": ("novoic", "novoic"),
    "dagster_home": ("/history", "/history"),
    "java_home": ("/java", "/java"),
    "aws_region": ("eu-west-2", "eu-west-2"),
    "aws_endpoint_url": ("http://minio:9000", "http://minio:9000"),
    "s3_retry_seconds": ("0", 0),
}
SECRETS = {"pseudonym_key": KEY, "kafka_password": "hunter2"}

NO_NATURALS = ("two", "-1", "+1", "1.5", "1.0", "1e3", "1_000", "٣", " 2", "9" * 5000)
NO_NAMES = ("none", "tls")
# Texts that a setting refuses. A setting that is not here takes any text; the code that uses it checks what it names.
BAD = {
    "workers": NO_NATURALS,
    "device": ("gpu 0", "cuda:", "CUDA:0"),
    "pseudonym_key": ("fifteen letters",),
    "automation": ("new-data", "new_data;nightly", "new_data,never"),
    "sensor_seconds": (*NO_NATURALS, "0"),
    "settle_seconds": NO_NATURALS,
    "pair_seconds": NO_NATURALS,
    "kafka_security": NO_NAMES,
    "kafka_sasl_mechanism": NO_NAMES,
    "run_cpu": ("two", "1Gi", "-1", "1.5m", "1\n"),
    "run_memory": ("4 Gi", "4GB", "much", "4gi"),
    "s3_retry_seconds": NO_NATURALS,
}


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        for name in variable.names:
            monkeypatch.delenv(name, raising=False)


def value_of(field: str) -> object:
    value = getattr(settings(), field)
    return value.get_secret_value() if field in SECRETS else value


def test_every_setting_is_tested_here() -> None:
    assert {*GOOD, *SECRETS} == set(Settings.model_fields) == set(VARIABLES)


def test_the_defaults_are_those_that_are_shown() -> None:
    for field, variable in VARIABLES.items():
        assert variable.default == ("" if field in (*SECRETS, "automation") else str(value_of(field)))
    assert not any(value_of(field) for field in (*SECRETS, "automation"))


@pytest.mark.parametrize("field", VARIABLES)
def test_a_setting_is_read(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    text, value = GOOD[field] if field in GOOD else (SECRETS[field], SECRETS[field])
    for name in VARIABLES[field].names:
        with monkeypatch.context() as patch:
            patch.setenv(name, text)
            assert value_of(field) == value


@pytest.mark.parametrize("field", VARIABLES)
def test_an_empty_setting_is_not_set(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    default = value_of(field)
    for name in VARIABLES[field].names:
        monkeypatch.setenv(name, "")
    assert value_of(field) == default


@pytest.mark.parametrize(("field", "text"), [(field, text) for field, texts in BAD.items() for text in texts])
def test_an_invalid_setting_fails_with_one_line_that_names_it_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch, field: str, text: str
) -> None:
    variable = VARIABLES[field]
    monkeypatch.setenv(variable.name, text)
    with pytest.raises(NovoicError) as caught:
        settings()
    assert str(caught.value) == f"{variable.name} takes {variable.takes}".replace("`", "")
    assert caught.value.__context__ is None  # the text of pydantic's error quotes the value


def test_every_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVOIC_RUN_CPU", "many")
    monkeypatch.setenv("NOVOIC_WORKERS", "many")
    with pytest.raises(NovoicError) as caught:
        settings()
    assert str(caught.value) == (
        "NOVOIC_WORKERS takes a whole number, 0 or more;"
        " NOVOIC_RUN_CPU takes a quantity of Kubernetes, such as 1 or 500m"
    )


def test_the_environment_is_read_once_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    first = settings()
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    assert settings() is first
    monkeypatch.setenv("NOVOIC_WORKERS", "2")
    assert settings().workers == 2
    monkeypatch.delenv("NOVOIC_WORKERS")
    assert settings() == first


def test_a_setting_cannot_be_changed_in_the_code() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings().workers = 3  # type: ignore[misc]


def test_the_first_variable_that_is_not_empty_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://second")
    monkeypatch.setenv("AWS_ENDPOINT", "http://third")
    assert settings().aws_endpoint_url == "http://second"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://first")
    assert settings().aws_endpoint_url == "http://first"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "")
    assert settings().aws_endpoint_url == "http://second"


def test_a_secret_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for field, secret in SECRETS.items():
        monkeypatch.setenv(VARIABLES[field].name, secret)
        assert VARIABLES[field].shown() == "set"
        assert secret not in f"{settings()!r} {settings()} {settings().model_dump()} {settings().model_dump_json()}"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    assert KEY not in {variable.shown() for variable in S3_VARIABLES}


def test_what_is_shown_is_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert VARIABLES["workers"].shown() is None
    monkeypatch.setenv("NOVOIC_WORKERS", "many")
    assert VARIABLES["workers"].shown() == "many"


@pytest.mark.parametrize("variable", [*VARIABLES.values(), *S3_VARIABLES], ids=lambda variable: variable.name)
def test_every_setting_says_in_a_sentence_what_it_is_and_what_it_takes(variable: object) -> None:
    assert re.fullmatch(r"[A-Z].*\.", variable.meaning)
    assert variable.takes
    assert not variable.takes.endswith(".")


def test_every_automation_is_a_sensor_or_a_schedule() -> None:
    from typing import get_args

    from novoic_assets.definitions import defs
    from novoic_assets.settings import Automation

    repository = defs.get_repository_def()
    assert set(get_args(Automation)) == {
        *(sensor.name for sensor in repository.sensor_defs),
        *(schedule.name for schedule in repository.schedule_defs),
    }


def files_that_name_settings() -> list[Path]:
    folders = [(REPOSITORY / name).rglob("*") for name in ("deploy", "docs", "novoic_assets")]
    named = [REPOSITORY / name for name in ("helm-values.yaml", "README.md", "Dockerfile", "Makefile", "dagster.yaml")]
    suffixes = (".py", ".md", ".yaml", ".sh")
    return [*named, *(path for folder in folders for path in folder if path.suffix in suffixes)]


def test_every_named_setting_exists() -> None:
    known = {name for variable in VARIABLES.values() for name in variable.names}
    found = {
        (str(path.relative_to(REPOSITORY)), name)
        for path in files_that_name_settings()
        # NOVOIC_KAFKA_… stands for several settings.
        for name in re.findall(r"\bNOVOIC_[A-Z0-9_]*[A-Z0-9]\b", path.read_text("utf-8"))
    }
    assert {(path, name) for path, name in found if name not in known} == set()
    assert {"NOVOIC_POD_IP", "NOVOIC_RUN_CPU", "NOVOIC_PSEUDONYM_KEY"} <= {name for _, name in found}


def test_a_wrong_setting_fails_the_definitions_in_one_line() -> None:
    code = (
        "from novoic_assets.errors import NovoicError\n"
        "try:\n    import novoic_assets.definitions\n"
        "except NovoicError as error:\n    print(repr(error), error.__context__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", "PYTHONPATH": str(REPOSITORY), "NOVOIC_PSEUDONYM_KEY": "short"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "SettingError('NOVOIC_PSEUDONYM_KEY takes 16 characters or more') None\n", done.stderr
