"""Parse the XML of the speech challenge: segments with times, words with speakers, metadata with roles.

The parser reads a file once, as a stream of events, and keeps only the parts of the transcript. The file comes from
outside, so its size, depth and word length are limited and a DTD is forbidden: without a DTD there are no entities to
expand and nothing else to fetch.
"""

import codecs
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from lxml import etree

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.formats.format import CONTENT_REASONS, ParseContext, TranscriptFormat
from novoic_assets.sessions.formats.rules import check_word_length
from novoic_assets.sessions.transcript import Role, Segment, Transcript, Word

MAX_DEPTH: Final = 64
"""Largest number of elements that may be open at once, including the root."""

_CHUNK_BYTES: Final = 2**16
_INVESTIGATOR_PREFIX: Final = "_"
_TRANSCRIPT: Final = ("root", "transcript")
_SESSION_ID: Final = ("root", "metadata", "sessionid")
_SPEAKER_IDS: Final = ("root", "metadata", "speakerids")
_GUIDELINES: Final = ("root", "metadata", "guidelines")
_REQUIRED: Final = frozenset({_TRANSCRIPT, _SESSION_ID, _SPEAKER_IDS})
_DECLARED_ENCODING: Final = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]{0,39})["']""")
_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")

# libxml2's own limits: a token that is too large, a name that is too long.
_LIMIT_ERRORS: Final = frozenset({etree.ErrorTypes.ERR_RESOURCE_LIMIT, etree.ErrorTypes.ERR_NAME_TOO_LONG})


def parse(data: bytes, context: ParseContext) -> Transcript:
    """Parse one file.

    Segments may be at any depth below `transcript` and words at any depth below a segment; a word belongs to
    its innermost segment. Unknown elements are transparent: their content counts as if they were absent, so
    marked-up text within a word belongs to that word. A word inside a word is a separate word. A `w` without
    text or outside any segment does not count. If a part occurs more than once, every `sessionid` must match
    the session, all `speakerids` are joined, all `transcript` parts are read, and `guidelines` count only if
    they agree. Only element names without a namespace match.

    Args:
        data: The file's bytes, in any encoding that it declares.
        context: The session's id.

    Returns:
        The transcript, before `novoic_assets.sessions.formats.rules` apply.

    Raises:
        Refused: With the first of these that applies: MALFORMED_TRANSCRIPT or FORBIDDEN_MARKUP (a DTD, or a limit
            exceeded), NOT_A_TRANSCRIPT, SESSION_ID_MISMATCH, AMBIGUOUS_PATIENT, INVALID_TIMES. Neither the
            exception nor one chained to it quotes the file.

    Example:
        >>> transcript = parse(XML.example, ParseContext(session="S001"))
        >>> transcript.patient, transcript.segments[1]
        ('patient_1', Segment(start=1.4, end=2.0, words=(Word(text='well', speaker='patient'),)))
    """
    outcome = _parse(data, context.session)
    # Raise outside any handler: an exception raised inside one keeps the handled exception in its
    # __context__, and lxml's messages quote the file.
    if isinstance(outcome, Reason):
        raise Refused(outcome)
    return outcome


def _parse(data: bytes, session: str) -> Transcript | Reason:
    reader = _Reader()
    parser = etree.XMLParser(
        target=reader,
        encoding=_encoding(data),
        # Not False, which would leave a plain &amp; in an attribute as "&#38;". There is nothing else to
        # resolve, since only a DTD can declare entities.
        resolve_entities="internal",
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
    )
    try:
        # In chunks, so that a refusal in the middle of a large file takes effect at once.
        for start in range(0, len(data), _CHUNK_BYTES):
            parser.feed(data[start : start + _CHUNK_BYTES])
        parser.close()
        return _transcript(reader, session)
    except Refused as refused:
        return refused.reason
    except etree.XMLSyntaxError as error:
        return Reason.FORBIDDEN_MARKUP if error.code in _LIMIT_ERRORS else Reason.MALFORMED_TRANSCRIPT
    finally:
        # lxml keeps its last messages, which quote the file, and attaches them to its next exceptions.
        etree.clear_error_log()


def _encoding(data: bytes) -> str | None:
    """Return the encoding of a file if Python knows the declared name and libxml2 does not, else None.

    Python's own XML writer declares the name that its user gave, such as "latin-1".
    """
    match = _DECLARED_ENCODING.match(data[:_CHUNK_BYTES])
    if not match or _is_known(declared := match[1].decode("ascii")):
        return None
    try:
        encoding = codecs.lookup(declared).name
    except LookupError:
        return None
    return encoding if _is_known(encoding) else None


def _is_known(encoding: str) -> bool:
    try:
        etree.XMLParser(encoding=encoding)
    except LookupError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _RawWord:
    speaker_id: str
    texts: list[str]


@dataclass(frozen=True, slots=True)
class _RawSegment:
    start: str
    end: str
    words: list[_RawWord]


class _Frame(NamedTuple):
    """An open element: its path, where its text goes, and its innermost segment."""

    path: tuple[str, ...]
    texts: list[str] | None
    segment: _RawSegment | None


class _Reader:
    """The target of the parser; lxml calls its methods during reading."""

    def __init__(self) -> None:
        self.paths: set[tuple[str, ...]] = set()
        self.session_ids: list[list[str]] = []
        self.speaker_ids: list[list[str]] = []
        self.guidelines: list[list[str]] = []
        self.segments: list[_RawSegment] = []
        self._frames = [_Frame((), None, None)]

    def doctype(self, *_: object) -> None:
        # lxml calls this before it reads the first declaration of the DTD, and stops here.
        raise Refused(Reason.FORBIDDEN_MARKUP)

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        parent = self._frames[-1]
        path = (*parent.path, tag)
        if len(path) > MAX_DEPTH:
            raise Refused(Reason.FORBIDDEN_MARKUP)
        texts, segment = parent.texts, parent.segment
        if path[:2] == _TRANSCRIPT:
            if tag == "segment":
                segment = _RawSegment(attributes.get("tstart", ""), attributes.get("tend", ""), [])
                self.segments.append(segment)
            elif tag == "w" and segment is not None:
                texts = []
                segment.words.append(_RawWord(attributes.get("speakerid", "").strip(), texts))
        elif path == _SESSION_ID:
            texts = []
            self.session_ids.append(texts)
        elif path == _SPEAKER_IDS:
            texts = []
            self.speaker_ids.append(texts)
        elif path == _GUIDELINES:
            texts = []
            self.guidelines.append(texts)
        if path in _REQUIRED:
            self.paths.add(path)
        self._frames.append(_Frame(path, texts, segment))

    def end(self, _tag: str) -> None:
        self._frames.pop()

    def data(self, text: str) -> None:
        texts = self._frames[-1].texts
        if texts is not None:
            texts.append(text)

    def close(self) -> None:
        """Do nothing; lxml requires this method. The reader keeps what it read."""


def _transcript(reader: _Reader, session: str) -> Transcript:
    """Make the transcript of a completely read file, or refuse the file."""
    texts = [[_text(word.texts) for word in segment.words] for segment in reader.segments]
    # Apply this rule of all transcripts before this format's own checks, so that its reason takes precedence.
    for words in texts:
        for text in words:
            check_word_length(text)
    if reader.paths != _REQUIRED:
        raise Refused(Reason.NOT_A_TRANSCRIPT)
    if any(_text(session_id) != session for session_id in reader.session_ids):
        raise Refused(Reason.SESSION_ID_MISMATCH)

    listed = {name.strip() for names in reader.speaker_ids for name in _text(names).split(",")} - {""}
    investigators = {name for name in listed if name.startswith(_INVESTIGATOR_PREFIX)}
    patients = listed - investigators
    if len(patients) != 1:
        raise Refused(Reason.AMBIGUOUS_PATIENT)
    roles: dict[str, Role] = {name: "investigator" if name in investigators else "patient" for name in listed}

    segments = tuple(
        Segment(
            _seconds(segment.start),
            _seconds(segment.end),
            tuple(
                Word(text, roles.get(word.speaker_id, "other"))
                for word, text in zip(segment.words, words, strict=True)
                if text
            ),
        )
        for segment, words in zip(reader.segments, texts, strict=True)
    )
    guidelines = {_text(texts).lower() for texts in reader.guidelines} - {""}
    return Transcript(patients.pop(), segments, guidelines.pop() if len(guidelines) == 1 else "")


def _text(texts: list[str]) -> str:
    return "".join(texts).strip()


def _seconds(text: str) -> float:
    # Only plain decimal numbers: float() alone would also take "nan", "1_0" and digits of other scripts.
    text = text.strip()
    seconds = float(text) if _SECONDS.fullmatch(text) else math.nan
    if not math.isfinite(seconds):
        raise Refused(Reason.INVALID_TIMES)
    return seconds


XML: Final = TranscriptFormat(
    name="xml",
    extensions=(".xml",),
    version="2",
    parse=parse,
    reasons=CONTENT_REASONS,
    example=b"""<root>
  <metadata><sessionid>S001</sessionid><speakerids>patient_1,_inv</speakerids></metadata>
  <transcript>
    <segment tstart="0.0" tend="1.2"><w speakerid="_inv">how</w><w speakerid="_inv">?</w></segment>
    <segment tstart="1.4" tend="2.0"><w speakerid="patient_1">well</w></segment>
  </transcript>
</root>
""",
)
"""The format of the speech challenge."""
