"""Each reason is clear by itself, and renaming a code leaves every fingerprint unchanged."""

import re
from pathlib import Path

import pytest

from novoic_assets.fingerprints import Verbatim, fingerprint
from novoic_assets.reasons import DESCRIPTIONS, OK, PAIRING_MARKS, RENAMED, Reason, first_code
from novoic_assets.sessions.formats import registered


def test_every_reason_has_its_own_description() -> None:
    assert set(DESCRIPTIONS) == set(Reason)
    assert len(set(DESCRIPTIONS.values())) == len(Reason)


def test_the_page_on_formats_names_every_reason_and_every_transcript_format() -> None:
    page = (Path(__file__).parents[1] / "docs" / "data-formats.md").read_text()
    codes = re.findall(r"`(\w+)`", page.partition("## Reason codes")[2].partition("## What comes out")[0])
    assert {reason.value for reason in Reason} <= set(codes)
    for form in registered.OWN:
        assert f"| `{form.name}` | {', '.join(f'`{extension}`' for extension in form.extensions)} |" in page


def test_a_renamed_code_leads_to_a_reason_and_is_not_a_reason_itself() -> None:
    assert {"malformed_xml", "forbidden_xml"} <= set(RENAMED)
    assert set(RENAMED.values()) <= {reason.value for reason in Reason}
    assert not set(RENAMED) & {reason.value for reason in Reason}
    assert len(set(RENAMED.values())) == len(RENAMED)


def test_fingerprints_know_a_code_by_its_first_name() -> None:
    assert first_code("malformed_transcript") == "malformed_xml"
    assert first_code("forbidden_markup") == "forbidden_xml"
    assert first_code(OK) == OK
    assert {first_code(reason.value) for reason in Reason if reason.value not in RENAMED.values()} == {
        reason.value for reason in Reason if reason.value not in RENAMED.values()
    }


# From the time when fingerprints hashed the code and the member of the enum themselves.
TEXT = {
    "malformed_transcript": "a48b478b7d3c5d701e30bec47d181079",  # pragma: allowlist secret
    "forbidden_markup": "8b267d8302ac47d9e00e490ebc568a8c",  # pragma: allowlist secret
    "no_words": "5f75009c7a41a1fbdb8220ccfbc54ced",  # pragma: allowlist secret
}
AUDIO = {
    Reason.NO_AUDIO: "5499cf54f42e27bb1dbe9626b3d6dcd8",  # pragma: allowlist secret
    Reason.AMBIGUOUS_AUDIO: "6fa9e76ebc2c3ac3141c1b6e4057a4e1",  # pragma: allowlist secret
    Reason.NO_TRANSCRIPT: "f0c49726e7f096f8fc0c5ae582cfb7b1",  # pragma: allowlist secret
    Reason.TRANSCRIPT_REFUSED: "476d591dbb95808e0d2889b9c8491123",  # pragma: allowlist secret
}


@pytest.mark.parametrize(("code", "before"), TEXT.items())
def test_the_fingerprint_of_a_refused_transcript_stays_the_same(code: str, before: str) -> None:
    assert fingerprint(first_code(code), None, None, None) == before


@pytest.mark.parametrize(("reason", "before"), AUDIO.items())
def test_the_fingerprint_of_an_incomplete_session_stays_the_same(reason: Reason, before: str) -> None:
    assert set(PAIRING_MARKS) == set(AUDIO)
    assert fingerprint("decoder", Verbatim(PAIRING_MARKS[reason]), None, "audio/a.wav 1 etag") == before
