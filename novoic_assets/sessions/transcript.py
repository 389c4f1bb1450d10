"""A transcript: who said what, and when, whatever the format of its file."""

import hashlib
import json
from dataclasses import dataclass
from typing import Final, Literal

MAX_WORD_LENGTH: Final = 10_000
"""Longest word, in characters. Language models need memory by the word: 800,000 characters took 6 GB."""

Role = Literal["patient", "investigator", "other"]
ROLES: Final[tuple[Role, ...]] = ("patient", "investigator", "other")


@dataclass(frozen=True, slots=True)
class Word:
    """One word or punctuation mark, as it stands in the file.

    Attributes:
        text: Never empty, without white space at its ends, at most `MAX_WORD_LENGTH` characters.
        speaker: "patient", "investigator", or "other" for a word of an unlisted speaker or of none.
    """

    text: str
    speaker: Role


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a session.

    Attributes:
        start: Seconds from the start of the recording, finite, not negative.
        end: As `start`; not before it.
        words: Words in the order of the file; may be empty.
    """

    start: float
    end: float
    words: tuple[Word, ...]

    @property
    def sole_speaker(self) -> Role | None:
        """Whose segment it is.

        "patient" or "investigator" if every word is that speaker's, "other" if speakers are mixed or not
        known, None if there are no words.
        """
        speakers = {word.speaker for word in self.words}
        if not speakers:
            return None
        return speakers.pop() if len(speakers) == 1 else "other"


@dataclass(frozen=True, slots=True)
class Transcript:
    """What one file says. `novoic_assets.sessions.formats.rules.keep_rules` sees that it is as told here.

    Attributes:
        patient: The patient's speaker id, without white space at its ends; never empty.
        segments: Segments in the order in which they begin in the file; at least one of them has a word.
        guidelines: The guidelines that the transcriber followed, in lower case, such as "chat"; empty where the
            file names none, or several.
    """

    patient: str
    segments: tuple[Segment, ...]
    guidelines: str = ""


def content_digest(transcript: Transcript) -> str:
    """Hash what later stages use of a transcript: guidelines, roles, times and words, but no speaker's id.

    Args:
        transcript: A parsed transcript.

    Returns:
        64 hexadecimal digits, equal for equal content however the file was written, and in whatever format.
    """
    content = [
        transcript.guidelines,
        *(
            [segment.start, segment.end, [[word.speaker, word.text] for word in segment.words]]
            for segment in transcript.segments
        ),
    ]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode("ascii")).hexdigest()
