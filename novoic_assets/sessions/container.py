"""Check a recording's container before libsndfile decodes it.

libsndfile tries two dozen formats on a file, and silently shortens a truncated WAV file to the data it has.
"""

import struct
from typing import Final

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.decoder_file import DecoderFile

# First four bytes of the supported containers. Any other file is refused before libsndfile tries its
# two dozen other formats, some of which have no recognisable header.
_RIFF_BYTE_ORDER: Final = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<"}
_MAGIC: Final = frozenset({*_RIFF_BYTE_ORDER, b"fLaC", b"OggS"})

# Data lengths left by a writer that cannot go back to its header: zero, all ones (ffmpeg),
# 0x7FFFF000 (SoX) or the largest signed number. After a zero, libsndfile would find no samples.
_UNKNOWN_LENGTHS: Final = frozenset({0, 0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF})
# No recorder writes this many chunks before the samples; a forged file could hold hundreds of millions.
_MAX_RIFF_CHUNKS: Final = 1_000

# WAVE_FORMAT_MPEG and WAVE_FORMAT_MPEGLAYER3 (MP3 in a WAV file), in either byte order. Their decoder
# prints bytes of the file that it does not understand to standard error.
_MPEG_FORMAT_TAGS: Final = (b"\x50\0", b"\x55\0", b"\0\x50", b"\0\x55")


def check_container(file: DecoderFile) -> None:
    """Refuse an unsupported container, and a WAV file with less data than its header says.

    Args:
        file: The recording. If a WAV header leaves the data length open, an overlay shows libsndfile the true length.

    Raises:
        Refused: With UNREADABLE_AUDIO, EMPTY_AUDIO or TRUNCATED_AUDIO.
        Exception: Any error of the underlying file object, unchanged.
    """
    if file.size == 0:
        raise Refused(Reason.EMPTY_AUDIO)
    magic = file.read_at(0, 4)
    if magic not in _MAGIC:
        raise Refused(Reason.UNREADABLE_AUDIO)
    if magic in _RIFF_BYTE_ORDER:
        _check_riff_data_length(file, _RIFF_BYTE_ORDER[magic])


def _check_riff_data_length(file: DecoderFile, byte_order: str) -> None:
    """Compare the declared length of the samples with the file's size; refuse MP3 in WAV.

    The layout follows "Multimedia Programming Interface and Data Specifications 1.0" (IBM and Microsoft,
    1991). RF64, with 64-bit lengths in a `ds64` chunk, follows EBU Tech 3306. libsndfile judges a file
    without a `data` chunk.

    Args:
        file: Starts with a RIFF, RIFX or RF64 header of 12 bytes. If the data length is unknown, an overlay
            shows libsndfile the true length.
        byte_order: `<` or `>`, as in `struct`.

    Raises:
        Refused: With TRUNCATED_AUDIO, EMPTY_AUDIO, or UNREADABLE_AUDIO for MP3 and for an absurd number of chunks.
    """
    length_64, length_64_offset = None, 0
    offset = 12
    for _ in range(_MAX_RIFF_CHUNKS):
        header = file.read_at(offset, 8)
        if len(header) < 8:
            return
        name, length = struct.unpack(f"{byte_order}4sI", header)
        length_offset, offset = offset + 4, offset + 8
        if name == b"fmt " and file.read_at(offset, 2) in _MPEG_FORMAT_TAGS:
            raise Refused(Reason.UNREADABLE_AUDIO)
        if name == b"ds64":
            sizes = file.read_at(offset, 16)
            if len(sizes) == 16:
                _, length_64 = struct.unpack(f"{byte_order}QQ", sizes)
                length_64_offset = offset + 8
        if name == b"data":
            available = file.size - offset
            if length_64 is not None and length == 0xFFFF_FFFF:
                _check_data_length(file, length_64, available, byte_order)
                if length_64 in _UNKNOWN_LENGTHS:
                    file.overlay(length_64_offset, struct.pack(f"{byte_order}Q", available))
            else:
                _check_data_length(file, length, available, byte_order)
                if length in _UNKNOWN_LENGTHS:
                    file.overlay(length_offset, struct.pack(f"{byte_order}I", min(available, 0xFFFF_FFFF)))
            return
        offset += length + length % 2  # chunks start at even offsets
    raise Refused(Reason.UNREADABLE_AUDIO)


def _check_data_length(file: DecoderFile, length: int, available: int, byte_order: str) -> None:
    """Refuse a file with fewer bytes of samples than its header promises, or with no samples at all."""
    (riff_length,) = struct.unpack(f"{byte_order}I", file.read_at(4, 4))
    if length == 0 and riff_length == file.size - 8:
        # The writer went back to fill in the lengths, so the zero is true and other chunks follow.
        raise Refused(Reason.EMPTY_AUDIO)
    if length not in _UNKNOWN_LENGTHS and length > available:
        raise Refused(Reason.TRUNCATED_AUDIO)
