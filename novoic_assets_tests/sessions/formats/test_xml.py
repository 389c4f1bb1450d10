"""The XML of the speech challenge: structure, refusals, attacks and limits, digests, and random files."""

import math
import os
import socket
import time
from collections import Counter
from dataclasses import replace
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.formats import xml as module
from novoic_assets.sessions.formats.format import ParseContext
from novoic_assets.sessions.formats.xml import MAX_DEPTH, XML
from novoic_assets.sessions.transcript import MAX_WORD_LENGTH, ROLES, Role, Segment, Transcript, Word, content_digest

METADATA = "<metadata><type>manual</type><sessionid>S1</sessionid><speakerids>pat,_inv</speakerids></metadata>"
SEGMENT = (
    '<segment segmentid="S1_0" tstart="0.0" tend="2.5"><w speakerid="_inv">how</w><w speakerid="pat">well</w></segment>'
)
GOOD = f"<root>{METADATA}<transcript>{SEGMENT}</transcript></root>"
PARSED = Transcript("pat", (Segment(0.0, 2.5, (Word("how", "investigator"), Word("well", "patient"))),))


def parse_transcript(data: bytes, session: str) -> Transcript:
    return XML.read(data, ParseContext(session=session))


def word_counts(transcript: Transcript) -> dict[Role, int]:
    """Number of words of each role."""
    counts = Counter(word.speaker for segment in transcript.segments for word in segment.words)
    return {role: counts[role] for role in ROLES}


def document(segments: str = SEGMENT, metadata: str = METADATA) -> bytes:
    return f"<root>{metadata}<transcript>{segments}</transcript></root>".encode()


def words(inside: str) -> list[tuple[str, str]]:
    data = document(f'<segment tstart="0" tend="1"><w speakerid="pat">first</w>{inside}</segment>')
    return [(word.text, word.speaker) for segment in parse_transcript(data, "S1").segments for word in segment.words][
        1:
    ]


def refusal(data: bytes, session: str = "S1") -> Reason | None:
    """Return the reason of a refusal, None without one; check that the refusal does not quote the file."""
    try:
        parse_transcript(data, session)
    except Refused as refused:
        assert refused.args == (refused.reason.value,)  # noqa: PT017
        assert refused.__cause__ is None  # noqa: PT017
        assert refused.__context__ is None  # noqa: PT017
        return refused.reason
    finally:
        assert not etree.LxmlError("a new exception brings along what lxml's log holds").error_log
    return None


def test_a_transcript_is_read():
    assert parse_transcript(GOOD.encode(), "S1") == PARSED


def test_the_challenge_transcripts(challenge):
    paths = sorted((challenge / "text").glob("*.xml"))
    found = [parse_transcript(path.read_bytes(), path.stem) for path in paths]
    assert len(found) == 156
    assert all(word_counts(each) == {"patient": 0, "investigator": 10, "other": 0} for each in found)
    assert {each.patient for each in found} == {f"speaker_{path.stem}" for path in paths}
    assert {each.segments[-1].end for each in found} == {4.266}
    assert {each.guidelines for each in found} == {"chat"}


# Structure


def test_segments_and_words_are_found_at_any_depth_and_the_innermost_segment_owns_a_word():
    data = document(
        '<part><segment tstart="0" tend="9"><u><w speakerid="pat">a</w></u>'
        '<segment tstart="1" tend="2"><x><y><w speakerid="_inv">b</w></y></x></segment>'
        '<w speakerid="pat">c</w></segment></part><w speakerid="pat">outside any segment</w>'
    )
    assert parse_transcript(data, "S1").segments == (
        Segment(0.0, 9.0, (Word("a", "patient"), Word("c", "patient"))),
        Segment(1.0, 2.0, (Word("b", "investigator"),)),
    )


def test_the_text_of_a_word():
    assert words('<w speakerid="pat">\n a <!-- c -->b<![CDATA[<&]]><?pi x?>&#233;&lt; </w>') == [("a b<&é<", "patient")]
    assert words('<w speakerid="pat">do<b>n<i>\'</i></b>t</w>') == [("don't", "patient")]
    assert words('<w speakerid="pat">out<w speakerid="_inv">in</w>side</w>') == [
        ("outside", "patient"),
        ("in", "investigator"),
    ]
    assert words('<w speakerid="pat"/><w speakerid="pat"> \n </w><w speakerid="pat"><!-- c --></w>between') == []
    assert words('<w speakerid="pat">e\u0301 \u2019</w>') == [("e\u0301 \u2019", "patient")]


def test_the_speaker_of_a_word():
    metadata = METADATA.replace("pat,_inv", " _a,\n pat ,pat,, _b, _a ")
    names = ["pat", " pat ", "_a", "_b", "_inv", "someone", "", "PAT"]
    inside = "".join(f"<w speakerid={quoteattr(name)}>x</w>" for name in names) + "<w>x</w>"
    parsed = parse_transcript(document(f'<segment tstart="0" tend="1">{inside}</segment>', metadata), "S1")
    assert [word.speaker for word in parsed.segments[0].words] == [
        *["patient"] * 2,
        *["investigator"] * 2,
        *["other"] * 5,
    ]
    assert word_counts(parsed) == {"patient": 2, "investigator": 2, "other": 5}


def test_speaker_ids_with_characters_that_xml_escapes():
    patient = "<a> & 'b' \"c\" &amp; &#38;"
    metadata = METADATA.replace("pat", escape(patient))
    inside = f"<w speakerid={quoteattr(patient)}>x</w>"
    parsed = parse_transcript(document(f'<segment tstart="0" tend="1">{inside}</segment>', metadata), "S1")
    assert parsed.patient == patient
    assert word_counts(parsed)["patient"] == 1


def test_the_sole_speaker_of_a_segment():
    def sole(*speakers: str) -> str | None:
        return Segment(0, 1, tuple(Word("x", speaker) for speaker in speakers)).sole_speaker

    assert sole() is None
    assert sole("patient", "patient") == "patient"
    assert sole("investigator") == "investigator"
    assert sole("other") == sole("patient", "investigator") == sole("patient", "other") == "other"


def test_parts_that_occur_more_than_once():
    twice = (
        f"<root>{METADATA}<metadata><sessionid> S1 </sessionid><speakerids>_b</speakerids></metadata>"
        f"<transcript>{SEGMENT}</transcript><transcript>{SEGMENT}</transcript></root>"
    )
    assert len(parse_transcript(twice.encode(), "S1").segments) == 2
    assert refusal(twice.replace(" S1 ", "S2").encode()) == Reason.SESSION_ID_MISMATCH
    assert refusal(twice.replace(">_b<", ">other patient<").encode()) == Reason.AMBIGUOUS_PATIENT


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "windows-1252", "ascii"]
)
def test_any_declared_encoding(encoding):
    text = "how" if encoding == "ascii" else "hów"
    declared = encoding.removesuffix("-sig").removesuffix("-le").removesuffix("-be")
    content = f'<?xml version="1.0" encoding="{declared}"?>\n' + GOOD.replace("how", text)
    data = content.encode(encoding)
    if encoding in {"utf-16-le", "utf-16-be"}:
        data = "\ufeff".encode(encoding) + data
    assert parse_transcript(data, "S1").segments[0].words[0].text == text
    assert content_digest(parse_transcript(data, "S1")) == content_digest(
        parse_transcript(GOOD.replace("how", text).encode(), "S1")
    )


@pytest.mark.parametrize(
    ("elements", "guidelines"),
    [
        ("", ""),
        ("<guidelines>chat</guidelines>", "chat"),
        ("<guidelines>\n CHAT <!-- c --></guidelines>", "chat"),
        ("<guidelines/><guidelines>chat</guidelines><guidelines>Chat</guidelines>", "chat"),
        ("<guidelines>chat</guidelines><guidelines>other</guidelines>", ""),
        ("<x><guidelines>chat</guidelines></x>", ""),
    ],
)
def test_the_guidelines_that_a_file_declares(elements, guidelines):
    found = parse_transcript(document(metadata=METADATA.replace("<type>", f"{elements}<type>")), "S1")
    assert found == Transcript("pat", PARSED.segments, guidelines)


def test_comments_instructions_and_unknown_parts_are_fine():
    noisy = GOOD.replace("<transcript>", '<!-- c --><?pi d?><x y="1">text</x><transcript z="2">text')
    assert parse_transcript(f"\n<!-- <w>no</w> -->{noisy}\n<?end?>\n".encode(), "S1") == PARSED


def test_a_large_transcript_comes_through():
    data = document(SEGMENT * 1000 + f"<!--{'x' * 9_000_000}-->" + SEGMENT + f"<!--{'x' * 9_000_000}-->")
    assert len(parse_transcript(data, "S1").segments) == 1001


# Refusals


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"secret",
        b"RIFF\x00\x00\x00\x00WAVE",
        GOOD.encode()[:-1],
        GOOD.encode() + b"<more/>",
        GOOD.encode() + b"\0",
        GOOD.replace("how", "secret &undeclared;").encode(),
        GOOD.replace("how", "secret <b>").encode(),
        GOOD.replace("how", "a\x01b").encode(),
        GOOD.replace("how", "a&#1;b").encode(),
        GOOD.replace("how", "hów").encode("latin-1"),
        b'<?xml version="1.0" encoding="secret"?>' + GOOD.encode(),
        b'<?xml version="1.0" encoding="rot13"?>' + GOOD.encode(),
        b'<?xml version="1.0" encoding="aliases"?>' + GOOD.encode(),
        b'<?xml version="1.0" encoding="utf-16"?>' + GOOD.encode(),
        GOOD.replace('tend="2.5"', 'tend="2.5" tend="2.5"').encode(),
        GOOD.encode() + b"<!DOCTYPE root>",
    ],
)
def test_malformed_transcript(data):
    assert refusal(data) == Reason.MALFORMED_TRANSCRIPT


@pytest.mark.parametrize(
    "data",
    [
        b"<secret/>",
        GOOD.replace("root>", "Root>").encode(),
        GOOD.replace("<root>", '<root xmlns="http://example.org">').encode(),
        f"<root>{METADATA}</root>".encode(),
        f"<root><x>{METADATA}</x><transcript>{SEGMENT}</transcript></root>".encode(),
        document(metadata=""),
        document(metadata=METADATA.replace("sessionid", "id")),
        document(metadata=METADATA.replace("speakerids", "ids")),
        f"<root>{METADATA}<x><transcript>{SEGMENT}</transcript></x></root>".encode(),
    ],
)
def test_not_a_transcript(data):
    assert refusal(data) == Reason.NOT_A_TRANSCRIPT


@pytest.mark.parametrize("name", ["", "S2", "s1", "S1.xml", "S1 S1", "_S1"])
def test_session_id_mismatch(name):
    assert refusal(document(metadata=METADATA.replace("S1", name))) == Reason.SESSION_ID_MISMATCH
    assert refusal(document(metadata=METADATA.replace("S1", "\n S1\t"))) is None


@pytest.mark.parametrize("names", ["", " , ", "_inv", "_a,_b", "a,b", "a,b,_inv"])
def test_ambiguous_patient(names):
    assert refusal(document(metadata=METADATA.replace("pat,_inv", names))) == Reason.AMBIGUOUS_PATIENT


@pytest.mark.parametrize(
    "times",
    [
        "",
        'tstart="0"',
        'tend="1"',
        'tstart="" tend="1"',
        *(
            f'tstart="{start}" tend="9"'
            for start in ("-1", "-0.0", "+1", "nan", "inf", "1e0", "1,5", "1_0", "0x1", "٣", ".", "a")
        ),
        f'tstart="0" tend="{"9" * 400}"',
        'tstart="0" tend="Infinity"',
        'tstart="2" tend="1.999"',
    ],
)
def test_invalid_times(times):
    assert refusal(document(f"{SEGMENT}<segment {times}/>")) == Reason.INVALID_TIMES


def test_times_that_are_accepted():
    data = document(SEGMENT + '<segment tstart=" 3 " tend="03."/><segment tstart=".5" tend="0.50000000000000001"/>')
    assert [(each.start, each.end) for each in parse_transcript(data, "S1").segments] == [(0, 2.5), (3, 3), (0.5, 0.5)]


@pytest.mark.parametrize(
    "segments",
    [
        "",
        '<segment tstart="0" tend="1"/>',
        '<segment tstart="0" tend="1"><w speakerid="pat"> </w></segment>',
        "<w>x</w>",
    ],
)
def test_no_words(segments):
    assert refusal(document(segments)) == Reason.NO_WORDS


def test_the_first_reason_that_applies_is_given():
    steps = [
        (Reason.MALFORMED_TRANSCRIPT, "</root>", ""),
        (Reason.NOT_A_TRANSCRIPT, "<x/>", "<transcript>"),
        (Reason.SESSION_ID_MISMATCH, "S2", "S1"),
        (Reason.AMBIGUOUS_PATIENT, "a,b", "a,_b"),
        (Reason.INVALID_TIMES, "nan", "1"),
        (Reason.NO_WORDS, "<w/>", "<w>x</w>"),
    ]
    text = (
        "<root><metadata><sessionid>S2</sessionid><speakerids>a,b</speakerids></metadata>"
        '<x/><segment tstart="0" tend="nan"><w/></segment></transcript></root></root>'
    )
    # Fix one fault after the other; each fix reveals the next fault.
    text = text.replace("</transcript></root></root>", "</root></root>")
    for reason, fault, fixed in steps:
        assert refusal(text.encode()) == reason
        text = text.replace(fault, fixed, 1)
        if reason is Reason.NOT_A_TRANSCRIPT:
            text = text.replace("</root>", "</transcript></root>")
    assert refusal(text.encode()) is None


# Attacks and limits


def laughs(levels: int = 30) -> str:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, levels))
    return f'<!DOCTYPE root [<!ENTITY l0 "ha">{entities}]>' + GOOD.replace("how", f"&l{levels - 1};")


ATTACKS = {
    "doctype alone": "<!DOCTYPE root>" + GOOD,
    "public identifier": '<!DOCTYPE root PUBLIC "-//X//Y" "http://127.0.0.1:9/x.dtd">' + GOOD,
    "billion laughs": laughs(),
    "quadratic blow-up": f'<!DOCTYPE root [<!ENTITY a "{"x" * 100_000}">]>' + GOOD.replace("how", "&a;" * 50_000),
    "entity in an attribute": '<!DOCTYPE root [<!ENTITY a "pat">]>' + GOOD.replace('"pat"', '"&a;"'),
    "default attribute": '<!DOCTYPE root [<!ATTLIST w speakerid CDATA "pat">]>' + GOOD,
    "recursive entity": '<!DOCTYPE root [<!ENTITY a "&b;"><!ENTITY b "&a;">]>' + GOOD.replace("how", "&a;"),
    "parameter entity": "<!DOCTYPE root [<!ENTITY % a \"<!ENTITY b 'x'>\"> %a;]>" + GOOD.replace("how", "&b;"),
    "after a comment": "<!-- c --><?pi?>\n<!DOCTYPE root>" + GOOD,
    "damaged later": '<!DOCTYPE root [<!ENTITY a "b">]><root>',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_dtd_is_refused_at_once(name, encoding, monkeypatch):
    started = []

    class Watched(module._Reader):
        def start(self, tag, attributes):
            started.append(tag)
            super().start(tag, attributes)

    monkeypatch.setattr(module, "_Reader", Watched)
    data = (f'<?xml version="1.0" encoding="{encoding}"?>' + ATTACKS[name]).encode(encoding)
    begun = time.monotonic()
    assert refusal(data) == Reason.FORBIDDEN_MARKUP
    assert time.monotonic() - begun < 1
    assert started == []  # the parser read nothing after the DTD


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "declaration", ['<!ENTITY a SYSTEM "{}">', '<!ENTITY % a SYSTEM "{}"> %a;', '<!ENTITY a PUBLIC "x" "{}">']
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_external_entity_opens_no_file(tmp_path, declaration, encoding):
    # Opening a pipe without a writer blocks for ever, so a parser that opened it would not return.
    canary = tmp_path / "canary"
    os.mkfifo(canary)
    for address in (canary.as_uri(), str(canary)):
        text = f"<!DOCTYPE root [{declaration.format(address)}]>" + GOOD.replace("how", "&a;")
        assert refusal(text.encode(encoding)) == Reason.FORBIDDEN_MARKUP
        assert refusal(f'<!DOCTYPE root SYSTEM "{address}">{GOOD}'.encode(encoding)) == Reason.FORBIDDEN_MARKUP
        included = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{address}" parse="text"/>'
        instructed = f'<?xml-stylesheet href="{address}"?>' + GOOD.replace("how", f"how{included}")
        assert parse_transcript(instructed.encode(encoding), "S1") == PARSED


def test_an_external_entity_opens_no_connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        for start in (
            f'[<!ENTITY a SYSTEM "{address}">]',
            f'[<!ENTITY % a SYSTEM "{address}"> %a;]',
            f'SYSTEM "{address}"',
        ):
            assert refusal(f"<!DOCTYPE root {start}>{GOOD}".encode()) == Reason.FORBIDDEN_MARKUP
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_depth_is_bounded():
    def nested(depth: int) -> bytes:
        wrappers = depth - 4  # root, transcript, segment and w count too
        inside = "<x>" * wrappers + "<w>deep</w>" + "</x>" * wrappers
        return document(f'<segment tstart="0" tend="1">{inside}</segment>')

    assert refusal(nested(MAX_DEPTH)) is None
    assert refusal(nested(MAX_DEPTH + 1)) == Reason.FORBIDDEN_MARKUP
    assert refusal(b"<x>" * 1_000_000) == Reason.FORBIDDEN_MARKUP


def test_the_length_of_a_word_is_bounded():
    assert refusal(GOOD.replace("how", "x" * MAX_WORD_LENGTH).encode()) is None
    assert refusal(GOOD.replace("how", "x" * (MAX_WORD_LENGTH + 1)).encode()) == Reason.FORBIDDEN_MARKUP


def test_size_is_bounded():
    bounded = replace(XML, max_bytes=len(GOOD))
    assert bounded.read(GOOD.encode(), ParseContext(session="S1")) == PARSED
    with pytest.raises(Refused, match="forbidden_markup"):
        bounded.read(GOOD.encode() + b" ", ParseContext(session="S1"))


def test_the_limits_of_libxml2_have_a_code():
    assert refusal(GOOD.replace('tend="2.5"', f'x="{"x" * 10_100_000}" tend="2.5"').encode()) == Reason.FORBIDDEN_MARKUP
    assert refusal(f"<{'x' * 60_000}/>".encode()) == Reason.FORBIDDEN_MARKUP


# Digest


def test_the_digest_is_of_guidelines_roles_times_and_words():
    digest = content_digest(PARSED)
    assert digest == content_digest(Transcript("another id", PARSED.segments))
    word, segment = Word("how", "investigator"), PARSED.segments[0]
    others = [
        (),
        (Segment(0.0, 2.5, (word,)), Segment(0.0, 2.5, segment.words[1:])),
        (Segment(0.1, 2.5, segment.words),),
        (Segment(0.0, 2.6, segment.words),),
        (Segment(0.0, 2.5, segment.words[::-1]),),
        (Segment(0.0, 2.5, (Word("how", "patient"), segment.words[1])),),
        (Segment(0.0, 2.5, (Word('how"],["patient","well', "investigator"),)),),
        (*PARSED.segments, Segment(0.0, 2.5, ())),
    ]
    assert len({digest, *(content_digest(Transcript("pat", other)) for other in others)}) == len(others) + 1
    assert content_digest(Transcript("pat", PARSED.segments, "chat")) != digest


# Properties

XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff\u2028\u2029"),
    min_size=1,
    max_size=8,
).filter(lambda text: text == text.strip() and not any(ord(character) & 0xFFFE == 0xFFFE for character in text))
TIMES = st.floats(0, 1e6).filter(lambda seconds: seconds == 0 or seconds >= 1e-4).map(abs)
SEGMENTS = st.lists(
    st.builds(
        lambda times, content: Segment(min(times), max(times), tuple(content)),
        st.tuples(TIMES, TIMES),
        st.lists(st.builds(Word, XML_TEXT, st.sampled_from(["patient", "investigator", "other"])), max_size=4),
    ),
    min_size=1,
    max_size=4,
).filter(lambda segments: any(segment.words for segment in segments))
PATIENTS = XML_TEXT.filter(lambda name: not name.startswith("_") and "," not in name and name != "someone")


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(SEGMENTS, PATIENTS, st.sampled_from(["utf-8", "utf-16"]))
def test_a_valid_transcript_comes_back_as_it_was_written(segments, patient, encoding):
    ids = {"patient": patient, "investigator": "_inv", "other": "someone"}
    body = "".join(
        f'<segment tstart="{segment.start}" tend="{segment.end}">'
        + "".join(f"<w speakerid={quoteattr(ids[word.speaker])}> {escape(word.text)}\n</w>" for word in segment.words)
        + "</segment>"
        for segment in segments
    )
    metadata = f"<metadata><sessionid>S1</sessionid><speakerids>{escape(patient)}, _inv</speakerids></metadata>"
    data = f'<?xml version="1.0" encoding="{encoding}"?>{document(body, metadata).decode()}'.encode(encoding)
    assert parse_transcript(data, "S1") == Transcript(patient, tuple(segments))


TEMPLATE = (
    '<?xml version="1.0" encoding="utf-8"?>\n<root>\n  <metadata><type>manual</type><sessionid>S1</sessionid>'
    "<speakerids>pat,_inv</speakerids></metadata>\n<!-- c --><transcript>\n"
    '<segment segmentid="S1_0" tend="2.36" tstart="0.0"><w speakerid="_inv">how</w>\n'
    '<w speakerid="_inv">?</w></segment>'
    '<segment tend="4.2" tstart="2.36"><w speakerid="pat">w\u00e9ll &amp; <![CDATA[x]]></w></segment>'
    "</transcript></root>"
)
ENCODED = {"utf-8": TEMPLATE.encode(), "utf-16": TEMPLATE.replace("utf-8", "utf-16").encode("utf-16")}
FRAGMENTS = [
    *(
        "<",
        ">",
        "&",
        "&#0;",
        "&#xD800;",
        "&#x10FFFF;",
        "&x;",
        "&amp;",
        '"',
        "'",
        "/",
        "<w>",
        "</w>",
        "<segment>",
        "<a:b>",
        "]]>",
    ),
    *(
        "<!DOCTYPE a>",
        '<!DOCTYPE a [<!ENTITY x "y">]>',
        "<![CDATA[",
        "<!--",
        "<?xml?>",
        "<?x",
        "utf-7",
        "utf-32",
        "ebcdic-cp-us",
    ),
    *(
        "\0",
        "\ud7ff",
        "\ufeff",
        "nan",
        "-",
        "1e999",
        "S2",
        ",",
        "_",
        "xmlns='x'",
        "xmlns:a=''",
        "xml:space='a'",
        "version='1.1'",
    ),
]
PIECES = st.sampled_from([fragment.encode() for fragment in FRAGMENTS]) | st.binary(max_size=6)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), PIECES), min_size=1, max_size=6)


def check_outcome(data: bytes) -> None:
    if refusal(data) is not None:
        return
    parsed = parse_transcript(data, "S1")
    assert parsed.patient == parsed.patient.strip() != ""
    assert any(segment.words for segment in parsed.segments)
    for segment in parsed.segments:
        assert 0 <= segment.start <= segment.end < math.inf
        assert all(word.text == word.text.strip() != "" for word in segment.words)
    assert len(content_digest(parsed)) == 64


@settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(ENCODED)), EDITS)
def test_damaged_bytes_are_refused_or_read(encoding, edits):
    data = ENCODED[encoding]
    for where, length, piece in edits:
        at = int(where * len(data))
        data = data[:at] + piece + data[at + length :]
    check_outcome(data)


NODES = st.recursive(
    st.sampled_from(["", "how", " ", "pat", "_inv", "S1", "a,b"]),
    lambda inner: st.builds(
        lambda tag, attributes, children: f"<{tag}{''.join(sorted(attributes))}>{''.join(children)}</{tag}>",
        st.sampled_from(["root", "metadata", "sessionid", "speakerids", "transcript", "segment", "w", "x"]),
        st.sets(st.sampled_from([' tstart="0"', ' tend="1"', ' speakerid="pat"', ' a="b"'])),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)


@settings(max_examples=700, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(NODES, NODES, st.booleans())
def test_any_structure_is_refused_or_read(inside, beside, within_segment):
    segments = f'<segment tstart="0" tend="1"><w speakerid="pat">a</w>{inside}</segment>' if within_segment else inside
    check_outcome(f"<root>{METADATA}{beside}<transcript>{SEGMENT}{segments}</transcript></root>".encode())


@settings(max_examples=300, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data):
    assert refusal(data) is not None
