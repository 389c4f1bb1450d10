"""What a recording's container must hold before libsndfile may decode it.

libsndfile tries two dozen formats on a file, and shortens a truncated WAV file to what is there without a word.
"""

import struct
from typing import Final

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.decoder_file import DecoderFile

# The first four bytes of the containers that are decoded. Anything else is refused before libsndfile
# tries its two dozen other formats on it, some of which have no header to recognise them by.
_RIFF_BYTE_ORDER: Final = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<"}
_MAGIC: Final = frozenset({*_RIFF_BYTE_ORDER, b"fLaC", b"OggS"})

# What a writer that cannot come back to its header leaves as the length of the data: zero, all ones
# (ffmpeg), 0x7FFFF000 (SoX) or the largest signed number. libsndfile would find no samples behind a zero.
_UNKNOWN_LENGTHS: Final = frozenset({0, 0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF})
# No recorder writes so many chunks before the samples; a forged file could hold hundreds of millions.
_MAX_RIFF_CHUNKS: Final = 1_000

# WAVE_FORMAT_MPEG and WAVE_FORMAT_MPEGLAYER3: MP3 in a WAV file. The decoder behind it prints bytes of
# what it does not understand on the standard error stream. In either byte order.
_MPEG_FORMAT_TAGS: Final = (b"\x50\0", b"\x55\0", b"\0\x50", b"\0\x55")


def check_container(file: DecoderFile) -> None:
    """Refuse what is no supported container, and a WAV file with less data than its header says.

    Args:
        file: Where the header of a WAV file leaves the data's length open, libsndfile will be shown their true length.

    Raises:
        Refused: With UNREADABLE_AUDIO, EMPTY_AUDIO or TRUNCATED_AUDIO.
        Exception: Whatever the file object itself raises, unchanged.
    """
    if file.size == 0:
        raise Refused(Reason.EMPTY_AUDIO)
    magic = file.read_at(0, 4)
    if magic not in _MAGIC:
        raise Refused(Reason.UNREADABLE_AUDIO)
    if magic in _RIFF_BYTE_ORDER:
        _check_riff_data_length(file, _RIFF_BYTE_ORDER[magic])


def _check_riff_data_length(file: DecoderFile, byte_order: str) -> None:
    """Walk the chunks up to the samples and compare their length with what is there; refuse MP3 in WAV.

    The layout is that of "Multimedia Programming Interface and Data Specifications 1.0" (IBM and
    Microsoft, 1991) and, for RF64 with its 64-bit lengths in a `ds64` chunk, of EBU Tech 3306. A file
    without a `data` chunk is left to libsndfile.

    Args:
        file: Starts with a RIFF, RIFX or RF64 header of 12 bytes. Where the data's length is unknown,
            libsndfile will be shown their true length.
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
            there = file.size - offset
            if length_64 is not None and length == 0xFFFF_FFFF:
                _check_data_length(file, length_64, there, byte_order)
                if length_64 in _UNKNOWN_LENGTHS:
                    file.overlay(length_64_offset, struct.pack(f"{byte_order}Q", there))
            else:
                _check_data_length(file, length, there, byte_order)
                if length in _UNKNOWN_LENGTHS:
                    file.overlay(length_offset, struct.pack(f"{byte_order}I", min(there, 0xFFFF_FFFF)))
            return
        offset += length + length % 2  # chunks start at even offsets
    raise Refused(Reason.UNREADABLE_AUDIO)


def _check_data_length(file: DecoderFile, length: int, there: int, byte_order: str) -> None:
    """Refuse samples of which fewer bytes are there than promised, or none is promised in earnest."""
    (riff_length,) = struct.unpack(f"{byte_order}I", file.read_at(4, 4))
    if length == 0 and riff_length == file.size - 8:
        # The writer did come back to fill in the lengths, so what follows are other chunks.
        raise Refused(Reason.EMPTY_AUDIO)
    if length not in _UNKNOWN_LENGTHS and length > there:
        raise Refused(Reason.TRUNCATED_AUDIO)
