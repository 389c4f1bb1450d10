"""Reading a file in blocks, so that memory holds only one block of any file."""

import hashlib
import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class BlockReader(io.RawIOBase):
    """A seekable file that fetches its content in blocks and hashes it on the way.

    >>> content = b"0123456789"
    >>> reader = BlockReader(lambda start, end: memoryview(content[start:end]), size=10, block_size=4)
    >>> _ = reader.seek(3)
    >>> reader.read(4)
    b'3456'
    >>> reader.sha256() == hashlib.sha256(content).hexdigest()
    True
    """

    def __init__(self, fetch: Callable[[int, int], memoryview], size: int, block_size: int) -> None:
        """Prepare the reader; the first read fetches the first block.

        Args:
            fetch: Returns the bytes of the file from a start to an end. If it raises, the reader stays unchanged.
            size: Size of the file in bytes.
            block_size: Size of a block in bytes; the last block may be shorter.
        """
        super().__init__()
        self._fetch = fetch
        self._size = size
        self._block_size = block_size
        self._position = 0
        self._block_index = -1
        self._block = memoryview(b"")
        self._hash = hashlib.sha256()
        self._hashed_blocks = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position.

        Args:
            offset: Number of bytes to move.
            whence: Where to move from: `os.SEEK_SET`, `os.SEEK_CUR` or `os.SEEK_END`.

        Returns:
            The new position, in bytes from the start; never before it.
        """
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer; only the end of the file leaves it partly empty.

        Returns:
            The number of bytes read.

        Raises:
            Exception: Whatever `fetch` raises.
        """
        target = memoryview(buffer).cast("B")
        done = 0
        while done < len(target) and self._position < self._size:
            self._load(self._position // self._block_size)
            piece = self._block[self._position % self._block_size :][: len(target) - done]
            target[done : done + len(piece)] = piece
            done += len(piece)
            self._position += len(piece)
        return done

    def sha256(self) -> str:
        """Hash the whole file; this fetches the blocks that no read has hashed yet.

        Returns:
            The SHA-256 in hexadecimal.

        Raises:
            Exception: Whatever `fetch` raises.
        """
        while self._hashed_blocks * self._block_size < self._size:
            self._load(self._hashed_blocks)
        return self._hash.hexdigest()

    def _load(self, index: int) -> None:
        if index == self._block_index:
            return
        start = index * self._block_size
        self._block = self._fetch(start, min(start + self._block_size, self._size))
        self._block_index = index
        if index == self._hashed_blocks:
            self._hash.update(self._block)
            self._hashed_blocks += 1
