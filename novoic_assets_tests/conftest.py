"""Fixtures that several test modules share."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from novoic_assets_tests.lab import CHALLENGE, Lab

KEY = "a key for the tests, not for a lab"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests stay out of them, and all stores share a pseudonym key."""
    for name in [name for name in os.environ if name.startswith("NOVOIC_")]:
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


@pytest.fixture
def challenge() -> Path:
    """The challenge corpus, which is not part of this repository."""
    if not CHALLENGE.exists():
        pytest.skip("the challenge corpus is not here")
    return CHALLENGE
