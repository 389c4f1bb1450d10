"""Represent a transcript: who said what, and when, whatever the format of its file."""

import hashlib
import json
from dataclasses import dataclass
from typing import Final, Literal

MAX_WORD_LENGTH: Final = 10_000
"""Length of the longest allowed word, in characters. A language model's memory grows with it: 800,000 took 6 GB."""

Role = Literal["patient", "investigator", "other"]
ROLES: Final[tuple[Role, ...]] = ("patient", "investigator", "other")


@dataclass(frozen=True, slots=True)
class Word:
    """One word or punctuation mark, as it stands in the file.

    Attributes:
        text: Never empty, without white space at its ends, at most `MAX_WORD_LENGTH` characters.
        speaker: "patient", "investigator", or "other" for a word without a speaker or with an unlisted one.
    """

    text: str
    speaker: Role


@dataclass(frozen=True, slots=True)
class Segment:
    """A timed part of a session.

    Attributes:
        start: Seconds from the start of the recording, finite, not negative.
        end: As `start`, and not earlier.
        words: Words in the order of the file; may be empty.
    """

    start: float
    end: float
    words: tuple[Word, ...]

    @property
    def sole_speaker(self) -> Role | None:
        """The speaker of the segment.

        "patient" or "investigator" if that speaker says every word, "other" if speakers are mixed or unknown,
        None without words.
        """
        speakers = {word.speaker for word in self.words}
        if not speakers:
            return None
        return speakers.pop() if len(speakers) == 1 else "other"


@dataclass(frozen=True, slots=True)
class Transcript:
    """The content of one file. `novoic_assets.sessions.formats.rules.keep_rules` ensures what is promised here.

    Attributes:
        patient: The patient's speaker id, without white space at its ends; never empty.
        segments: Segments in the order in which they begin in the file; at least one of them has a word.
        guidelines: The guidelines that the transcriber followed, in lower case, such as "chat"; empty if the
            file names none or several.
    """

    patient: str
    segments: tuple[Segment, ...]
    guidelines: str = ""


def content_digest(transcript: Transcript) -> str:
    """Hash the parts of a transcript that later stages use: guidelines, roles, times and words, but no speaker id.

    Args:
        transcript: A parsed transcript.

    Returns:
        64 hexadecimal digits, equal for equal content, whatever the file's format and layout.
    """
    content = [
        transcript.guidelines,
        *(
            [segment.start, segment.end, [[word.speaker, word.text] for word in segment.words]]
            for segment in transcript.segments
        ),
    ]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode("ascii")).hexdigest()
