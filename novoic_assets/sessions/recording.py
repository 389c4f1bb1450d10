"""Decode a recording: any supported file in, 16 kHz mono blocks out.

libsndfile (through `soundfile`) decodes and libsoxr resamples. libsndfile is too forgiving for training
data. It silently shortens a truncated WAV file (`container` refuses it), loses the exceptions of the file
object that it reads from (`decoder_file` keeps them), and takes an int16-scaled float file for a recording
of +90 dBFS (this module finds its scale).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.container import check_container
from novoic_assets.sessions.decoder_file import DecoderFile
from novoic_assets.sessions.sample_facts import SampleFacts, SampleObserver

SAMPLE_RATE: Final = 16_000
"""Sample rate of every decoded block, in Hz."""

DECODER_VERSION: Final = "1"
"""Part of the fingerprint of everything computed from decoded samples. Raise it whenever they change."""

AUDIO_EXTENSIONS: Final = frozenset({".wav", ".wave", ".flac", ".ogg", ".oga", ".opus"})
"""Lower-case file name extensions that `Recording` decodes."""

Scale = Literal["unit", "int16", "over"]

# A block of the source holds this many values (frames x channels), which alone decides how much memory it takes.
_BLOCK_VALUES: Final = 2**16

# Telephone speech is 8 kHz and studio equipment ends at 384 kHz. A forged rate beyond that would make
# the resampler write thousands of samples for each sample that it reads.
_SAMPLE_RATES: Final = range(4_000, 384_001)
_MAX_CHANNELS: Final = 64

_FLOAT_SUBTYPES: Final = ("FLOAT", "DOUBLE")
_INT16_FULL_SCALE: Final = 32_768.0
# Float samples may legitimately exceed full scale (resampling adds a little, a hot mix some dB), but never
# by as much as 8, which is +18 dBFS. A file in int16 scale whose peak is below 8 is digital silence.
_MAX_OVERS: Final = 8.0
# Far above any integer scale in use (int32 ends at 2.1e9): such values are damage, and their squares, which
# every feature takes, would overflow float32.
_MAX_PEAK: Final = 1e12

# libsndfile's SF_COUNT_MAX: the number of frames it reports for a FLAC or Ogg stream that does not state one.
_UNKNOWN_FRAMES: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """Properties of a recording before its conversion to 16 kHz mono.

    Attributes:
        sample_rate: In Hz.
        channels: Number of channels.
        encoding: Container and sample format in libsndfile's names, such as `WAV/PCM_16`.
        frames: Number of samples per channel.
        seconds: `frames / sample_rate`.
        scale: `unit` if full scale is 1; `int16` if a float file held values of int16 scale, which were
            divided by 32,768; `over` if a float file exceeded full scale and was left unchanged.
    """

    sample_rate: int
    channels: int
    encoding: str
    frames: int
    seconds: float
    scale: Scale


class Recording:
    """One decode of one recording, in blocks, with memory that does not grow with its length.

    The samples depend on the file's bytes alone: block boundaries count from the first sample, whatever the
    sizes of the file object's reads.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> soundfile.write(file, np.zeros(44_100), 44_100, format="WAV")
        >>> recording = Recording(file)
        >>> len(np.concatenate(list(recording.blocks())))
        16000
        >>> recording.facts.sample_rate, recording.facts.encoding
        (44100, 'WAV/PCM_16')
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the header and, for a float file, all samples once to find their peak.

        Args:
            file: Seekable. It stays open, and nothing else may read it before the last block.

        Raises:
            Refused: With UNREADABLE_AUDIO, EMPTY_AUDIO, TRUNCATED_AUDIO or NON_FINITE_AUDIO.
            Exception: Any error of `file` itself, unchanged.
        """
        self._source = DecoderFile(file)
        self._facts: RecordingFacts | None = None
        self._sample_facts: SampleFacts | None = None
        check_container(self._source)
        self._sound = self._open()
        self._scale: Scale = "unit"
        if self._sound.subtype in _FLOAT_SUBTYPES:
            self._scale = _scale_of_peak(self._peak())
            self._sound = self._open()

    @property
    def facts(self) -> RecordingFacts:
        """The recording's properties before conversion; known after the last block.

        Raises:
            RuntimeError: The last block has not been yielded yet.
        """
        if self._facts is None:
            raise RuntimeError("the facts of a recording are known after its last block")
        return self._facts

    @property
    def sample_facts(self) -> SampleFacts:
        """What the samples show about the recording; known after the last block.

        Raises:
            RuntimeError: The last block has not been yielded yet.
        """
        if self._sample_facts is None:
            raise RuntimeError("the facts of a recording are known after its last block")
        return self._sample_facts

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Decode the recording. Call this once.

        The channels are averaged, and libsoxr resamples the average to 16 kHz at its quality HQ.

        Yields:
            Arrays of float32, shape (samples,), never empty, each a new array.

        Raises:
            Refused: With UNREADABLE_AUDIO, EMPTY_AUDIO or TRUNCATED_AUDIO.
            Exception: Any error of the file object itself, unchanged.
        """
        sample_rate, channels = self._sound.samplerate, self._sound.channels
        resampler = None if sample_rate == SAMPLE_RATE else soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1)
        observed = SampleObserver(self._sound.subtype)
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
        """Return the largest absolute value of all channels; NaN or infinite if any value is."""
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
        """Turn an error of libsndfile into a reason, unless the file object failed."""
        try:
            yield
        except soundfile.SoundFileError:
            self._source.raise_failure()
            # A FLAC decoder that runs out of bytes inside a frame reports the same error as for damage; only
            # the position in the file distinguishes the two.
            truncated = flac_frames and self._source.reached_end
            raise Refused(Reason.TRUNCATED_AUDIO if truncated else Reason.UNREADABLE_AUDIO) from None
        self._source.raise_failure()


class _SequentialSoundFile(soundfile.SoundFile):  # type: ignore[misc] # soundfile ships no types
    """A sound file that is read from its start to its end.

    After each block `SoundFile.read` seeks to its current position, which fails in a FLAC stream without a
    stated length. It does not seek in a file that says it is not seekable.
    """

    def seekable(self) -> bool:
        return False


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
    """Average the channels: float32, from shape (frames, channels) to (frames,)."""
    channels = block.shape[1]
    # NumPy's mean over a short last axis is several times slower than adding the columns.
    mono = block[:, 0]
    for channel in range(1, channels):
        mono = mono + block[:, channel]
    return mono / np.float32(channels) if channels > 1 else mono
