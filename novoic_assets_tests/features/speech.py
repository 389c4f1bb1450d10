"""Speech for comparing audio features with independent implementations: voices of espeak-ng, and recordings.

Debian's espeak-ng reads texts of different kinds with voices that differ in pitch, formants, accent and speed. It
writes exact zeros in pauses, which no microphone does: so each voice gets the noise of a quiet room.
"""

import io
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from novoic_assets.sessions.recording import Recording
from novoic_assets_tests import needs
from novoic_assets_tests.corpora import FIXTURES

_LJ_SPEECH = tuple(sorted((FIXTURES / "lj_speech").glob("*.flac")))
RECORDINGS = (*_LJ_SPEECH, *sorted((FIXTURES / "librispeech").glob("*.flac")))
"""The files of real speech: two utterances of LJ Speech, and six speakers of LibriSpeech."""


@dataclass(frozen=True)
class _Voice:
    """A voice of espeak-ng: its name, pitch (0 to 99), words per minute, SNR in dB and text."""

    name: str
    pitch: int
    words_per_minute: int
    snr_db: float
    text: str


_VOICES = (
    _Voice(
        "en-us+m1", 50, 150, 40,
        "In the kitchen a boy climbs on a stool to reach the biscuits. The stool is about to fall. His sister "
        "laughs and holds out her hand, while their mother dries a plate and does not see the water running over.",
    ),
    _Voice(
        "en-gb+m2", 50, 140, 35,
        "Mix the flour with the butter until it looks like crumbs. Add a spoon of sugar, two eggs and a little cold"
        " milk. Roll it out, leave it to rest for an hour, and bake it until the edges turn brown.",
    ),
    _Voice(
        "en-gb-scotland+m3", 60, 160, 45,
        "The wind came down from the hills all morning. By noon the boats were back in the harbour, and the men "
        "stood along the wall, smoking, saying nothing, watching the grey line where the sea met the sky.",
    ),
    _Voice(
        "en-us+m4", 45, 135, 30,
        "Well, I was born in a small town near the river. There were six of us, and my father, um, he worked on the"
        " railway. We had a dog, a big yellow one. What was his name? I used to know his name.",
    ),
    _Voice(
        "en-gb-x-rp+m5", 70, 170, 40,
        "Good morning, this is the weather for Wednesday. Rain will move in from the west, reaching most places by "
        "evening. Temperatures between nine and thirteen degrees, colder in the north, with gales along the coast.",
    ),
    _Voice(
        "en-us+m6", 40, 145, 38,
        "A crow sat in a tree with a piece of cheese in her beak. A fox looked up and said: what a beautiful bird! "
        "If only you could sing! The crow opened her beak, the cheese fell down, and the fox was gone.",
    ),
    _Voice(
        "en-029+m7", 55, 155, 42,
        "Turn left at the church and go on over the bridge. After the second light you will see a yellow house with"
        " a blue door. Do not ring the bell, it does not work; knock, and knock loudly, because she is a little "
        "deaf.",
    ),
    _Voice(
        "en-us+f1", 45, 150, 40,
        "Every summer we went to the lake. My aunt rowed the boat and sang, and my uncle fished and told her to be "
        "quiet. We swam until our fingers were blue. Nobody owned a watch, and nobody needed one.",
    ),
    _Voice(
        "en-gb+f2", 85, 165, 35,
        "How often do you take the medicine? Twice a day, with food. And have you been feeling dizzy at all? A "
        "little, in the mornings, when I get up. Do you live alone? No, with my daughter and her two children.",
    ),
    _Voice(
        "en-us+f3", 75, 140, 45,
        "One, two, three, four, five, six, seven. Monday, Tuesday, Wednesday, Thursday. Apple, table, penny. A "
        "lion, a rhinoceros, a camel. We finish each other's lemonade on a warm and lazy afternoon in early May.",
    ),
    _Voice(
        "en-gb-x-gbclan+f4", 50, 155, 32,
        "The committee shall meet at least once in each quarter. Any member may ask for an item to be added, "
        "provided that notice is given in writing no later than ten days before the day of the meeting.",
    ),
    _Voice(
        "en-us+f5", 65, 160, 40,
        "Snow fell during the night, and in the morning the whole valley lay white and silent. Only one line of "
        "footprints crossed the meadow, small and even, from the barn to the well and back again.",
    ),
)  # fmt: skip


@cache
def espeak_voices() -> Mapping[str, NDArray[np.float32]]:
    """Twelve voices, seven male and five female, each with its own text of some ten seconds.

    Returns:
        By name, mono float32 at 16 kHz with room noise. Made once in each process; skips the test if espeak-ng is
        missing.
    """
    needs.program("espeak-ng")
    return MappingProxyType({voice.name: _frozen(_in_a_room(voice, seed)) for seed, voice in enumerate(_VOICES)})


@cache
def recordings() -> Mapping[str, NDArray[np.float32]]:
    """The real speech of `RECORDINGS`: by name, mono float32 at 16 kHz."""
    return MappingProxyType({file.stem: _frozen(_at_16_khz(file.read_bytes())) for file in RECORDINGS})


def voices() -> Mapping[str, NDArray[np.float32]]:
    """The voices of espeak-ng, and the utterances of LJ Speech."""
    return MappingProxyType({**espeak_voices(), **{file.stem: recordings()[file.stem] for file in _LJ_SPEECH}})


def _in_a_room(voice: _Voice, seed: int) -> NDArray[np.float32]:
    """Let a voice read its text, and add noise that falls by 3 dB per octave, much like a quiet room's."""
    # On standard output espeak-ng writes a header without lengths.
    command = ["espeak-ng", "-v", voice.name, "-p", str(voice.pitch), "-s", str(voice.words_per_minute), "--stdout"]
    wav = subprocess.run([*command, voice.text], check=True, capture_output=True).stdout
    speech = _at_16_khz(_with_lengths(wav))
    white = np.fft.rfft(np.random.default_rng(seed).normal(size=len(speech)))
    noise = np.fft.irfft(white / np.sqrt(np.arange(len(white)) + len(white) / 160), len(speech))
    gain = np.sqrt(np.mean(speech.astype(float) ** 2) / np.mean(noise**2)) * 10 ** (-voice.snr_db / 20)
    noisy: NDArray[np.float32] = (speech + gain * noise).astype(np.float32)
    return noisy


def _with_lengths(wav: bytes) -> bytes:
    """Write the true lengths into the header of a canonical WAV file of 44 bytes and samples."""
    return b"".join(
        [wav[:4], (len(wav) - 8).to_bytes(4, "little"), wav[8:40], (len(wav) - 44).to_bytes(4, "little"), wav[44:]]
    )


def _at_16_khz(wav: bytes) -> NDArray[np.float32]:
    return np.concatenate(list(Recording(io.BytesIO(wav)).blocks()))


def _frozen(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    samples.flags.writeable = False
    return samples
