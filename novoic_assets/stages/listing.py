"""Which listed files are sessions' files, and which of them a run takes up."""

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
    """A listed file and the session it belongs to: the one of its stem."""

    session: str
    info: FileInfo


Known = Mapping[str, SessionFile]
"""The files that a table knows, by path."""


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """What a run leaves to a later one. Fixed moments, so that all steps of a run judge a file alike.

    A file whose time lies more than a minute ahead of the clock keeps nothing waiting: one of the clocks is
    wrong, and the file would wait for ever.

    Attributes:
        settled_before: A file that was changed after this may still be being written; None: no file is.
        paired_before: A new file that was changed after this waits for the other half of its session; None: none does.
    """

    settled_before: datetime | None = None
    paired_before: datetime | None = None

    def is_young(self, modified: datetime, now: datetime) -> bool:
        """Whether a file that was changed then may still be being written."""
        return _is_between(self.settled_before, modified, now)

    def may_wait(self, modified: datetime, now: datetime) -> bool:
        """Whether a new file that was changed then may wait for its other half."""
        return _is_between(self.paired_before, modified, now)


def _is_between(cutoff: datetime | None, modified: datetime, now: datetime) -> bool:
    return cutoff is not None and cutoff < modified <= now + _CLOCKS_APART


def extensions_of(folder: str) -> Collection[str]:
    """The extensions of the files that are taken from a folder of the raw data, in lower case and with the dot.

    Args:
        folder: One of `FOLDERS`; of any other, nothing is taken.

    Raises:
        NovoicError: A transcript format of an installed package cannot be used.
    """
    if folder == "text":
        return registered.extensions()
    return AUDIO_EXTENSIONS if folder == "audio" else ()


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


def known_files(rows: pa.Table) -> dict[str, SessionFile]:
    """The rows of a table of files, by path."""
    columns = (rows[name].to_pylist() for name in ("session", "path", "size", "etag", "modified"))
    return {path: SessionFile(session, FileInfo(path, *rest)) for session, path, *rest in zip(*columns, strict=True)}


def is_same(known: SessionFile | None, file: SessionFile) -> bool:
    """Whether a file is as it is known."""
    return known is not None and (known.info.size, known.info.etag) == (file.info.size, file.info.etag)


@dataclass(frozen=True, slots=True)
class Change:
    """Number of files in which a listing differs from what is known; false where it does not."""

    new: int
    changed: int
    gone: int

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)


def compare(known: Known, files: Sequence[SessionFile]) -> Change:
    """Compare a listing with what is known."""
    new = sum(file.info.path not in known for file in files)
    same = sum(is_same(known.get(file.info.path), file) for file in files)
    return Change(new, len(files) - new - same, len(known) + new - len(files))


def settled(
    files: Sequence[SessionFile], known: Known, cutoffs: Cutoffs, now: datetime
) -> tuple[list[SessionFile], int]:
    """Leave files that may still be being written as they were known before.

    Args:
        files: The sessions' files of a folder.
        known: What the folder's table has: of a file that is being written again the old row stays, so that
            its session is neither gone nor changed yet.
        cutoffs: What may still be being written.
        now: The time.

    Returns:
        The files as they should be listed, and the number of those that were left as they were.
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
        known: What the folder's table has; a file that it has waits no more.
        partners: Tells the sessions of the settled files of the other folder; asked only where a file may wait.
        cutoffs: For how long a file waits.
        now: The time.

    Returns:
        The files as they should be listed, and the number of those that wait.
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
    """The files of a folder as a run takes them up.

    Attributes:
        files: The sessions' files, sorted by path.
        ignored: Number of files that belong to no session.
        young: Number of files that may still be being written, and were left as they were known.
        waiting: Number of new files that wait for the other half of their session.
    """

    files: Sequence[SessionFile]
    ignored: int
    young: int
    waiting: int


class RawListing:
    """The raw folder as a run with certain cutoffs sees it; each of its folders is listed once, when it is needed.

    The raw assets and what starts runs use it alike, so that a run finds what it was started for.
    """

    def __init__(self, raw: Storage, known: Callable[[str], Known], cutoffs: Cutoffs, now: datetime) -> None:
        """Nothing is listed yet.

        Args:
            raw: The raw folder or bucket.
            known: Tells what the table of a folder (`text`, `audio`) has; asked once for each.
            cutoffs: What is left to a later run. Objects of a bucket appear whole, so none of them is young.
            now: The time.
        """
        self._raw = raw
        self._read_known = known
        self._cutoffs = Cutoffs(None, cutoffs.paired_before) if raw.is_remote else cutoffs
        self._now = now
        self._known: dict[str, Known] = {}
        self._settled: dict[str, Listing] = {}

    def known(self, folder: str) -> Known:
        """What the folder's table has."""
        if folder not in self._known:
            self._known[folder] = self._read_known(folder)
        return self._known[folder]

    def folder(self, folder: str) -> Listing:
        """The files of a folder, `text` or `audio`.

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
        """Whether `metadata.csv` may still be being written.

        Raises:
            StorageError: The storage does not answer.
        """
        if self._cutoffs.settled_before is None:
            return False
        info = self._raw.stat(METADATA)
        return info is not None and self._cutoffs.is_young(info.modified, self._now)

    def _settle(self, folder: str) -> Listing:
        if folder not in self._settled:
            # The table is looked at before the folder, so that what it has was there when the folder was listed.
            known = self.known(folder)
            found, ignored = session_files(self._raw.list(folder), extensions_of(folder))
            files, young = settled(found, known, self._cutoffs, self._now)
            self._settled[folder] = Listing(files, ignored, young, 0)
        return self._settled[folder]


def file_tables(tables: StoreTables) -> dict[str, Table]:
    """The tables of the files in `text` and `audio`."""
    return {"text": tables.transcript_files, "audio": tables.audio_files}


def read_metadata(raw: Storage) -> tuple[bytes, str]:
    """The content of `metadata.csv`, and the fingerprint of the rows that are made from it.

    Raises:
        NovoicError: There is no such file.
        StorageError: It cannot be read.
    """
    try:
        data = raw.read(METADATA)
    except FileNotFoundError:
        where = "bucket" if raw.is_remote else "folder"
        raise NovoicError(f"the {where} that {raw.setting} names has no metadata.csv") from None
    return data, fingerprint(METADATA_VERSION, hashlib.sha256(data).hexdigest())
