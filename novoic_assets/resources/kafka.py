"""The Dagster resource of a Kafka topic: its settings."""

import os
from collections.abc import Mapping
from typing import Any, Final

import dagster as dg
from pydantic import Field

from novoic_assets.errors import NovoicError
from novoic_assets.resources.topic import (
    CA,
    CERTIFICATE,
    GROUP,
    KEY,
    LIMIT,
    MECHANISM,
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

_SECURITIES: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class KafkaResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic in its value, which is itself
    """The topic that tells of new data. The password is read from the environment alone: a field would show it."""

    servers: str = Field(
        default_factory=lambda: os.environ.get(SERVERS, ""),
        description=f"Brokers to begin with, host:port with commas between them ({SERVERS}).",
    )
    topic: str = Field(
        default_factory=lambda: os.environ.get(TOPIC, ""),
        description=f"The topic ({TOPIC}).",
    )
    security: str = Field(
        default_factory=lambda: os.environ.get(SECURITY) or "PLAINTEXT",
        description=f"One of {', '.join(_SECURITIES)} ({SECURITY}).",
    )
    sasl_mechanism: str = Field(
        default_factory=lambda: os.environ.get(MECHANISM) or "SCRAM-SHA-512",
        description=f"With SASL, one of {', '.join(_MECHANISMS)} ({MECHANISM}).",
    )
    username: str = Field(
        default_factory=lambda: os.environ.get(USERNAME, ""),
        description=f"With SASL, the user ({USERNAME}); the password is {PASSWORD}, in the environment.",
    )
    ca: str = Field(
        default_factory=lambda: os.environ.get(CA, ""),
        description=f"With SSL, a file of the certificates to trust, unless the machine's own do ({CA}).",
    )
    certificate: str = Field(
        default_factory=lambda: os.environ.get(CERTIFICATE, ""),
        description=f"With SSL, a file with the client's certificate, where the brokers ask for one ({CERTIFICATE}).",
    )
    key: str = Field(
        default_factory=lambda: os.environ.get(KEY, ""),
        description=f"The file of that certificate's key ({KEY}).",
    )

    def read(self, judge: Judge, offsets: Mapping[int, int], limit: int = LIMIT, seconds: float = SECONDS) -> Batch:
        """Read what has come since the last time, as `read_topic` says."""
        return read_topic(self.client_settings(), self.topic, judge, offsets, limit, seconds)

    def client_settings(self) -> dict[str, Any]:
        """The settings as librdkafka names them.

        Raises:
            NovoicError: A setting is missing or cannot be right.
        """
        for name, value in ((SERVERS, self.servers), (TOPIC, self.topic)):
            if not value:
                raise NovoicError(f"set {name}, the {'brokers' if name == SERVERS else 'topic'} to read")
        _require(SECURITY, self.security, _SECURITIES)
        settings: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "security.protocol": self.security,
            "client.id": GROUP,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",  # an offset that is not there is to be told, not mended in silence
            "fetch.wait.max.ms": 100,
            "log_level": 0,  # it would write to stderr, and quote what it likes
        }
        if self.security.startswith("SASL"):
            _require(MECHANISM, self.sasl_mechanism, _MECHANISMS)
            password = os.environ.get(PASSWORD, "")
            if not self.username or not password:
                raise NovoicError(f"{SECURITY} is {self.security}: set {USERNAME} and {PASSWORD}")
            settings |= {
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
            settings |= {name: path for name, path in files.items() if path}
        return settings


def _require(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise NovoicError(f"{name} must be one of {', '.join(allowed)}")
