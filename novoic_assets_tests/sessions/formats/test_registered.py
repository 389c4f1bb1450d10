"""The registered formats: the project's own, and those of installed packages."""

import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novoic_assets.errors import NovoicError
from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.formats import registered
from novoic_assets.sessions.formats.format import BrokenParserError, ParseContext
from novoic_assets.sessions.formats.xml import XML
from novoic_assets.sessions.transcript import Transcript
from novoic_assets_tests.installed import installed
from novoic_assets_tests.sessions.formats.lines import LINES

CONTEXT = ParseContext(session="S001")


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[None]:
    """A package that adds a format."""
    with installed(tmp_path / "site", "lab_lines", LINES, {registered.ENTRY_POINTS: {"lines": "lab_lines:LINES"}}):
        yield


def test_the_challenges_xml_is_the_first_format() -> None:
    assert registered.formats()[0] is XML
    assert registered.format_of("text/visit 1/S001.XML") is XML
    assert registered.code_version().startswith("xml 2")


def test_a_package_adds_a_format_by_being_installed(lines: None) -> None:
    added = registered.format_of("text/S001.Lines")
    assert added is registered.format_of("S001.ln")
    assert added.name == "lines"
    assert {".xml", ".lines", ".ln"} <= registered.extensions()
    assert registered.code_version().endswith("lines 2")
    transcript = added.read(added.example, CONTEXT)
    assert [word.text for word in transcript.segments[1].words] == ["the", "boy", "falls", "."]


def test_without_its_package_a_format_is_gone_and_its_files_are_a_clear_error() -> None:
    assert ".lines" not in registered.extensions()
    with pytest.raises(NovoicError, match="not installed here; install the package") as caught:
        registered.format_of("text/secret.lines")
    assert "secret" not in str(caught.value)


CONFLICTS = {
    "the name of another": ("replace(LINES, name='xml')", "more than one transcript format has the name xml"),
    "the extension of another": ("replace(LINES, extensions=('.xml',))", "has the extension .xml"),
    "an extension in upper case": ("replace(LINES, extensions=('.Lines',))", "its extensions are not in lower case"),
    "an extension without a dot": ("replace(LINES, extensions=('lines',))", "its extensions are not in lower case"),
    "no extension": ("replace(LINES, extensions=())", "its extensions are not a tuple of one or more"),
    "an invalid name": ("replace(LINES, name='the lines')", "its name is not an identifier"),
    "a version of two words": ("replace(LINES, version='2, xml 3')", "its version is not made of"),
    "a version that is a number": ("replace(LINES, version=2)", "its version is not made of"),
    "a reason of another stage": (
        "replace(LINES, reasons={Reason.NO_AUDIO})",
        "it gives reasons that are not",
    ),
    "another class": ("LINES.parse", "is not an object of TranscriptFormat"),
    "a failing import": ("1 / 0", "cannot be imported (ZeroDivisionError at lab_wrong.py:"),
}


@pytest.mark.parametrize(("wrong", "message"), CONFLICTS.values(), ids=CONFLICTS)
def test_a_format_that_does_not_fit_in_is_one_clear_line(tmp_path: Path, wrong: str, message: str) -> None:
    source = f"{LINES}\nfrom dataclasses import replace\nWRONG = {wrong}\n"
    points = {registered.ENTRY_POINTS: {"wrong": "lab_wrong:WRONG"}}
    with installed(tmp_path / "site", "lab_wrong", source, points):
        for use in (registered.formats, registered.extensions, lambda: registered.format_of("a.xml")):
            with pytest.raises(NovoicError) as caught:
                use()
            assert message in str(caught.value)
            assert "\n" not in str(caught.value)


def test_two_packages_that_add_one_extension_are_one_clear_line(tmp_path: Path, lines: None) -> None:
    source = f"{LINES}\nfrom dataclasses import replace\nOTHER = replace(LINES, name='other')\n"
    points = {registered.ENTRY_POINTS: {"other": "lab_other:OTHER"}}
    with installed(tmp_path / "other", "lab_other", source, points), pytest.raises(NovoicError) as caught:
        registered.formats()
    assert "more than one transcript format has the extension .lines, .ln; remove one" in str(caught.value)


# The mark of a format in a fingerprint


def test_the_mark_of_the_first_format_is_its_version_alone_as_it_was_before_there_were_others() -> None:
    assert XML.mark == "2"
    assert registered.fingerprint_mark([XML]) == registered.fingerprint_mark([XML, XML]) == "2"


def test_formats_of_equal_versions_have_marks_of_their_own(lines: None) -> None:
    other = registered.format_of("a.lines")
    assert other.version == XML.version
    assert other.mark == "lines 2"
    assert replace(other, version="3").mark == "lines 3"
    both = registered.fingerprint_mark([XML, other])
    assert both == registered.fingerprint_mark([other, XML, other])
    assert len({both, other.mark, XML.mark, registered.fingerprint_mark([XML, replace(other, version="3")])}) == 4


# Parsers that break their contract


def raises(error: BaseException) -> Callable[[bytes, ParseContext], Transcript]:
    def parse(data: bytes, context: ParseContext) -> Transcript:
        raise error

    return parse


@pytest.mark.parametrize(
    "error",
    [
        NovoicError("a secret word"),
        SystemExit("a secret word"),
        Refused(Reason.NO_AUDIO),
        Refused(Reason.NOT_A_TRANSCRIPT),
    ],
    ids=["stops the run", "ends the process", "a reason of another stage", "a reason that it does not declare"],
)
def test_a_forbidden_exception_of_a_parser_is_its_own_fault_and_quotes_nothing(error: BaseException) -> None:
    broken = replace(XML, parse=raises(error), reasons=frozenset())
    with pytest.raises(BrokenParserError) as caught:
        broken.read(b"", CONTEXT)
    assert caught.value.args == ()
    assert caught.value.__context__ is None


def test_a_refusal_leaves_alone_whatever_a_parser_chains_to_it() -> None:
    def parse(data: bytes, context: ParseContext) -> Transcript:
        try:
            float("a secret word")
        except ValueError:
            raise Refused(Reason.MALFORMED_TRANSCRIPT) from None
        return Transcript("P", ())

    with pytest.raises(Refused) as caught:
        replace(XML, parse=parse).read(b"", CONTEXT)
    assert caught.value.__context__ is None


def test_any_other_exception_is_left_to_the_worker() -> None:
    with pytest.raises(ZeroDivisionError):
        replace(XML, parse=raises(ZeroDivisionError())).read(b"", CONTEXT)


def test_a_context_takes_its_fields_by_name_so_that_others_may_come() -> None:
    with pytest.raises(TypeError):
        ParseContext("S001")  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(CONTEXT)) == CONTEXT


def test_what_a_broken_parser_returns_is_not_stored() -> None:
    returned: Any = {"patient": "P"}
    with pytest.raises(TypeError):
        replace(XML, parse=lambda data, context: returned).read(b"", CONTEXT)


def test_the_example_in_the_docs_is_a_format() -> None:
    page = (Path(__file__).parents[3] / "docs" / "data-formats.md").read_text()
    (source,) = re.findall(r"```python\n(from novoic_assets\.reasons.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)
    lines = names["LINES"]
    parsed = lines.read(lines.example, ParseContext(session="S1"))
    assert [word.text for segment in parsed.segments for word in segment.words] == ["hello"]
    with pytest.raises(Refused) as caught:
        lines.read(b"no line of it", ParseContext(session="S1"))
    assert caught.value.reason == Reason.MALFORMED_TRANSCRIPT
