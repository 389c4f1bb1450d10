"""Select the sessions' files from a listing, and decide which of them a run includes."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Final

import pyarrow as pa

from novoic_assets.errors import NovoicError
from novoic_assets.fingerprints import fingerprint
from novoic_assets.sessions.formats import registered
from novoic_assets.sessions.metadata import METADATA_VERSION
from novoic_assets.sessions.recording import AUDIO_EXTENSIONS
from novoic_assets.storage.files import FileInfo, Storage
from novoic_assets.storage.store_tables import StoreTables
from novoic_assets.storage.tables import Table

FOLDERS: Final = ("text", "audio")
"""The folders of the two halves of a session."""

METADATA: Final = "metadata.csv"
_PARTNER: Final = {"text": "audio", "audio": "text"}
_CLOCKS_APART: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SessionFile:
    """A listed file and its session, which is the file's stem."""

    session: str
    info: FileInfo


Known = Mapping[str, SessionFile]
"""The files that a table knows, by path."""


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Which files a run leaves to a later one. The moments are fixed, so that all steps of a run judge a file alike.

    A file whose time is more than a minute ahead of the clock does not wait: one of the clocks is wrong, and
    the file would wait for ever.

    Attributes:
        settled_before: A file changed after this may still be being written. None: no file is.
        paired_before: A new file changed after this waits for the other half of its session. None: no file waits.
    """

    settled_before: datetime | None = None
    paired_before: datetime | None = None

    def is_young(self, modified: datetime, now: datetime) -> bool:
        """Return whether a file changed at `modified` may still be being written."""
        return _is_between(self.settled_before, modified, now)

    def may_wait(self, modified: datetime, now: datetime) -> bool:
        """Return whether a new file changed at `modified` may wait for its other half."""
        return _is_between(self.paired_before, modified, now)


def _is_between(cutoff: datetime | None, modified: datetime, now: datetime) -> bool:
    return cutoff is not None and cutoff < modified <= now + _CLOCKS_APART


def extensions_of(folder: str) -> Collection[str]:
    """Return the extensions of the sessions' files in a folder of the raw data, in lower case and with the dot.

    Args:
        folder: One of `FOLDERS`. Any other folder has no sessions' files.

    Raises:
        NovoicError: A transcript format of an installed package cannot be used.
    """
    if folder == "text":
        return registered.extensions()
    return AUDIO_EXTENSIONS if folder == "audio" else ()


def session_files(files: Iterable[FileInfo], extensions: Collection[str]) -> tuple[list[SessionFile], int]:
    """Separate the sessions' files of a listing from other files.

    Args:
        files: The listing.
        extensions: The wanted extensions, in lower case. A file's own extension may be in any case.

    Returns:
        The sessions' files, sorted by path, and the number of other files: hidden files such as `.DS_Store`
        and `._S001.wav`, files in hidden folders, and files with another extension.

    Example:
        >>> from datetime import UTC
        >>> names = ("text/S001.XML", "text/.S002.xml", "text/notes.txt")
        >>> listing = [FileInfo(name, 0, "", datetime(2026, 1, 31, tzinfo=UTC)) for name in names]
        >>> found, ignored = session_files(listing, {".xml"})
        >>> [file.session for file in found], ignored
        (['S001'], 2)
    """
    found, ignored = [], 0
    for info in files:
        path = PurePosixPath(info.path)
        if any(part.startswith(".") for part in path.parts) or path.suffix.lower() not in extensions:
            ignored += 1
        else:
            found.append(SessionFile(path.stem, info))
    return sorted(found, key=lambda file: file.info.path), ignored


def known_files(rows: pa.Table) -> dict[str, SessionFile]:
    """Return the rows of a table of files, by path."""
    columns = (rows[name].to_pylist() for name in ("session", "path", "size", "etag", "modified"))
    return {path: SessionFile(session, FileInfo(path, *rest)) for session, path, *rest in zip(*columns, strict=True)}


def is_same(known: SessionFile | None, file: SessionFile) -> bool:
    """Return whether a file has the size and etag that are known."""
    return known is not None and (known.info.size, known.info.etag) == (file.info.size, file.info.etag)


@dataclass(frozen=True, slots=True)
class Change:
    """Numbers of files in which a listing differs from the known files; false if there is no difference."""

    new: int
    changed: int
    gone: int

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)


def compare(known: Known, files: Sequence[SessionFile]) -> Change:
    """Compare a listing with the known files."""
    new = sum(file.info.path not in known for file in files)
    same = sum(is_same(known.get(file.info.path), file) for file in files)
    return Change(new, len(files) - new - same, len(known) + new - len(files))


def settled(
    files: Sequence[SessionFile], known: Known, cutoffs: Cutoffs, now: datetime
) -> tuple[list[SessionFile], int]:
    """Keep the known state of files that may still be being written.

    Args:
        files: The sessions' files of a folder.
        known: The files in the folder's table. A file that is being rewritten keeps its old row, so that its
            session is neither gone nor changed yet.
        cutoffs: Which files may still be being written.
        now: The current time.

    Returns:
        The files to list, and the number of files that may still be being written.
    """
    listed, young = [], 0
    for file in files:
        before = known.get(file.info.path)
        if is_same(before, file) or not cutoffs.is_young(file.info.modified, now):
            listed.append(file)
            continue
        young += 1
        if before is not None:
            listed.append(before)
    return listed, young


def paired(
    files: Sequence[SessionFile], known: Known, partners: Callable[[], Collection[str]], cutoffs: Cutoffs, now: datetime
) -> tuple[list[SessionFile], int]:
    """Leave out new files that wait for the other half of their session.

    Args:
        files: The settled files of a folder.
        known: The files in the folder's table; these no longer wait.
        partners: Returns the sessions of the settled files of the other folder. Called only if a file may wait.
        cutoffs: How long a file waits.
        now: The current time.

    Returns:
        The files to list, and the number of files that wait.
    """
    may_wait = {
        file.info.path for file in files if file.info.path not in known and cutoffs.may_wait(file.info.modified, now)
    }
    if not may_wait:
        return list(files), 0
    complete = partners()
    listed = [file for file in files if file.info.path not in may_wait or file.session in complete]
    return listed, len(files) - len(listed)


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a folder that a run includes.

    Attributes:
        files: The sessions' files, sorted by path.
        ignored: Number of files that belong to no session.
        young: Number of files that may still be being written, and keep their known state.
        waiting: Number of new files that wait for the other half of their session.
    """

    files: Sequence[SessionFile]
    ignored: int
    young: int
    waiting: int


class RawListing:
    """The raw folder as a run with given cutoffs sees it; each of its folders is listed once, when needed.

    The raw assets and the sensors both use it, so that a run finds what it was started for.
    """

    def __init__(self, raw: Storage, known: Callable[[str], Known], cutoffs: Cutoffs, now: datetime) -> None:
        """Keep the arguments; the first call of `folder` lists files.

        Args:
            raw: The raw folder or bucket.
            known: Returns the files in the table of a folder (`text`, `audio`). Called once for each folder.
            cutoffs: Which files are left to a later run. Objects of a bucket appear complete, so no object is young.
            now: The current time.
        """
        self._raw = raw
        self._read_known = known
        self._cutoffs = Cutoffs(None, cutoffs.paired_before) if raw.is_remote else cutoffs
        self._now = now
        self._known: dict[str, Known] = {}
        self._settled: dict[str, Listing] = {}

    def known(self, folder: str) -> Known:
        """Return the files in the folder's table."""
        if folder not in self._known:
            self._known[folder] = self._read_known(folder)
        return self._known[folder]

    def folder(self, folder: str) -> Listing:
        """Return the files of a folder, `text` or `audio`.

        Raises:
            StorageError: A folder is missing or cannot be listed.
            NovoicError: A transcript format of an installed package cannot be used.
        """
        listing = self._settle(folder)

        def partners() -> Collection[str]:
            return {file.session for file in self._settle(_PARTNER[folder]).files}

        files, waiting = paired(listing.files, self.known(folder), partners, self._cutoffs, self._now)
        return Listing(files, listing.ignored, listing.young, waiting)

    def metadata_is_young(self) -> bool:
        """Return whether `metadata.csv` may still be being written.

        Raises:
            StorageError: The storage does not answer.
        """
        if self._cutoffs.settled_before is None:
            return False
        info = self._raw.stat(METADATA)
        return info is not None and self._cutoffs.is_young(info.modified, self._now)

    def _settle(self, folder: str) -> Listing:
        if folder not in self._settled:
            # Read the table before the folder, so that the listing is never older than the table.
            known = self.known(folder)
            found, ignored = session_files(self._raw.list(folder), extensions_of(folder))
            files, young = settled(found, known, self._cutoffs, self._now)
            self._settled[folder] = Listing(files, ignored, young, 0)
        return self._settled[folder]


def file_tables(tables: StoreTables) -> dict[str, Table]:
    """Return the tables of files by folder, `text` and `audio`."""
    return {"text": tables.transcript_files, "audio": tables.audio_files}


def read_metadata(raw: Storage) -> tuple[bytes, str]:
    """Return the content of `metadata.csv`, and the fingerprint of the rows made from it.

    Raises:
        NovoicError: The file does not exist.
        StorageError: The file cannot be read.
    """
    try:
        data = raw.read(METADATA)
    except FileNotFoundError:
        where = "bucket" if raw.is_remote else "folder"
        raise NovoicError(f"the {where} that {raw.setting} names has no metadata.csv") from None
    return data, fingerprint(METADATA_VERSION, hashlib.sha256(data).hexdigest())
