"""Fixtures of the tests of the deployment."""

import uuid
from collections.abc import Iterator

import pytest

from novoic_assets_tests.deploy.postgresql import PostgreSQL, postgresql


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """A PostgreSQL; a test that kills it starts it again."""
    with postgresql() as server:
        yield server


@pytest.fixture
def database(postgresql_server: PostgreSQL) -> str:
    """The name of an empty database."""
    name = f"novoic_{uuid.uuid4().hex}"
    postgresql_server.make_database(name)
    return name
