"""Outcomes of a stage: `ok`, or the code of the reason why an input was refused.

Outside the restricted tables the code is all that anybody learns about a refused input. So each code must be clear by
itself: `DESCRIPTIONS` tells a user what it means and what to do.
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
    # the platform
    INTERNAL_ERROR = "internal_error"
    WORKER_DIED = "worker_died"


DESCRIPTIONS: Final[dict[Reason, str]] = {
    Reason.INVALID_METADATA: "a value of the row is missing or outside its range",
    Reason.DUPLICATE_PATIENT: "more than one row has this speakerid; keep one",
    Reason.MALFORMED_TRANSCRIPT: "the file cannot be read as its format: it is damaged, or has another encoding",
    Reason.FORBIDDEN_MARKUP: "the file has a DTD or entities, or the file, its nesting or a word exceeds a limit",
    Reason.NOT_A_TRANSCRIPT: "a part that the format requires is missing, such as XML's root, metadata or transcript",
    Reason.SESSION_ID_MISMATCH: "the session id inside the file differs from the file's name",
    Reason.AMBIGUOUS_PATIENT: "the file does not name exactly one speaker beside the investigators",
    Reason.AMBIGUOUS_TRANSCRIPT: "more than one transcript has this session's name; keep one",
    Reason.INVALID_TIMES: "a segment's times are missing, negative, reversed or not finite",
    Reason.NO_WORDS: "the transcript has no words",
    Reason.AMBIGUOUS_AUDIO: "more than one recording has this session's name; keep one",
    Reason.UNREADABLE_AUDIO: "the recording is damaged, or no decoder knows its format",
    Reason.EMPTY_AUDIO: "the recording has no samples",
    Reason.TRUNCATED_AUDIO: "the recording has fewer samples than its header says",
    Reason.NON_FINITE_AUDIO: "the recording has samples that are not finite numbers",
    Reason.FILE_CHANGED: "the file changed or disappeared after it was listed; the next run reads it again",
    Reason.UNREADABLE_FILE: "the platform may not read the file; check its permissions",
    Reason.NO_TRANSCRIPT: "the recording has no transcript",
    Reason.NO_AUDIO: "the transcript has no recording",
    Reason.TRANSCRIPT_REFUSED: "the session's transcript was refused; fix that first",
    Reason.INTERNAL_ERROR: "the platform failed on this session; report it with the exception's type",
    Reason.WORKER_DIED: "the process that computed the session died twice; most likely it ran out of memory",
}

RENAMED: Final[Mapping[str, str]] = {
    "malformed_xml": Reason.MALFORMED_TRANSCRIPT.value,
    "forbidden_xml": Reason.FORBIDDEN_MARKUP.value,
}
"""Present names of renamed codes, by their first name. Reading a table replaces the first name by the present one; the
stored rows do not change."""

_FIRST_CODES: Final = {now: first for first, now in RENAMED.items()}

PAIRING_MARKS: Final[Mapping[Reason, str]] = {
    Reason.AMBIGUOUS_AUDIO: "<Reason.AMBIGUOUS_AUDIO: 'ambiguous_audio'>",
    Reason.NO_AUDIO: "<Reason.NO_AUDIO: 'no_audio'>",
    Reason.NO_TRANSCRIPT: "<Reason.NO_TRANSCRIPT: 'no_transcript'>",
    Reason.TRANSCRIPT_REFUSED: "<Reason.TRANSCRIPT_REFUSED: 'transcript_refused'>",
}
"""What the fingerprint of an audio features row hashes for the reason that prevents computing the session.

These texts never change, even if a code is renamed, so that existing rows stay valid."""


def first_code(code: str) -> str:
    """Give the first name of a code, which fingerprints hash.

    Args:
        code: `ok`, or the value of a `Reason`.

    Returns:
        The first name of a renamed code; any other code unchanged.

    >>> first_code("malformed_transcript"), first_code("ok")
    ('malformed_xml', 'ok')
    """
    return _FIRST_CODES.get(code, code)


class Refused(Exception):  # noqa: N818 - an outcome that travels as an exception, not an error of the program
    """Refuses one input of a stage; it carries a code and nothing of the input."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
