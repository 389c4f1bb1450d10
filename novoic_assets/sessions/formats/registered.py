"""List the transcript formats: the project's own and those of installed packages.

A package adds a format with an entry point of the group `novoic_assets.transcript_formats` that names a
`TranscriptFormat`:

    [project.entry-points."novoic_assets.transcript_formats"]
    my_format = "my_package.my_module:MY_FORMAT"
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Final

from novoic_assets.errors import NovoicError
from novoic_assets.registry import added
from novoic_assets.sessions.formats.format import CONTENT_REASONS, TranscriptFormat
from novoic_assets.sessions.formats.xml import XML

ENTRY_POINTS: Final = "novoic_assets.transcript_formats"

OWN: Final[tuple[TranscriptFormat, ...]] = (XML,)
"""The project's own formats."""

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")
_EXTENSION: Final = re.compile(r"\.[a-z0-9]+")
_VERSION: Final = re.compile(r"[A-Za-z0-9._-]+")


@functools.cache
def formats() -> tuple[TranscriptFormat, ...]:
    """Return the project's formats, then those of installed packages in the order of their entry points.

    Each process loads them once, at the first call.

    Raises:
        NovoicError: A package's format cannot be loaded, is no valid `TranscriptFormat`, or has the name or an
            extension of another.
    """
    found = (*OWN, *added(ENTRY_POINTS, TranscriptFormat))
    for each in found:
        _check(each)
    _check_unique("name", (each.name for each in found))
    _check_unique("extension", (extension for each in found for extension in each.extensions))
    return found


@functools.cache
def extensions() -> frozenset[str]:
    """Return the extensions of transcript files, in lower case and with the dot.

    Raises:
        NovoicError: As in `formats`.
    """
    return frozenset(extension for each in formats() for extension in each.extensions)


def format_of(path: str) -> TranscriptFormat:
    """Return the format of a file.

    Args:
        path: The file's path. Its extension, in any case, decides the format.

    Raises:
        NovoicError: No format has this extension, or as in `formats`.
    """
    extension = PurePosixPath(path).suffix.lower()
    for each in formats():
        if extension in each.extensions:
            return each
    raise NovoicError(
        "a listed transcript has a format that is not installed here; install the package that adds the format"
        " wherever the code runs, or materialize raw_transcripts to list the folder again"
    )


def code_version() -> str:
    """Return all formats with their versions, in one line.

    Raises:
        NovoicError: As in `formats`.
    """
    return ", ".join(f"{each.name} {each.version}" for each in formats())


def fingerprint_mark(of: Sequence[TranscriptFormat]) -> str:
    """Return the part of a session's fingerprint that represents the formats of its files.

    It depends on these formats alone, so a row stays valid when another format is added, removed or changed.

    Args:
        of: The formats of the session's files; a single one if the session has one transcript.
    """
    return ", ".join(sorted({each.mark for each in of}))


def _check(entry: TranscriptFormat) -> None:
    fault = ""
    if not _matches(_NAME, entry.name):
        fault = "its name is not an identifier in lower case"
    elif not isinstance(entry.extensions, tuple) or not entry.extensions:
        fault = "its extensions are not a tuple of one or more"
    elif not all(_matches(_EXTENSION, extension) for extension in entry.extensions):
        fault = "its extensions are not in lower case with a dot, such as .xml"
    elif not _matches(_VERSION, entry.version):
        fault = "its version is not made of letters, digits, dots, - and _"
    elif not isinstance(entry.reasons, frozenset) or not entry.reasons <= CONTENT_REASONS:
        fault = "it gives reasons that are not about the content of a file"
    if fault:
        raise NovoicError(
            f"the transcript format {entry.name!r} cannot be used: {fault}; fix or remove the package that adds it"
        )


def _matches(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _check_unique(what: str, claimed: Iterable[str]) -> None:
    twice = sorted(name for name, count in Counter(claimed).items() if count > 1)
    if twice:
        raise NovoicError(
            f"more than one transcript format has the {what} {', '.join(twice)}; remove one of the packages that add"
            f" formats (entry points of {ENTRY_POINTS})"
        )
