"""Which listed files are sessions' files."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from novoic_assets.resources.storage import FileInfo

TRANSCRIPT_EXTENSIONS: Final = frozenset({".xml"})


@dataclass(frozen=True, slots=True)
class SessionFile:
    """A listed file and the session it belongs to: the one of its stem."""

    session: str
    info: FileInfo


def session_files(files: Iterable[FileInfo], extensions: Collection[str]) -> tuple[list[SessionFile], int]:
    """Sort a listing into sessions' files and others.

    Args:
        files: The listing.
        extensions: The extensions of the files that are wanted, in lower case; a file's may be in any case.

    Returns:
        The sessions' files, sorted by path, and the number of files that are none: hidden files such as
        `.DS_Store` and `._S001.wav`, files in hidden folders, and files with another extension.
    """
    found, ignored = [], 0
    for info in files:
        path = PurePosixPath(info.path)
        if any(part.startswith(".") for part in path.parts) or path.suffix.lower() not in extensions:
            ignored += 1
        else:
            found.append(SessionFile(path.stem, info))
    return sorted(found, key=lambda file: file.info.path), ignored
