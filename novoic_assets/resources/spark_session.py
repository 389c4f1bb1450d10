"""The Dagster resource that holds the Spark session."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import dagster as dg
from pydantic import Field, PrivateAttr

from novoic_assets.engines.spark import SparkEngine
from novoic_assets.errors import NovoicError
from novoic_assets.settings import VARIABLES, settings

if TYPE_CHECKING:
    from dagster_pyspark import LazyPySparkResource
    from pyspark.sql import SparkSession

_ANSWER_SECONDS: Final = 5.0  # s within which a master answers
_LOG_LEVEL: Final = "spark.log.level"
_ALWAYS: Final = {"spark.app.name": "novoic_assets", "spark.ui.showConsoleProgress": "false"}
_DEFAULTS: Final = {
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    # Tasks hold transcripts. Without this they pass through a plain temporary file, and Spark spills plain data.
    "spark.io.encryption.enabled": "true",
    _LOG_LEVEL: "ERROR",
}
_LOCAL: Final = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
# Patients' speech crosses the cluster's network. On Kubernetes Spark generates a secret for each session and passes it
# to the executors that it starts; on other clusters a person must distribute one.
_KUBERNETES_DEFAULTS: Final = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.authEngineVersion": "2",
    "spark.network.crypto.cipher": "AES/GCM/NoPadding",
    # Otherwise a peer can choose the older protocol, which encrypts nothing.
    "spark.network.crypto.saslFallback": "false",
}
_IMAGE: Final = "spark.kubernetes.container.image"
_IMAGE_TAG: Final = "dagster/image"  # a tag of a run: the launcher notes the image of the run's pod in it


class SparkResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic in its value, which is itself
    """A Spark session that starts on first use and stops when the run ends.

    If Spark runs already, the resource uses its session and leaves it running. The value of a Spark setting comes from
    the first of these that has it: `settings`; the pod of a run on Kubernetes; `spark-defaults.conf` in the folder
    SPARK_CONF_DIR; the defaults of this class.
    """

    master: str = Field(default_factory=lambda: settings().spark_master, description=VARIABLES["spark_master"].help)
    settings: dict[str, str] = Field(
        default={},
        description="Further settings of Spark, by their names (spark.…). Do not put secrets here: lists of processes "
        "show them. Setting spark.log.level shows Spark's own log.",
    )

    _image: str = PrivateAttr(default="")
    _lazy: "LazyPySparkResource | None" = PrivateAttr(default=None)
    _made: bool = PrivateAttr(default=False)

    @property
    def session(self) -> "SparkSession":
        """The Spark session.

        Raises:
            NovoicError: Spark cannot be started.
        """
        if self._lazy is None:
            self._lazy, self._made = _start(
                self.spark_config, self.spark_defaults, quiet=_LOG_LEVEL not in self.settings
            )
        session: SparkSession = self._lazy.spark_session
        return session

    @property
    def engine(self) -> SparkEngine:
        """The engine on the session; the session starts when the engine needs it."""
        return SparkEngine(lambda: self.session)

    @property
    def spark_config(self) -> dict[str, str]:
        """The settings of a session that override `spark-defaults.conf`."""
        of_master: dict[str, str] = {}
        if _is_local(self.master):
            of_master = _LOCAL
        elif _is_kubernetes(self.master):
            of_master = _pod()
        return {**_ALWAYS, **of_master, **self.settings, "spark.master": self.master}

    @property
    def spark_defaults(self) -> dict[str, str]:
        """The settings of a session that `spark_config` and `spark-defaults.conf` override."""
        if not _is_kubernetes(self.master):
            return dict(_DEFAULTS)
        # Executors use the image of the run that starts them, so nobody has to keep a second tag in step.
        image = {_IMAGE: self._image} if self._image else {}
        return {**_DEFAULTS, **_KUBERNETES_DEFAULTS, **image}

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Note the image of the run's pod."""
        self._image = context.run.tags.get(_IMAGE_TAG, "") if context.run is not None else ""

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's signature
        """Stop the session if this run started it."""
        if self._made and self._lazy is not None:
            self._lazy.spark_session.stop()
        self._lazy, self._made = None, False


def _start(config: dict[str, str], defaults: dict[str, str], *, quiet: bool) -> "tuple[LazyPySparkResource, bool]":
    """Start Spark in this process, unless it runs already.

    Args:
        config: Settings that override `spark-defaults.conf`.
        defaults: Settings that `spark-defaults.conf` overrides.
        quiet: Whether to hide Spark's own log.

    Returns:
        The holder of the session, and whether this call started Spark.

    Raises:
        NovoicError: Spark cannot be started. The message is one line; Spark's own messages fill pages.
    """
    from dagster_pyspark import LazyPySparkResource
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    lazy = LazyPySparkResource(spark_config=config)
    if SparkContext._active_spark_context is not None:
        return lazy, False
    master = config["spark.master"]
    if not master:
        raise NovoicError("NOVOIC_SPARK_MASTER is not set; set it to local[*], spark://host:port or k8s://https://…")
    _check_java()
    _check_answers(master)
    # Workers must run the same Python as this process, which pickles their functions.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    failed, context = "", None
    try:
        gateway = SparkContext._gateway  # one JVM serves all sessions of a process
        if gateway is None:
            launched = SparkConf().setAll(list(config.items()))
            gateway = launch_gateway(launched, {"stderr": subprocess.DEVNULL} if quiet else None)  # type: ignore[no-untyped-call]
        # Make this in the JVM, which has read spark-defaults.conf.
        conf = SparkConf(_jvm=gateway.jvm).setAll(list(config.items()))
        for name, value in defaults.items():
            conf.setIfMissing(name, value)
        context = SparkContext(conf=conf, gateway=gateway)
        # If Spark gives up its master, it stops the context a moment later, and getting a session fails.
        _ = lazy.spark_session
    except Exception as error:  # noqa: BLE001 - one line reports whatever Spark raises
        failed = type(error).__name__
    if failed:
        if context is not None:
            context.stop()
        raise NovoicError(
            f"Spark does not start ({failed}); check that Java is 17 or newer and NOVOIC_SPARK_MASTER names a running "
            "Spark; set spark.log.level=INFO among the settings of the resource to see its log"
        )
    return lazy, True


def _check_java() -> None:
    home = settings().java_home
    if not (shutil.which(Path(home, "bin", "java")) if home else shutil.which("java")):
        where = "where JAVA_HOME says" if home else "on this machine"
        raise NovoicError(
            f"NOVOIC_SPARK_MASTER is set, but there is no Java {where}; install Java 17, or unset "
            "NOVOIC_SPARK_MASTER to use worker processes instead of Spark"
        )


def _check_answers(master: str) -> None:
    """Check that something listens at the master's address; Spark itself would try for minutes."""
    addresses = _addresses(master)
    if not addresses or any(map(_listens, addresses)):
        return
    raise NovoicError(
        "no Spark master answers at NOVOIC_SPARK_MASTER; start it or correct the address, or unset "
        "NOVOIC_SPARK_MASTER to use worker processes instead of Spark"
    )


def _addresses(master: str) -> list[tuple[str, int]]:
    """Give the hosts and ports where a master listens; empty if the master is not an address."""
    scheme, _, rest = master.partition("://")
    default = 7077
    if scheme == "k8s":
        inner, _, rest = rest.rpartition("://")  # the address of the API server; https by default
        default = 80 if inner == "http" else 443
    elif scheme != "spark":
        return []
    parts = [urlsplit(f"//{part}") for part in rest.split(",")]
    try:
        return [(part.hostname or "", part.port or default) for part in parts]
    except ValueError:
        return []  # an impossible port; Spark refuses it at once


def _listens(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, _ANSWER_SECONDS):
            return True
    except OSError:
        return False


def _pod() -> dict[str, str]:
    """Give the Spark settings that describe the run's own pod, from variables that the Helm values set."""
    known = settings()
    of_pod = {
        "spark.driver.host": known.pod_ip,
        "spark.driver.bindAddress": known.pod_ip,
        # Executors belong to this pod: Kubernetes deletes them with it, however the pod ends.
        "spark.kubernetes.driver.pod.name": known.pod_name,
        "spark.kubernetes.namespace": known.pod_namespace,
    }
    return {name: value for name, value in of_pod.items() if value}


def _is_kubernetes(master: str) -> bool:
    return master.startswith("k8s://")


def _is_local(master: str) -> bool:
    return master == "local" or master.startswith(("local[", "local-cluster["))
