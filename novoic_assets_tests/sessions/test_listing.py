"""Which listed files are sessions' files."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novoic_assets.resources.storage import FileInfo
from novoic_assets.sessions.listing import TRANSCRIPT_EXTENSIONS, session_files
from novoic_assets.sessions.recording import AUDIO_EXTENSIONS


def info(path: str) -> FileInfo:
    return FileInfo(path, 1, "1-1", datetime(2024, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("path", "session"),
    [
        ("audio/S001.wav", "S001"),
        ("audio/S001.WAV", "S001"),
        ("audio/site 2/2024/S001.wav", "S001"),
        ("audio/S001.final.wav", "S001.final"),
        ("audio/Sitzung ä #1.wav", "Sitzung ä #1"),
        ("audio/a%20b.wav", "a%20b"),
        ("audio/S001.xml", None),
        ("audio/S001", None),
        ("audio/wav", None),
        ("audio/.wav", None),
        ("audio/._S001.wav", None),
        ("audio/.DS_Store", None),
        ("audio/.trash/S001.wav", None),
        ("audio/S001.wav.part", None),
        ("audio/S001.wav~", None),
    ],
)
def test_a_session_is_the_stem_of_a_file_that_is_not_hidden_and_has_the_extension(
    path: str, session: str | None
) -> None:
    found, ignored = session_files([info(path)], AUDIO_EXTENSIONS)
    assert [file.session for file in found] == ([session] if session else [])
    assert ignored == (0 if session else 1)


@given(
    st.lists(
        st.sampled_from(["text/a.xml", "text/b.XML", "text/.a.xml", "text/x/a.xml", "text/a.txt", "text/ö.xml"]),
        unique=True,
    )
)
def test_every_file_is_a_sessions_or_ignored_whatever_the_order(paths: list[str]) -> None:
    found, ignored = session_files(map(info, paths), TRANSCRIPT_EXTENSIONS)
    assert len(found) + ignored == len(paths)
    assert [file.info.path for file in found] == sorted(file.info.path for file in found)
    assert session_files(map(info, reversed(paths)), TRANSCRIPT_EXTENSIONS) == (found, ignored)
