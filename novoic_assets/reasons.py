"""Outcomes of a stage: `ok`, or the code of the reason for which an input was refused.

A code is the only thing that is said about a refused input outside the restricted tables, so each one
must stand for itself: `DESCRIPTIONS` tells a user what it means and what to do.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

OK: Final = "ok"


class Reason(StrEnum):
    """Why a stage refused one of its inputs."""

    # metadata
    INVALID_METADATA = "invalid_metadata"
    DUPLICATE_PATIENT = "duplicate_patient"
    # transcripts
    MALFORMED_TRANSCRIPT = "malformed_transcript"
    FORBIDDEN_MARKUP = "forbidden_markup"
    NOT_A_TRANSCRIPT = "not_a_transcript"
    SESSION_ID_MISMATCH = "session_id_mismatch"
    AMBIGUOUS_PATIENT = "ambiguous_patient"
    AMBIGUOUS_TRANSCRIPT = "ambiguous_transcript"
    INVALID_TIMES = "invalid_times"
    NO_WORDS = "no_words"
    # recordings
    AMBIGUOUS_AUDIO = "ambiguous_audio"
    UNREADABLE_AUDIO = "unreadable_audio"
    EMPTY_AUDIO = "empty_audio"
    TRUNCATED_AUDIO = "truncated_audio"
    NON_FINITE_AUDIO = "non_finite_audio"
    # any file
    FILE_CHANGED = "file_changed"
    UNREADABLE_FILE = "unreadable_file"
    # pairing
    NO_TRANSCRIPT = "no_transcript"
    NO_AUDIO = "no_audio"
    TRANSCRIPT_REFUSED = "transcript_refused"
    # ours
    INTERNAL_ERROR = "internal_error"
    WORKER_DIED = "worker_died"


DESCRIPTIONS: Final[dict[Reason, str]] = {
    Reason.INVALID_METADATA: "a value of the row is missing or outside its range",
    Reason.DUPLICATE_PATIENT: "more than one row has this speakerid; keep one",
    Reason.MALFORMED_TRANSCRIPT: "the file cannot be read as its format: it is damaged, or has another encoding",
    Reason.FORBIDDEN_MARKUP: "the file has a DTD or entities, or it, its nesting or a word is larger than may be",
    Reason.NOT_A_TRANSCRIPT: "a part that its format asks for is missing, such as XML's root, metadata or transcript",
    Reason.SESSION_ID_MISMATCH: "the session's id inside the file is not the file's name",
    Reason.AMBIGUOUS_PATIENT: "the file does not name exactly one speaker beside the investigators",
    Reason.AMBIGUOUS_TRANSCRIPT: "more than one transcript has this session's name; keep one",
    Reason.INVALID_TIMES: "a segment's times are missing, negative, reversed or not finite",
    Reason.NO_WORDS: "the transcript has no words",
    Reason.AMBIGUOUS_AUDIO: "more than one recording has this session's name; keep one",
    Reason.UNREADABLE_AUDIO: "the recording is in no format that can be decoded, or is damaged",
    Reason.EMPTY_AUDIO: "the recording has no samples",
    Reason.TRUNCATED_AUDIO: "the recording has fewer samples than its header says",
    Reason.NON_FINITE_AUDIO: "the recording has samples that are no finite numbers",
    Reason.FILE_CHANGED: "the file changed or went away after it was listed; the next run reads it again",
    Reason.UNREADABLE_FILE: "the file may not be read; check its permissions",
    Reason.NO_TRANSCRIPT: "the recording has no transcript",
    Reason.NO_AUDIO: "the transcript has no recording",
    Reason.TRANSCRIPT_REFUSED: "the session's transcript was refused; mend that first",
    Reason.INTERNAL_ERROR: "the platform failed on this session; please report it with the exception's type",
    Reason.WORKER_DIED: "the process that computed the session died, twice; most likely it ran out of memory",
}

RENAMED: Final[Mapping[str, str]] = {
    "malformed_xml": Reason.MALFORMED_TRANSCRIPT.value,
    "forbidden_xml": Reason.FORBIDDEN_MARKUP.value,
}
"""Codes that have another name now, by the first name that they had. Tables that hold the first name are read as if
they held the present one; nothing is written anew."""

_FIRST_CODES: Final = {now: first for first, now in RENAMED.items()}

PAIRING_MARKS: Final[Mapping[Reason, str]] = {
    Reason.AMBIGUOUS_AUDIO: "<Reason.AMBIGUOUS_AUDIO: 'ambiguous_audio'>",
    Reason.NO_AUDIO: "<Reason.NO_AUDIO: 'no_audio'>",
    Reason.NO_TRANSCRIPT: "<Reason.NO_TRANSCRIPT: 'no_transcript'>",
    Reason.TRANSCRIPT_REFUSED: "<Reason.TRANSCRIPT_REFUSED: 'transcript_refused'>",
}
"""What the fingerprint of a row of audio features hashes for the reason that keeps a session from being computed.

These texts stay as they are whatever becomes of the codes, so that the rows that there are stand."""


def first_code(code: str) -> str:
    """The code as fingerprints know it: under the first name that it had.

    Args:
        code: `ok`, or the value of a `Reason`.
    """
    return _FIRST_CODES.get(code, code)


class Refused(Exception):  # noqa: N818 - an outcome that travels as an exception, not an error of the program
    """Raised inside a stage to refuse one input; it carries a code and nothing of the input."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
