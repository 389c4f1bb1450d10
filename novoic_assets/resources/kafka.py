"""The Dagster resource of a Kafka topic: its settings."""

from collections.abc import Mapping
from typing import Any, get_args

import dagster as dg
from pydantic import Field

from novoic_assets.errors import NovoicError
from novoic_assets.resources.topic import (
    CERTIFICATE,
    GROUP,
    KEY,
    LIMIT,
    PASSWORD,
    SECONDS,
    SECURITY,
    SERVERS,
    TOPIC,
    USERNAME,
    Batch,
    Judge,
    read_topic,
)
from novoic_assets.settings import VARIABLES, KafkaSecurity, SaslMechanism, settings


class KafkaResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic in its value, which is itself
    """The topic that announces new data. Only the environment holds the password: a field would show it."""

    servers: str = Field(default_factory=lambda: settings().kafka_servers, description=VARIABLES["kafka_servers"].help)
    topic: str = Field(default_factory=lambda: settings().kafka_topic, description=VARIABLES["kafka_topic"].help)
    security: str = Field(
        default_factory=lambda: settings().kafka_security, description=VARIABLES["kafka_security"].help
    )
    sasl_mechanism: str = Field(
        default_factory=lambda: settings().kafka_sasl_mechanism, description=VARIABLES["kafka_sasl_mechanism"].help
    )
    username: str = Field(
        default_factory=lambda: settings().kafka_username, description=VARIABLES["kafka_username"].help
    )
    ca: str = Field(default_factory=lambda: settings().kafka_ca, description=VARIABLES["kafka_ca"].help)
    certificate: str = Field(
        default_factory=lambda: settings().kafka_certificate, description=VARIABLES["kafka_certificate"].help
    )
    key: str = Field(default_factory=lambda: settings().kafka_key, description=VARIABLES["kafka_key"].help)

    def read(self, judge: Judge, offsets: Mapping[int, int], limit: int = LIMIT, seconds: float = SECONDS) -> Batch:
        """Read the messages that arrived since the last read; see `read_topic`."""
        return read_topic(self.client_settings(), self.topic, judge, offsets, limit, seconds)

    def client_settings(self) -> dict[str, Any]:
        """Give the settings under the names of librdkafka.

        Raises:
            NovoicError: A setting is missing or invalid.
        """
        for name, value in ((SERVERS, self.servers), (TOPIC, self.topic)):
            if not value:
                raise NovoicError(f"set {name}, the {'brokers' if name == SERVERS else 'topic'} to read")
        _require("kafka_security", self.security, KafkaSecurity)
        config: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "security.protocol": self.security,
            "client.id": GROUP,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",  # report a missing offset instead of silently starting elsewhere
            "fetch.wait.max.ms": 100,
            "log_level": 0,  # librdkafka would write to stderr and quote anything
        }
        if self.security.startswith("SASL"):
            _require("kafka_sasl_mechanism", self.sasl_mechanism, SaslMechanism)
            password = settings().kafka_password.get_secret_value()
            if not self.username or not password:
                raise NovoicError(f"{SECURITY} is {self.security}, which needs a login: set {USERNAME} and {PASSWORD}")
            config |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.username,
                "sasl.password": password,
            }
        if self.security.endswith("SSL"):
            if bool(self.certificate) != bool(self.key):
                raise NovoicError(f"{CERTIFICATE} and {KEY} go together: set both or neither")
            files = {
                "ssl.ca.location": self.ca,
                "ssl.certificate.location": self.certificate,
                "ssl.key.location": self.key,
            }
            config |= {name: path for name, path in files.items() if path}
        return config


def _require(setting: str, value: str, choices: object) -> None:
    if value not in get_args(choices):
        raise VARIABLES[setting].refusal
