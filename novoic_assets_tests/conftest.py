"""Fixtures shared by several test modules."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from novoic_assets_tests.corpora import write_challenge
from novoic_assets_tests.lab import BucketLab, Lab
from novoic_assets_tests.spark_cluster import spark_cluster
from novoic_assets_tests.weed import SeaweedFS, seaweedfs

KEY = "a key for the tests, not for a lab"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the user who runs the tests, and give all stores the same pseudonym key."""
    for name in [name for name in os.environ if name.startswith(("NOVOIC_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NOVOIC_PSEUDONYM_KEY", KEY)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab without sessions."""
    return Lab(tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance without history."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """An S3 service; a test that stops it must start it again."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        server.make_bucket("lab")
        yield server


@pytest.fixture
def s3(s3_server: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty prefix of a bucket, `s3://bucket/prefix`, with its credentials in the environment."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://lab/{uuid.uuid4()}"


@pytest.fixture
def bucket_lab(s3: str, tmp_path: Path) -> BucketLab:
    """A lab in a bucket, without sessions."""
    return BucketLab(tmp_path, s3)


@pytest.fixture(scope="session")
def spark_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Spark cluster with two workers of one core; the cluster replaces a killed executor."""
    with spark_cluster(tmp_path_factory.mktemp("spark")) as master:
        yield master


@pytest.fixture(scope="session")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The challenge corpus as delivered; tests must not write to it."""
    folder = tmp_path_factory.mktemp("challenge")
    write_challenge(folder)
    return folder
