"""Files under a root, a folder or a bucket's prefix, read and written through obstore.

Nothing here imports Dagster, so that workers and `load_dataset` can use it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, InvalidPathError, PermissionDeniedError
from obstore.store import LocalStore, S3Store

from novoic_assets.errors import StorageError
from novoic_assets.reasons import Reason, Refused
from novoic_assets.storage import s3
from novoic_assets.storage.block_reader import BlockReader

# Bytes of one ranged read: large enough to amortise a request, small beside a worker's memory.
_BLOCK = 1 << 20
_REMOTE_BLOCK = 8 << 20


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file as a listing saw it.

    Attributes:
        path: Path below the root, with `/` between its parts.
        size: Size in bytes.
        etag: Changes whenever the content does. An object's is the bucket's own. A local file's is its size
            and its time of change, not its inode, so that moving a folder to another disk leaves it as it is.
        modified: Time of the last change, UTC.
    """

    path: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Storage:
    """A folder, or a prefix of an S3 bucket, that holds raw data or a store.

    Attributes:
        root: Path of the folder, or `s3://bucket/prefix`.
        setting: Name of the setting that gave the root; error messages name it in place of the path.
        patience: Most seconds for which a bucket that does not answer is asked again; None is as long as is set.
    """

    root: str
    setting: str
    patience: int | None = None

    def __post_init__(self) -> None:
        if "://" in self.root:
            s3.split_url(self.root, self.setting)

    def __reduce__(self) -> tuple[Any, ...]:
        # The open store stays behind: each process opens its own, with credentials of its own.
        return (Storage, (self.root, self.setting, self.patience))

    @property
    def is_remote(self) -> bool:
        """Whether it is a bucket. An object appears whole; a local file may be seen while it is written."""
        return self.root.startswith(s3.SCHEME)

    @cached_property
    def _store(self) -> LocalStore | S3Store:
        if self.is_remote:
            return s3.open_store(self.root, self.setting, self.patience)
        root = Path(self.root)
        if root.exists() and not root.is_dir():
            raise StorageError(f"what {self.setting} names is no folder")
        return LocalStore(root.resolve())

    @property
    def _what(self) -> str:
        return f"the {'bucket' if self.is_remote else 'folder'} that {self.setting} names"

    def has_folder(self, prefix: str) -> bool:
        """Whether there is a folder at `prefix`; in a bucket, whether anything is below it.

        An empty listing does not tell: it is also that of no folder.

        Raises:
            StorageError: The bucket does not answer.
        """
        if not self.is_remote:
            return Path(self.root, prefix).is_dir()
        with self._scrubbed("listed"):
            below = None if prefix == "." else prefix
            return any(page for page in obstore.list(self._store, below, chunk_size=1))

    def require(self) -> None:
        """Make sure that the root is there.

        Raises:
            StorageError: It is not.
        """
        if not self.has_folder("."):
            state = "has nothing below its prefix" if self.is_remote else "is not there"
            raise StorageError(f"{self._what} {state}")

    def require_readable(self) -> None:
        """Make sure that a refused read is that file's own trouble, and not that of every file in the bucket.

        With credentials that may list and not read, each file would go to quarantine for good.

        Raises:
            StorageError: Even the metadata may not be read.
        """
        if self.is_remote:
            with self._scrubbed("read"), suppress(FileNotFoundError):
                obstore.get_range(self._store, "metadata.csv", start=0, end=1)

    def list(self, prefix: str) -> Iterator[FileInfo]:
        """List all files below a folder, at any depth and in no order.

        Raises:
            StorageError: The folder does not exist or cannot be listed.
        """
        # An object store lists what is not there as empty: only then has it to be asked what is there.
        if not self.is_remote:
            self._require_folder(prefix)
        is_empty = True
        with self._scrubbed("listed"):
            for page in obstore.list(self._store, prefix, chunk_size=1000):
                for entry in page:
                    is_empty = False
                    yield self._file_info(entry)
        if is_empty and self.is_remote:
            self._require_folder(prefix)

    def _require_folder(self, prefix: str) -> None:
        self.require()
        if not self.has_folder(prefix):
            raise StorageError(f"{self._what} has no folder '{prefix}' in it")

    def stat(self, path: str) -> FileInfo | None:
        """The file at `path`, or None where there is none.

        Raises:
            StorageError: The storage does not answer.
        """
        with self._scrubbed("read"):
            try:
                return self._file_info(obstore.head(self._store, path))
            except FileNotFoundError:
                return None

    def read(self, path: str) -> bytes:
        """The whole content of a small file.

        Raises:
            FileNotFoundError: There is no such file.
            StorageError: It cannot be read.
        """
        with self._scrubbed("read"):
            return obstore.get(self._store, path).bytes().to_bytes()

    def open_listed(self, path: str, size: int, etag: str) -> BlockReader:
        """Open a listed raw file for reading in blocks.

        Each block must still be of the file that was listed: a file that is written to meanwhile is refused, not
        read half old and half new. So reading raises `Refused` with `file_changed` or `unreadable_file`, and
        `StorageError` where the storage does not answer.
        """
        return BlockReader(partial(self._listed_range, path, etag), size, self.block_size)

    def write(self, path: str, data: bytes) -> None:
        """Write a file, in the place of an old one: a reader sees the old content or the new, never a part.

        Raises:
            StorageError: It cannot be written.
        """
        with self._scrubbed("written"):
            obstore.put(self._store, path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file unless there is one; whether it was written.

        Raises:
            StorageError: It cannot be written.
        """
        with self._scrubbed("written"):
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def delete(self, path: str) -> None:
        """Delete a file; one that is gone already is no error.

        Raises:
            StorageError: It cannot be deleted.
        """
        with self._scrubbed("written"):
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                return

    def make_private(self, prefix: str) -> None:
        """Create a folder that only its owner may enter; of a bucket its policy says who may.

        Raises:
            StorageError: It cannot be created.
        """
        if self.is_remote:
            return
        folder = Path(self.root, prefix)
        try:
            Path(self.root).mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the folder that {self.setting} names cannot be written ({_code(error)})") from None

    def url(self, path: str) -> str:
        """What other readers (Delta) call `path`."""
        if self.is_remote:
            bucket, prefix = s3.split_url(self.root, self.setting)
            return f"{s3.SCHEME}{'/'.join(filter(None, (bucket, prefix, path)))}"
        return str(Path(self.root, path).resolve())

    @property
    def delta_options(self) -> dict[str, str]:
        """What deltalake needs to know to open a `url`.

        Raises:
            StorageError: A setting cannot be right.
        """
        return s3.delta_options(self.patience) if self.is_remote else {}

    @property
    def block_size(self) -> int:
        """Bytes of one ranged read."""
        return _REMOTE_BLOCK if self.is_remote else _BLOCK

    def _file_info(self, entry: Any) -> FileInfo:  # noqa: ANN401 - obstore's ObjectMeta exists for type checkers only
        modified: datetime = entry["last_modified"]
        etag = f"{entry['size']}-{int(modified.timestamp() * 1_000_000)}"
        if self.is_remote and entry["e_tag"]:
            etag = entry["e_tag"].strip('"')
        return FileInfo(path=entry["path"], size=entry["size"], etag=etag, modified=modified)

    def _range(self, path: str, start: int, end: int) -> tuple[FileInfo, memoryview]:
        result = obstore.get(self._store, path, options={"range": (start, end)})
        return self._file_info(result.meta), memoryview(result.bytes())

    def _listed_range(self, path: str, etag: str, start: int, end: int) -> memoryview:
        """Bytes of a file that must still be the one that was listed."""
        try:
            with self._scrubbed("read"):
                info, block = self._readable_range(path, etag, start, end)
        except FileNotFoundError:
            raise Refused(Reason.FILE_CHANGED) from None
        if info.etag != etag or len(block) != end - start:
            raise Refused(Reason.FILE_CHANGED)
        return block

    def _readable_range(self, path: str, etag: str, start: int, end: int) -> tuple[FileInfo, memoryview]:
        try:
            return self._range(path, start, end)
        except (PermissionDeniedError, PermissionError):
            self.require_readable()
            raise Refused(Reason.UNREADABLE_FILE) from None
        except obstore.exceptions.BaseError:
            # For a file on disk obstore has no error of its own for a denied permission, not for its size either.
            file = Path(self.root, path)
            if not self.is_remote and file.exists() and not os.access(file, os.R_OK, effective_ids=True):
                raise Refused(Reason.UNREADABLE_FILE) from None
            # A range beyond the end of a file that became shorter is an error of the request, not of the storage.
            now = self.stat(path)
            if now is None or now.etag != etag:
                raise Refused(Reason.FILE_CHANGED) from None
            raise

    @contextmanager
    def _scrubbed(self, done: str) -> Iterator[None]:
        """Turn what obstore raises into a message without paths."""
        try:
            yield
        except StorageError:
            raise
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise StorageError(s3.explain(error, self.setting, done, self.patience)) from None
            raise FileNotFoundError(f"{self._what} has no such file") from None
        except InvalidPathError:
            raise StorageError(
                f"a file below {self._what} has a name that is not UTF-8 or has a control character in it; rename it"
            ) from None
        except (obstore.exceptions.BaseError, OSError) as error:
            if self.is_remote:
                raise StorageError(s3.explain(error, self.setting, done, self.patience)) from None
            raise StorageError(f"{self._what} cannot be {done} ({_code(error)})") from None


def _code(error: Exception) -> str:
    """The kind of an error, without its text: that quotes paths."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
