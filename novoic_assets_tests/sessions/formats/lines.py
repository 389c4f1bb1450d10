"""A transcript format that another package could add, with one line for each segment.

`0.5 1.8 patient the boy falls` is a segment from 0.5 to 1.8 s in which the patient speaks.
"""

LINES = """
from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.formats.format import TranscriptFormat
from novoic_assets.sessions.transcript import Segment, Transcript, Word


def parse(data, context):
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise Refused(Reason.MALFORMED_TRANSCRIPT)
    segments = []
    for line in lines:
        if line.count(" ") < 3:
            raise Refused(Reason.MALFORMED_TRANSCRIPT)
        start, end, speaker, words = line.split(" ", 3)
        role = speaker if speaker in ("patient", "investigator") else "other"
        segments.append(Segment(seconds(start), seconds(end), tuple(Word(word, role) for word in words.split(" "))))
    return Transcript("P" + context.session[1:], tuple(segments))


def seconds(text):
    try:
        return float(text)
    except ValueError:
        raise Refused(Reason.INVALID_TIMES)


LINES = TranscriptFormat(
    name="lines",
    extensions=(".lines", ".ln"),
    version="2",
    parse=parse,
    reasons=frozenset({Reason.MALFORMED_TRANSCRIPT, Reason.INVALID_TIMES}),
    example=b"0 0.5 investigator well ?\\n0.6 1.8 patient the boy falls .",
)
"""
