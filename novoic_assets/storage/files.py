"""Files below a root: a local folder or the prefix of an S3 bucket, accessed through obstore.

This module does not import Dagster, so workers and `load_dataset` can use it.
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

# Bytes of one ranged read: large enough to outweigh the cost of a request, small compared with a worker's memory.
_BLOCK = 1 << 20
_REMOTE_BLOCK = 8 << 20


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file as it was when it was listed.

    Attributes:
        path: Path relative to the root, with `/` between its parts.
        size: Size in bytes.
        etag: A text that changes whenever the content does. The bucket gives that of an object. That of a local file is
            its size and time of change, without its inode, so moving a folder to another disk keeps it.
        modified: Time of the last change, UTC.
    """

    path: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Storage:
    """A folder, or the prefix of an S3 bucket, that holds raw data or a store.

    Attributes:
        root: Path of the folder, or `s3://bucket/prefix`.
        setting: Name of the setting that gave the root; error messages show it instead of the path.
        patience: Longest time in seconds to retry requests to a bucket that does not answer; None means as long as
            NOVOIC_S3_RETRY_SECONDS says. It can only shorten that time.
    """

    root: str
    setting: str
    patience: int | None = None

    def __post_init__(self) -> None:
        if "://" in self.root:
            s3.split_url(self.root, self.setting)

    def __reduce__(self) -> tuple[Any, ...]:
        # Leave the open store behind: each process opens its own, with its own credentials.
        return (Storage, (self.root, self.setting, self.patience))

    @property
    def is_remote(self) -> bool:
        """Whether the root is in a bucket. Objects appear complete; local files are visible while they are written."""
        return self.root.startswith(s3.SCHEME)

    @cached_property
    def _store(self) -> LocalStore | S3Store:
        if self.is_remote:
            return s3.open_store(self.root, self.setting, self.patience)
        root = Path(self.root)
        if root.exists() and not root.is_dir():
            raise StorageError(f"what {self.setting} names is not a folder")
        return LocalStore(root.resolve())

    @property
    def _what(self) -> str:
        return f"the {'bucket' if self.is_remote else 'folder'} that {self.setting} names"

    def has_folder(self, prefix: str) -> bool:
        """Whether a folder exists at `prefix`; in a bucket, whether any object is below it.

        obstore lists a missing folder as an empty one, so a listing cannot answer this.

        Raises:
            StorageError: The bucket does not answer.
        """
        if not self.is_remote:
            return Path(self.root, prefix).is_dir()
        with self._scrubbed("listed"):
            below = None if prefix == "." else prefix
            return any(page for page in obstore.list(self._store, below, chunk_size=1))

    def require(self) -> None:
        """Check that the root exists.

        Raises:
            StorageError: The root does not exist.
        """
        if not self.has_folder("."):
            state = "has nothing below its prefix" if self.is_remote else "does not exist"
            raise StorageError(f"{self._what} {state}; check {self.setting}")

    def require_readable(self) -> None:
        """Check that a denied read concerns only one file, and not every file in the bucket.

        With credentials that may list but not read, every file would go to quarantine for good.

        Raises:
            StorageError: Reading the metadata is denied too.
        """
        if self.is_remote:
            with self._scrubbed("read"), suppress(FileNotFoundError):
                obstore.get_range(self._store, "metadata.csv", start=0, end=1)

    def list(self, prefix: str) -> Iterator[FileInfo]:
        """List all files below a folder, at any depth, in no particular order.

        Raises:
            StorageError: The folder does not exist or cannot be listed.
        """
        # obstore lists a missing folder as empty, so in a bucket only an empty listing needs another request.
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
            raise StorageError(f"{self._what} has no folder '{prefix}'")

    def stat(self, path: str) -> FileInfo | None:
        """Look up the file at `path`; None if it does not exist.

        Raises:
            StorageError: The storage does not answer.
        """
        with self._scrubbed("read"):
            try:
                return self._file_info(obstore.head(self._store, path))
            except FileNotFoundError:
                return None

    def read(self, path: str) -> bytes:
        """Read a small file completely.

        Raises:
            FileNotFoundError: The file does not exist.
            StorageError: The file cannot be read.
        """
        with self._scrubbed("read"):
            return obstore.get(self._store, path).bytes().to_bytes()

    def open_listed(self, path: str, size: int, etag: str) -> BlockReader:
        """Open a listed raw file for reading in blocks.

        Each block must belong to the file that was listed. So a file that changes in between is refused, and never read
        half old and half new. Reading raises `Refused` with `file_changed` or `unreadable_file`, and `StorageError` if
        the storage does not answer.

        Args:
            path: Path relative to the root.
            size: Size in bytes, as listed.
            etag: Etag, as listed.
        """
        return BlockReader(partial(self._listed_range, path, etag), size, self.block_size)

    def write(self, path: str, data: bytes) -> None:
        """Write a file, or replace it: a reader sees either the old content or the new one, never a part.

        Raises:
            StorageError: The file cannot be written.
        """
        with self._scrubbed("written"):
            obstore.put(self._store, path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file unless it exists.

        Returns:
            Whether the file was written.

        Raises:
            StorageError: The file cannot be written.
        """
        with self._scrubbed("written"):
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def delete(self, path: str) -> None:
        """Delete a file; a missing file is not an error.

        Raises:
            StorageError: The file cannot be deleted.
        """
        with self._scrubbed("written"):
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                return

    def make_private(self, prefix: str) -> None:
        """Create a folder that only its owner may enter. In a bucket this does nothing: the bucket's policy decides.

        Raises:
            StorageError: The folder cannot be created.
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
        """Give the address of `path` for other readers, such as Delta: an absolute path or an `s3://` URL."""
        if self.is_remote:
            bucket, prefix = s3.split_url(self.root, self.setting)
            return f"{s3.SCHEME}{'/'.join(filter(None, (bucket, prefix, path)))}"
        return str(Path(self.root, path).resolve())

    @property
    def delta_options(self) -> dict[str, str]:
        """The storage options with which deltalake opens a `url`.

        Raises:
            NovoicError: A setting has an invalid value.
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
        """Read bytes of a file that must still be the listed one."""
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
            # obstore has no specific error for a local file that may not be read, or that is shorter than the range.
            file = Path(self.root, path)
            if not self.is_remote and file.exists() and not os.access(file, os.R_OK, effective_ids=True):
                raise Refused(Reason.UNREADABLE_FILE) from None
            # A range beyond the end of a file that became shorter is not a failure of the storage.
            now = self.stat(path)
            if now is None or now.etag != etag:
                raise Refused(Reason.FILE_CHANGED) from None
            raise

    @contextmanager
    def _scrubbed(self, done: str) -> Iterator[None]:
        """Replace the exceptions of obstore by messages without paths."""
        try:
            yield
        except StorageError:
            raise
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise StorageError(s3.explain(error, self.setting, done, self.patience)) from None
            raise FileNotFoundError(f"{self._what} lacks the file") from None
        except InvalidPathError:
            raise StorageError(
                f"the name of a file below {self._what} is not UTF-8 or contains a control character; rename the file"
            ) from None
        except (obstore.exceptions.BaseError, OSError) as error:
            if self.is_remote:
                raise StorageError(s3.explain(error, self.setting, done, self.patience)) from None
            raise StorageError(f"{self._what} cannot be {done} ({_code(error)})") from None


def _code(error: Exception) -> str:
    """Name the kind of an error without its text, which quotes paths."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
