"""The file of a recording as its decoder sees it: reads are complete, and failures are kept for the caller."""

import os
from typing import BinaryIO


class DecoderFile:
    """The file object as libsndfile sees it, through C callbacks of `soundfile`.

    An exception in a callback would be printed and lost, and a read that returns less than was asked for
    would be taken for the end of the file. So the exception is kept for `raise_failure`, and reads are
    repeated until they are complete. Seeks only change a number: garbage in a header asks for impossible
    positions, and what a real file object answers to those is not a failure of the storage.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Learn the file's size.

        Args:
            file: Seekable; may stand anywhere, and stays open.
        """
        self._file = file
        self._position = 0
        self._failure: BaseException | None = None
        file.seek(0, os.SEEK_END)
        self.size = file.tell()
        self.reached_end = False
        self._overlay_offset, self._overlay = 0, b""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end of the file."""
        self._file.seek(offset)
        data = self._file.read(size)
        while data and len(data) < size:
            more = self._file.read(size - len(data))
            if not more:
                break
            data += more
        return data

    def overlay(self, offset: int, data: bytes) -> None:
        """Let libsndfile read `data` at `offset` in the place of what the file has there."""
        self._overlay_offset, self._overlay = offset, data

    def _overlaid(self, data: bytes) -> bytes:
        """Return what was read at the present position with the overlay in its place."""
        start = max(self._overlay_offset, self._position)
        end = min(self._overlay_offset + len(self._overlay), self._position + len(data))
        if start >= end:
            return data
        patch = self._overlay[start - self._overlay_offset : end - self._overlay_offset]
        return data[: start - self._position] + patch + data[end - self._position :]

    def raise_failure(self) -> None:
        """Raise what the file object raised inside a callback, if it did."""
        if self._failure is not None:
            raise self._failure

    def readinto(self, buffer: memoryview) -> int:
        """Callback: fill `buffer`, and return 0 from a failure on so that libsndfile gives up."""
        if self._failure is not None or self._position >= self.size:
            self.reached_end = True
            return 0
        try:
            data = self.read_at(self._position, len(buffer))
        except BaseException as failure:  # noqa: BLE001 - a C caller would lose it; raise_failure raises it
            self._failure = failure
            return 0
        buffer[: len(data)] = self._overlaid(data)
        self._position += len(data)
        self.reached_end = len(data) < len(buffer)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Callback: move, unless to before the first byte."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(start + offset, 0)
        return self._position

    def tell(self) -> int:
        """Callback: where the next read starts."""
        return self._position
