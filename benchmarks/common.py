"""Definitions that all parts share."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.corpora import RATE, Pcm, read_voices

Figures = dict[str, Any]
"""The measurements of a part, as in the JSON."""

ROOT: Final = Path(__file__).parents[1]
"""The repository."""

SPEECH: Final = ROOT / "novoic_assets_tests" / "fixtures" / "librispeech"
"""The repository's few real utterances; `--speech` names a folder with more."""

WORKERS: Final = 2
"""The default of NOVOIC_WORKERS in all parts."""

TWO_FAMILIES: Final = ",".join(
    f"-{name}"
    for name in (
        *("lexical", "syntactic", "discourse", "timing", "mfcc_spread", "mfcc_narrow", "pitch", "voice_quality"),
        *("formants", "spectral", "level_and_pauses", "recording"),
    )
)
"""The setting NOVOIC_FAMILIES that keeps only `word_vector` and `mfcc`, so that the platform's own cost shows."""

_err = Console(stderr=True)


class BenchmarkError(Exception):
    """A measurement failed: a command ended with an error, or its result is wrong."""


@dataclass(frozen=True)
class Bench:
    """Where and how to measure.

    Attributes:
        work: Folder for corpora and stores.
        short: Whether all sizes are small.
        speech: Folder of real utterances.
    """

    work: Path
    short: bool
    speech: Path = SPEECH

    @cached_property
    def voices(self) -> list[Pcm]:
        """The real speech of each speaker, from `corpora.read_voices`."""
        return read_voices(self.speech)

    @property
    def speech_label(self) -> str:
        """A description of the real speech for the report; it names the folder without its path."""
        seconds = sum(map(len, self.voices)) / RATE
        speakers = "1 speaker" if len(self.voices) == 1 else f"{len(self.voices)} speakers"
        return f"real speech of {speakers} (excerpts of {seconds:,.0f} s, folder `{self.speech.name}`)"

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Create an empty folder, and delete it afterwards."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def no_speech(bench: Bench) -> str | None:
    """Return why a part that needs real speech cannot run; None if it can."""
    return None if bench.voices else "no real speech was found; name a folder of WAV or FLAC files with --speech"


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process and its children for a while."""
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
    """Write a line of progress to stderr."""
    _err.print(line, markup=False, highlight=False, soft_wrap=True)


def require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - a fact, not a switch
    """Stop the part if a result is wrong.

    Args:
        condition: Whether the result is right.
        otherwise: The message if it is not.

    Raises:
        BenchmarkError: The condition does not hold.
    """
    if not condition:
        raise BenchmarkError(otherwise)
