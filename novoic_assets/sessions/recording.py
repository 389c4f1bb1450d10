"""Decoding a recording: any supported file in, 16 kHz mono blocks out.

libsndfile (through `soundfile`) decodes and libsoxr resamples. libsndfile is too forgiving for training
data: it shortens a truncated WAV file to what is there without a word, takes an int16-scaled float file
for a recording of +90 dBFS, and loses the exceptions of the file object that it reads from. This module
adds what is missing, in the reason codes of `novoic_assets.reasons`.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from novoic_assets.reasons import Reason, Refused

SAMPLE_RATE: Final = 16_000
"""Sample rate of every decoded block, in Hz."""

DECODER_VERSION: Final = "1"
"""Part of the fingerprint of all that is computed from decoded samples; raised whenever they change."""

AUDIO_EXTENSIONS: Final = frozenset({".wav", ".wave", ".flac", ".ogg", ".oga", ".opus"})
"""Lower-case file name extensions of what `Recording` decodes."""

Scale = Literal["unit", "int16", "over"]

# A block of the source holds this many values (frames x channels), so memory depends on nothing else.
_BLOCK_VALUES: Final = 2**16

# Telephone speech is 8 kHz and studio equipment ends at 384 kHz. A forged rate beyond that would make
# the resampler write thousands of samples for each one that it reads.
_SAMPLE_RATES: Final = range(4_000, 384_001)
_MAX_CHANNELS: Final = 64

_FLOAT_SUBTYPES: Final = ("FLOAT", "DOUBLE")
_INT16_FULL_SCALE: Final = 32_768.0
# Float samples may legitimately pass full scale (resampling adds a little, a hot mix some dB), but nobody's
# overs reach 8, which is +18 dBFS; and a file in int16 scale whose peak is below 8 is digital silence.
_MAX_OVERS: Final = 8.0
# Far above any integer scale in use (int32 ends at 2.1e9): such values are damage, and the squares that
# every feature takes of them would leave float32.
_MAX_PEAK: Final = 1e12

# Bits of a sample by libsndfile's subtype; what is not here is lossy and has no fixed number.
_BITS: Final = {
    "PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "ULAW": 8, "ALAW": 8, "FLOAT": 32, "DOUBLE": 64,
}  # fmt: skip
# What a float32, as libsndfile gives samples, holds of an integer.
_EXACT_BITS: Final = 24
# -20 dB of full scale: 12 steps of 8 bits.
_LOWEST_CLIPPING: Final = 0.1

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

# libsndfile's SF_COUNT_MAX, the number of frames of a FLAC or Ogg stream that does not tell its own.
_UNKNOWN_FRAMES: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """What a recording was before it became 16 kHz mono.

    Attributes:
        sample_rate: In Hz.
        channels: Number of channels.
        encoding: Container and sample format in libsndfile's names, such as `WAV/PCM_16`.
        frames: Number of samples per channel.
        seconds: `frames / sample_rate`.
        scale: `unit` when full scale is 1; `int16` when a float file held values of int16 scale, which
            were divided by 32,768; `over` when a float file passed full scale and was left as it is.
    """

    sample_rate: int
    channels: int
    encoding: str
    frames: int
    seconds: float
    scale: Scale


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """What the samples of a recording tell of how it was made, before they are averaged over channels and resampled.

    Attributes:
        offset: The mean of all samples, relative to full scale.
        clipped_share: The share of samples that lie at the recording's own highest or lowest value. One at each is
            no clipping, nor is anything where the value is below -20 dB of full scale: there a coarse
            quantisation has few steps.
        bits: Bits that the encoding gives a sample; None where it has no fixed number, as lossy ones.
        used_bits: Of those, the bits down to the lowest one that is ever set; None for what is no integer.
    """

    offset: float
    clipped_share: float
    bits: int | None
    used_bits: int | None


class Recording:
    """One decode of one recording, in blocks, in memory that does not grow with its length.

    The samples depend on the file's bytes alone: block boundaries start at the first sample, however the
    file object divides its reads.

    Example:
        >>> recording = Recording(file)
        >>> samples = np.concatenate(list(recording.blocks()))
        >>> recording.facts.sample_rate
        44100
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the header and, for a float file, all samples once to learn their peak.

        Args:
            file: Seekable; stays open, and belongs to this object until the last block was yielded.

        Raises:
            Refused: With UNREADABLE_AUDIO, EMPTY_AUDIO, TRUNCATED_AUDIO or NON_FINITE_AUDIO.
            Exception: Whatever `file` itself raises, unchanged.
        """
        self._source = _Source(file)
        self._facts: RecordingFacts | None = None
        self._sample_facts: SampleFacts | None = None
        _check_container(self._source)
        self._sound = self._open()
        self._scale: Scale = "unit"
        if self._sound.subtype in _FLOAT_SUBTYPES:
            self._scale = _scale_of_peak(self._peak())
            self._sound = self._open()

    @property
    def facts(self) -> RecordingFacts:
        """What the recording was; known once the last block was yielded."""
        if self._facts is None:
            raise RuntimeError("the facts of a recording are known after its last block")
        return self._facts

    @property
    def sample_facts(self) -> SampleFacts:
        """What its samples tell; known once the last block was yielded."""
        if self._sample_facts is None:
            raise RuntimeError("the facts of a recording are known after its last block")
        return self._sample_facts

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Decode the recording; may be called once.

        Channels are averaged, and the average is resampled to 16 kHz by libsoxr at its quality HQ.

        Yields:
            float32, shape (samples,), never empty, each a new array.

        Raises:
            Refused: With UNREADABLE_AUDIO, EMPTY_AUDIO or TRUNCATED_AUDIO.
            Exception: Whatever the file object itself raises, unchanged.
        """
        sample_rate, channels = self._sound.samplerate, self._sound.channels
        resampler = None if sample_rate == SAMPLE_RATE else soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1)
        observed = _ObservedSamples(self._sound.subtype)
        frames = 0
        for block in self._source_blocks():
            frames += len(block)
            observed.add(block)
            mono = _mean_of_channels(block)
            if self._scale == "int16":
                mono /= np.float32(_INT16_FULL_SCALE)
            samples = mono if resampler is None else resampler.resample_chunk(mono)
            if len(samples):
                yield samples
        if frames == 0:
            raise Refused(Reason.EMPTY_AUDIO)
        if resampler is not None:
            samples = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            if len(samples):
                yield samples
        self._facts = RecordingFacts(
            sample_rate=sample_rate,
            channels=channels,
            encoding=f"{self._sound.format}/{self._sound.subtype}",
            frames=frames,
            seconds=frames / sample_rate,
            scale=self._scale,
        )
        self._sample_facts = observed.facts(_INT16_FULL_SCALE if self._scale == "int16" else 1.0)

    def _open(self) -> "_SequentialSoundFile":
        self._source.seek(0)
        with self._decoding():
            sound = _SequentialSoundFile(self._source)
        if sound.samplerate not in _SAMPLE_RATES or not 1 <= sound.channels <= _MAX_CHANNELS:
            raise Refused(Reason.UNREADABLE_AUDIO)
        return sound

    def _peak(self) -> float:
        """Largest absolute value of all channels; NaN or infinite if any value is."""
        peak = 0.0
        for block in self._source_blocks():
            # NumPy's minimum and maximum are NaN when any value is.
            peak = float(np.max([peak, -block.min(), block.max()]))
        return peak

    def _source_blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the file's own samples, float32, shape (frames, channels), and check their number."""
        promised = self._sound.frames
        channels = self._sound.channels
        frames = 0
        while True:
            block = np.empty((_BLOCK_VALUES // channels, channels), np.float32)
            with self._decoding(flac_frames=self._sound.format == "FLAC"):
                block = self._sound.read(out=block)
            if not len(block):
                break
            frames += len(block)
            yield block
        if frames < promised != _UNKNOWN_FRAMES:
            raise Refused(Reason.TRUNCATED_AUDIO)

    @contextmanager
    def _decoding(self, *, flac_frames: bool = False) -> Iterator[None]:
        """Turn what libsndfile reports into a reason, unless the file object was to blame."""
        try:
            yield
        except soundfile.SoundFileError:
            self._source.raise_failure()
            # A FLAC decoder that runs out of bytes inside a frame reports the same as for damage, and only
            # the position in the file tells which it was.
            truncated = flac_frames and self._source.reached_end
            raise Refused(Reason.TRUNCATED_AUDIO if truncated else Reason.UNREADABLE_AUDIO) from None
        self._source.raise_failure()


class _ObservedSamples:
    """Gathers what `SampleFacts` tells from the blocks of the source."""

    def __init__(self, subtype: str) -> None:
        self._bits = _BITS.get(subtype)
        self._is_integer = subtype.startswith("PCM_")
        self._used = 0
        self._sum = 0.0
        self._n_samples = 0
        self._lowest, self._n_lowest = np.inf, 0
        self._highest, self._n_highest = -np.inf, 0

    def add(self, block: NDArray[np.float32]) -> None:
        """Add a block of the source's samples, shape (frames, channels)."""
        samples = block.reshape(-1)
        self._n_samples += len(samples)
        self._sum += float(samples.sum())
        # Most blocks do not reach the extremes of those before, and need no counting.
        lowest, highest = float(samples.min()), float(samples.max())
        if lowest <= self._lowest:
            before = self._n_lowest if lowest == self._lowest else 0
            self._lowest, self._n_lowest = lowest, before + int(np.count_nonzero(samples == lowest))
        if highest >= self._highest:
            before = self._n_highest if highest == self._highest else 0
            self._highest, self._n_highest = highest, before + int(np.count_nonzero(samples == highest))
        if self._is_integer and self._bits is not None and self._used_bits < min(self._bits, _EXACT_BITS):
            integers = (samples * np.float32(2 ** (_EXACT_BITS - 1))).astype(np.int32)
            self._used |= int(np.bitwise_or.reduce(integers))

    @property
    def _used_bits(self) -> int:
        """Bits down to the lowest one set so far; 0 where none is."""
        lowest_bit = self._used & -self._used
        return _EXACT_BITS - lowest_bit.bit_length() + 1 if lowest_bit else 0

    def facts(self, full_scale: float) -> SampleFacts:
        """What was gathered; `full_scale` is the value of full scale in the source."""
        extremes = ((-self._lowest, self._n_lowest), (self._highest, self._n_highest))
        clipped = sum(count - 1 for value, count in extremes if value >= _LOWEST_CLIPPING * full_scale)
        return SampleFacts(
            offset=self._sum / self._n_samples / full_scale,
            clipped_share=clipped / self._n_samples,
            bits=self._bits,
            used_bits=self._used_bits if self._is_integer else None,
        )


class _SequentialSoundFile(soundfile.SoundFile):  # type: ignore[misc] # soundfile ships no types
    """A sound file that is read from its start to its end.

    `SoundFile.read` seeks to where it already is after each block, and that fails in a FLAC stream that
    does not tell its length. It leaves the seek out when the file says that it cannot.
    """

    def seekable(self) -> bool:
        return False


class _Source:
    """The file object as libsndfile sees it, through C callbacks of `soundfile`.

    An exception in a callback would be printed and lost, and a read that returns less than was asked for
    would be taken for the end of the file. So the exception is kept for `raise_failure`, and reads are
    repeated until they are complete. Seeks only change a number: garbage in a header asks for impossible
    positions, and what a real file object answers to those is not a failure of the storage.
    """

    def __init__(self, file: BinaryIO) -> None:
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


def _check_container(source: _Source) -> None:
    """Refuse what is no supported container, and a WAV file with less data than its header says."""
    if source.size == 0:
        raise Refused(Reason.EMPTY_AUDIO)
    magic = source.read_at(0, 4)
    if magic not in _MAGIC:
        raise Refused(Reason.UNREADABLE_AUDIO)
    if magic in _RIFF_BYTE_ORDER:
        _check_riff_data_length(source, _RIFF_BYTE_ORDER[magic])


def _check_riff_data_length(source: _Source, byte_order: str) -> None:
    """Walk the chunks up to the samples and compare their length with what is there; refuse MP3 in WAV.

    The layout is that of "Multimedia Programming Interface and Data Specifications 1.0" (IBM and
    Microsoft, 1991) and, for RF64 with its 64-bit lengths in a `ds64` chunk, of EBU Tech 3306. A file
    without a `data` chunk is left to libsndfile.

    Args:
        source: Starts with a RIFF, RIFX or RF64 header of 12 bytes. Where the data's length is unknown,
            libsndfile will be shown their true length.
        byte_order: `<` or `>`, as in `struct`.

    Raises:
        Refused: With TRUNCATED_AUDIO, EMPTY_AUDIO, or UNREADABLE_AUDIO for MP3 and for an absurd number of chunks.
    """
    length_64, length_64_offset = None, 0
    offset = 12
    for _ in range(_MAX_RIFF_CHUNKS):
        header = source.read_at(offset, 8)
        if len(header) < 8:
            return
        name, length = struct.unpack(f"{byte_order}4sI", header)
        length_offset, offset = offset + 4, offset + 8
        if name == b"fmt " and source.read_at(offset, 2) in _MPEG_FORMAT_TAGS:
            raise Refused(Reason.UNREADABLE_AUDIO)
        if name == b"ds64":
            sizes = source.read_at(offset, 16)
            if len(sizes) == 16:
                _, length_64 = struct.unpack(f"{byte_order}QQ", sizes)
                length_64_offset = offset + 8
        if name == b"data":
            there = source.size - offset
            if length_64 is not None and length == 0xFFFF_FFFF:
                _check_data_length(source, length_64, there, byte_order)
                if length_64 in _UNKNOWN_LENGTHS:
                    source.overlay(length_64_offset, struct.pack(f"{byte_order}Q", there))
            else:
                _check_data_length(source, length, there, byte_order)
                if length in _UNKNOWN_LENGTHS:
                    source.overlay(length_offset, struct.pack(f"{byte_order}I", min(there, 0xFFFF_FFFF)))
            return
        offset += length + length % 2  # chunks start at even offsets
    raise Refused(Reason.UNREADABLE_AUDIO)


def _check_data_length(source: _Source, length: int, there: int, byte_order: str) -> None:
    """Refuse samples of which fewer bytes are there than promised, or none is promised in earnest."""
    (riff_length,) = struct.unpack(f"{byte_order}I", source.read_at(4, 4))
    if length == 0 and riff_length == source.size - 8:
        # The writer did come back to fill in the lengths, so what follows are other chunks.
        raise Refused(Reason.EMPTY_AUDIO)
    if length not in _UNKNOWN_LENGTHS and length > there:
        raise Refused(Reason.TRUNCATED_AUDIO)


def _scale_of_peak(peak: float) -> Scale:
    """Judge the scale of a float file by its largest absolute value."""
    if not np.isfinite(peak):
        raise Refused(Reason.NON_FINITE_AUDIO)
    if peak > _MAX_PEAK:
        raise Refused(Reason.UNREADABLE_AUDIO)
    if peak <= 1:
        return "unit"
    return "int16" if _MAX_OVERS < peak <= _INT16_FULL_SCALE else "over"


def _mean_of_channels(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the channels: float32, shape (frames, channels) to (frames,)."""
    channels = block.shape[1]
    # NumPy's mean over a short last axis is several times slower than adding the columns.
    mono = block[:, 0]
    for channel in range(1, channels):
        mono = mono + block[:, channel]
    return mono / np.float32(channels) if channels > 1 else mono
