"""Fixtures of the tests of the deployment."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from helm_python.chart import expand

from novoic_assets_tests import needs
from novoic_assets_tests.deploy.postgresql import PostgreSQL, postgresql


@pytest.fixture(scope="session")
def dagster_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Dagster's chart, which is not part of this repository."""
    given = os.environ.get("DAGSTER_CHART")
    if given is None:
        needs.skip("Dagster's chart", "DAGSTER_CHART=folder or archive")
    if Path(given).is_dir():
        return Path(given)
    folder = tmp_path_factory.mktemp("chart")
    expand(folder, given)
    (chart,) = folder.iterdir()
    return chart


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """A PostgreSQL server; a test that kills it starts it again."""
    with postgresql() as server:
        yield server


@pytest.fixture
def database(postgresql_server: PostgreSQL) -> str:
    """The name of an empty database."""
    name = f"novoic_{uuid.uuid4().hex}"
    postgresql_server.make_database(name)
    return name
