"""What all parts share."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

Figures = dict[str, Any]
"""What a part measured, as it goes into the JSON."""

ROOT: Final = Path(__file__).parents[1]
"""The repository."""

WORKERS: Final = 2
"""Worker processes of every run."""

TWO_FAMILIES: Final = ",".join(
    f"-{name}"
    for name in (
        *("lexical", "syntactic", "discourse", "timing", "mfcc_spread", "mfcc_narrow", "pitch", "voice_quality"),
        *("formants", "spectral", "level_and_pauses", "recording"),
    )
)
"""The setting NOVOIC_FAMILIES that leaves `word_vector` and `mfcc`, in which the platform's own cost shows."""

MEGABYTE: Final = 1e6

_err = Console(stderr=True)


class BenchmarkError(Exception):
    """A measurement went wrong: a command failed, or its result is not what it should be."""


@dataclass(frozen=True)
class Bench:
    """Where and how to measure.

    Attributes:
        work: Folder for corpora and stores.
        short: Whether everything is small.
    """

    work: Path
    short: bool

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """An empty folder that is deleted afterwards."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables of this process and those that it starts, for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def note(line: str) -> None:
    """Tell on stderr how far it is."""
    _err.print(line, markup=False, highlight=False, soft_wrap=True)


def require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - a fact, not a switch
    """Stop the part where a result is not what it should be.

    Raises:
        BenchmarkError: The condition does not hold.
    """
    if not condition:
        raise BenchmarkError(otherwise)
