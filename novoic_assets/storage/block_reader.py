"""Reading a file in blocks: memory holds one block, whatever the size of the file."""

import hashlib
import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class BlockReader(io.RawIOBase):
    """A seekable file that is fetched in blocks, and whose content is hashed on the way."""

    def __init__(self, fetch: Callable[[int, int], memoryview], size: int, block_size: int) -> None:
        """Fetch nothing before the first read.

        Args:
            fetch: Gives the bytes of the file from a start to an end; what it raises leaves the reader unchanged.
            size: Size of the file in bytes.
            block_size: Size of a block in bytes; the last one may be shorter.
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
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Position in bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it, in bytes from the start."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer, with fewer bytes only at the end of the file; the number of bytes read.

        Raises:
            Exception: Whatever fetching raises.
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
        """SHA-256 of the whole file in hexadecimal; fetches what no read has fetched.

        Raises:
            Exception: Whatever fetching raises.
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
