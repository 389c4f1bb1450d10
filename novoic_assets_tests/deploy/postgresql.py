"""A PostgreSQL server for tests, on loopback, with a password as a lab's server has."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from novoic_assets_tests import needs
from novoic_assets_tests.processes import PATIENCE

HOST = "127.0.0.1"
USER = "novoic"
PASSWORD = "only for tests"
_DEBIAN = Path("/usr/lib/postgresql")
_DEBIAN_USER = "postgres"


@dataclass
class PostgreSQL:
    """A server and its data.

    Attributes:
        programs: The folder of its programs.
        folder: The folder of its data and its log.
        port: Where it listens.
    """

    programs: Path
    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                *(self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port)),
                *("-c", f"listen_addresses={HOST}", "-c", f"unix_socket_directories={self.folder}"),
                *("-c", "fsync=off"),  # data survive a killed process, though not a crashed machine
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
            **_as_user(),
        )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, "PostgreSQL does not answer"
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the server and all its connections, as a crashed machine would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            # With this file it would refuse to start, taking another process for itself.
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def make_database(self, name: str) -> None:
        """Make an empty database."""
        connection = psycopg2.connect(host=HOST, port=self.port, user=USER, password=PASSWORD, dbname="postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}"')
        connection.close()

    def connect(self, name: str) -> "psycopg2.extensions.connection":
        """A connection to a database."""
        return psycopg2.connect(host=HOST, port=self.port, user=USER, password=PASSWORD, dbname=name)

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True


def _programs() -> Path:
    """The folder of the newest PostgreSQL; skips the test if none is installed."""
    found = sorted(_DEBIAN.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    return (found[-1] if found else needs.program("postgres")).parent


def _as_user() -> dict[str, str]:
    """The user of the server: PostgreSQL refuses to run as root, so root uses the package's user."""
    if os.geteuid() != 0:
        return {}
    try:
        pwd.getpwnam(_DEBIAN_USER)
    except KeyError:
        needs.skip("the user postgres", "Debian: postgresql, which does not run as root")
    return {"user": _DEBIAN_USER, "group": _DEBIAN_USER}


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Start a server with a user novoic that may make databases, and end it afterwards."""
    programs, user = _programs(), _as_user()
    # Not below pytest's folder, which no other user may enter.
    folder = Path(tempfile.mkdtemp(prefix="novoic-postgresql-"))
    try:
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, _DEBIAN_USER)
        subprocess.run(
            [
                *(programs / "initdb", "-D", folder / "data", "-U", USER, "--auth=scram-sha-256", "--no-sync"),
                *("--pwfile", folder / "password"),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **user,
        )
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
        server = PostgreSQL(programs, folder, port)
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder)
