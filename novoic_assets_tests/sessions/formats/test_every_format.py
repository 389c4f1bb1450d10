"""The contract of every registered format. Registering a new format adds it to these tests."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novoic_assets.reasons import Refused
from novoic_assets.sessions.formats import registered
from novoic_assets.sessions.formats.format import CONTENT_REASONS, EXAMPLE_SESSION, ParseContext, TranscriptFormat
from novoic_assets.sessions.formats.rules import RULE_REASONS, keep_rules

CONTEXT = ParseContext(session=EXAMPLE_SESSION)
FORMATS = registered.formats()

every_format = pytest.mark.parametrize("form", FORMATS, ids=[form.name for form in FORMATS])


def read_or_refuse(form: TranscriptFormat, data: bytes) -> None:
    """Check that bytes are read or refused with a declared reason, and that the refusal does not quote them."""
    try:
        transcript = form.read(data, CONTEXT)
    except Refused as refused:
        assert refused.reason in form.reasons | RULE_REASONS  # noqa: PT017
        assert refused.args == (refused.reason.value,)  # noqa: PT017
        assert refused.__cause__ is None  # noqa: PT017
        assert refused.__context__ is None  # noqa: PT017
    else:
        assert keep_rules(transcript) == transcript


@every_format
def test_its_example_is_a_transcript_of_patient_and_investigator(form: TranscriptFormat) -> None:
    transcript = form.read(form.example, CONTEXT)
    assert {word.speaker for segment in transcript.segments for word in segment.words} >= {"patient", "investigator"}
    assert form.read(form.example, CONTEXT) == transcript


@every_format
def test_its_names_can_be_told_apart_and_its_reasons_are_about_content(form: TranscriptFormat) -> None:
    assert form.name.isidentifier()
    assert form.name == form.name.lower()
    assert form.extensions
    assert all(re.fullmatch(r"\.[a-z0-9]+", extension) for extension in form.extensions)
    assert form.reasons <= CONTENT_REASONS
    assert len(form.example) < form.max_bytes


@every_format
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(form: TranscriptFormat, data: bytes) -> None:
    read_or_refuse(form, data)


EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 30), st.binary(max_size=6)),
    min_size=1,
    max_size=6,
)


@every_format
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(EDITS)
def test_its_damaged_example_is_read_or_refused(form: TranscriptFormat, edits: list[tuple[float, int, bytes]]) -> None:
    data = form.example
    for where, length, piece in edits:
        at = int(where * len(data))
        data = data[:at] + piece + data[at + length :]
    read_or_refuse(form, data)


@every_format
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.floats(0, 1), st.sampled_from(["utf-16", "utf-32", "utf-8-sig"]))
def test_its_example_cut_off_or_in_another_encoding_is_read_or_refused(
    form: TranscriptFormat, where: float, encoding: str
) -> None:
    read_or_refuse(form, form.example[: int(where * len(form.example))])
    read_or_refuse(form, form.example.decode().encode(encoding))


@every_format
def test_a_file_that_is_too_large_is_refused_before_it_is_parsed(form: TranscriptFormat) -> None:
    with pytest.raises(Refused, match="forbidden_markup"):
        form.read(b" " * (form.max_bytes + 1), CONTEXT)
