"""A SeaweedFS server on this machine's loopback: an S3 service for tests.

    with seaweedfs(folder) as server:
        server.make_bucket("lab")
        store = S3Store("lab", endpoint=server.endpoint, access_key_id=server.access_key,
                        secret_access_key=server.secret_key, region=server.region,
                        client_options={"allow_http": True})

- `endpoint`, `access_key`, `secret_key`, `region`: address and credentials. The server refuses all other requests.
- `environment`: the same as environment variables of AWS's own tools, which obstore and deltalake read too.
- `make_bucket(name)`: creates a bucket; the server creates none by itself.
- `stop()`: ends the server as a power cut would. `start()`: starts it again, with the same ports, credentials and data.
- `pause()`, `resume()`: stop and restart its answers, while connections stay open.

The server opens only free ports of 127.0.0.1, so several servers can run at once.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError

import obstore
from obstore.store import S3Store

_HOST = "127.0.0.1"
_REGION = "us-east-1"
_START_SECONDS = 30.0
_ATTEMPTS = 3
_SERVICES = ("master", "volume", "filer", "s3")
_ADMIN_OFFSET = 10_000  # its worker expects the admin service's second port at this offset, whatever the options say


class SeaweedFS:
    """One server, with its address and credentials."""

    def __init__(self, folder: Path, notify: tuple[str, str] | None = None) -> None:
        """Choose ports and credentials; `start` starts the server.

        Args:
            folder: The folder for its data and its log.
            notify: Address of a Kafka broker and the topic for a message about each change; None sends no messages.
        """
        self.access_key = "novoic-tests"
        self.secret_key = secrets.token_hex(16)
        self.region = _REGION
        self._folder = folder
        self._notify = notify
        self._ports = _choose_ports()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """The address of its S3 service."""
        return f"http://{_HOST}:{self._ports['s3.port']}"

    @property
    def environment(self) -> Mapping[str, str]:
        """Address and credentials as environment variables."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def make_bucket(self, name: str) -> None:
        """Create a bucket, unless it exists."""
        store = S3Store(
            name,
            endpoint=self.endpoint,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            region=self.region,
            client_options={"allow_http": True},
        )
        # obstore cannot create buckets, but it can sign requests: a PUT to the address of a bucket creates it.
        address = obstore.sign(store, "PUT", "", timedelta(minutes=1))
        try:
            with urllib.request.urlopen(urllib.request.Request(address, method="PUT"), timeout=30):
                pass
        except HTTPError as error:
            if error.code != 409:  # the bucket exists
                raise

    def start(self) -> None:
        """Start the server and wait until it can store data.

        Raises:
            TimeoutError: The server did not start; its log says why.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._notify is not None:
            address, topic = self._notify
            lines = ["[notification.kafka]", "enabled = true", f'hosts = ["{address}"]', f'topic = "{topic}"']
            (self._folder / "notification.toml").write_text("\n".join(lines))
        arguments = {
            "dir": ".",
            "ip": _HOST,
            "ip.bind": _HOST,
            "master.telemetry": "false",
            # A new bucket takes seven volumes; their files grow only as data are written.
            "master.volumeSizeLimitMB": "64",
            "volume.max": "200",
            "webdav": "false",
            "admin.ui": "false",
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
            "s3.autoCreateBucket": "false",
            **{name: str(port) for name, port in self._ports.items()},
        }
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).parent / "weed"), "mini", *(f"-{k}={v}" for k, v in arguments.items())],
                cwd=self._folder,
                env={
                    "PATH": os.environ.get("PATH", ""),
                    "HOME": str(self._folder),
                    "AWS_ACCESS_KEY_ID": self.access_key,
                    "AWS_SECRET_ACCESS_KEY": self.secret_key,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise TimeoutError("SeaweedFS did not start")
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill the server."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        for port in self._ports.values():
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # where SeaweedFS keeps its sockets
                path.unlink(missing_ok=True)

    def pause(self) -> None:
        """Suspend the server: connections stay open without answers."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after `pause`."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=5):
                pass
            master = f"http://{_HOST}:{self._ports['master.port']}/dir/status"
            with urllib.request.urlopen(master, timeout=5) as answer:
                return bool(json.load(answer)["Topology"]["Max"] > 0)  # room on a volume server
        except (OSError, ValueError, KeyError):
            return False


@contextmanager
def seaweedfs(folder: Path, notify: tuple[str, str] | None = None) -> Iterator[SeaweedFS]:
    """Run a server while the context lasts.

    Args:
        folder: The folder for its data and its log.
        notify: Address of a Kafka broker and the topic for a message about each change; None sends no messages.

    Yields:
        The server, ready to store data.

    Raises:
        TimeoutError: The server did not start.
    """
    for attempt in range(_ATTEMPTS):  # another process may take a port between the search for free ports and the start
        server = SeaweedFS(folder / str(attempt), notify)
        try:
            server.start()
        except TimeoutError:
            continue
        try:
            yield server
        finally:
            server.stop()
        return
    raise TimeoutError("SeaweedFS did not start")


def free_ports(count: int) -> list[int]:
    """Find different ports of the loopback where nothing listens now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((_HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _choose_ports() -> Mapping[str, int]:
    options = [f"{service}.{option}" for service in _SERVICES for option in ("port", "port.grpc")]
    *ports, admin = sorted(free_ports(len(options) + 8), reverse=True)
    return {
        **dict(zip(options, ports, strict=False)),
        "admin.port": admin,
        "admin.port.grpc": admin + _ADMIN_OFFSET,
    }
