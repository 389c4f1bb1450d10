"""Give a decoder the file of a recording: reads are complete, and failures are kept for the caller."""

import os
from typing import BinaryIO


class DecoderFile:
    """The file object that libsndfile reads through the C callbacks of `soundfile`.

    soundfile prints an exception in a callback and loses it, so this object keeps it for `raise_failure`.
    libsndfile takes a short read for the end of the file, so this object repeats reads until they are
    complete. Seeks only change a number: a damaged header requests impossible positions, and the error that
    a real file object gives for those is not a failure of the storage.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Learn the file's size.

        Args:
            file: Seekable, at any position. It stays open.
        """
        self._file = file
        self._position = 0
        self._failure: BaseException | None = None
        file.seek(0, os.SEEK_END)
        self.size = file.tell()
        self.reached_end = False
        self._overlay_offset, self._overlay = 0, b""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`; fewer only at the end of the file."""
        self._file.seek(offset)
        data = self._file.read(size)
        while data and len(data) < size:
            more = self._file.read(size - len(data))
            if not more:
                break
            data += more
        return data

    def overlay(self, offset: int, data: bytes) -> None:
        """Let libsndfile read `data` at `offset` instead of the file's own bytes."""
        self._overlay_offset, self._overlay = offset, data

    def _overlaid(self, data: bytes) -> bytes:
        """Return the bytes read at the current position with the overlay applied."""
        start = max(self._overlay_offset, self._position)
        end = min(self._overlay_offset + len(self._overlay), self._position + len(data))
        if start >= end:
            return data
        patch = self._overlay[start - self._overlay_offset : end - self._overlay_offset]
        return data[: start - self._position] + patch + data[end - self._position :]

    def raise_failure(self) -> None:
        """Raise the exception that the file object raised inside a callback, if any."""
        if self._failure is not None:
            raise self._failure

    def readinto(self, buffer: memoryview) -> int:
        """Callback: fill `buffer`; after a failure return 0, so that libsndfile gives up."""
        if self._failure is not None or self._position >= self.size:
            self.reached_end = True
            return 0
        try:
            data = self.read_at(self._position, len(buffer))
        except BaseException as failure:  # noqa: BLE001 - the C caller would lose it; raise_failure raises it
            self._failure = failure
            return 0
        buffer[: len(data)] = self._overlaid(data)
        self._position += len(data)
        self.reached_end = len(data) < len(buffer)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Callback: move, at most back to the first byte."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(start + offset, 0)
        return self._position

    def tell(self) -> int:
        """Callback: return where the next read starts."""
        return self._position
