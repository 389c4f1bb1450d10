"""Listings: which files are sessions' files, and which of them a run includes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novoic_assets.sessions.recording import AUDIO_EXTENSIONS
from novoic_assets.stages.listing import (
    FOLDERS,
    Change,
    Cutoffs,
    Listing,
    RawListing,
    SessionFile,
    compare,
    extensions_of,
    paired,
    session_files,
    settled,
)
from novoic_assets.storage.files import FileInfo


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
    found, ignored = session_files(map(info, paths), extensions_of("text"))
    assert len(found) + ignored == len(paths)
    assert [file.info.path for file in found] == sorted(file.info.path for file in found)
    assert session_files(map(info, reversed(paths)), extensions_of("text")) == (found, ignored)


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CUTOFFS = Cutoffs(NOW - timedelta(seconds=10), NOW - timedelta(minutes=10))
NOTHING_WAITS = Cutoffs()
SESSIONS = ["a", "b", "c"]


def file(session: str, age: float, folder: str = "text", size: int = 1) -> SessionFile:
    """A file that changed some seconds ago; if negative, its time is ahead of the clock."""
    modified = NOW - timedelta(seconds=age)
    return SessionFile(session, FileInfo(f"{folder}/{session}", size, f"{size}-{modified.timestamp()}", modified))


def by_path(*files: SessionFile) -> dict[str, SessionFile]:
    return {one.info.path: one for one in files}


def test_a_file_that_may_still_be_being_written_is_left_out() -> None:
    assert settled([file("a", 60), file("b", 5)], {}, CUTOFFS, NOW) == ([file("a", 60)], 1)


def test_a_known_file_that_is_being_written_again_stays_as_it_was() -> None:
    before = file("a", 60, size=7)
    assert settled([file("a", 5)], by_path(before), CUTOFFS, NOW) == ([before], 1)


def test_a_young_file_that_is_known_as_it_is_counts_as_settled() -> None:
    assert settled([file("a", 5)], by_path(file("a", 5)), CUTOFFS, NOW) == ([file("a", 5)], 0)


def test_a_time_far_ahead_of_the_clock_hides_no_file() -> None:
    assert settled([file("a", -61), file("b", -59)], {}, CUTOFFS, NOW) == ([file("a", -61)], 1)
    assert paired([file("a", -61), file("b", -59)], {}, set, CUTOFFS, NOW) == ([file("a", -61)], 1)


@pytest.mark.parametrize(
    ("one", "known", "partners", "listed"),
    [
        (file("a", 60), {}, {"a"}, True),
        (file("a", 60), {}, {"b"}, False),
        (file("a", 601), {}, set(), True),
        (file("a", 60), by_path(file("a", 700)), set(), True),
    ],
    ids=["with_its_partner", "without", "waited_long_enough", "known"],
)
def test_a_new_file_waits_for_its_other_half(
    one: SessionFile, known: dict[str, SessionFile], partners: set[str], listed: bool
) -> None:
    assert paired([one], known, lambda: partners, CUTOFFS, NOW) == (([one], 0) if listed else ([], 1))


def test_the_other_folder_is_not_listed_if_nothing_waits() -> None:
    def partners() -> set[str]:
        raise AssertionError

    assert paired([file("a", 601)], {}, partners, CUTOFFS, NOW) == ([file("a", 601)], 0)
    assert paired([file("a", 1)], {}, partners, NOTHING_WAITS, NOW) == ([file("a", 1)], 0)


def test_the_differences_from_the_known_files_are_counted() -> None:
    known = by_path(file("a", 60), file("b", 60), file("c", 60))
    assert compare(known, [file("a", 60), file("b", 50), file("d", 60)]) == Change(new=1, changed=1, gone=1)
    assert not compare(known, list(known.values()))


class Folders:
    """A raw folder or bucket with files of the given ages, in seconds."""

    setting = "NOVOIC_RAW"

    def __init__(self, ages: dict[str, dict[str, float]], is_remote: bool) -> None:
        self.is_remote = is_remote
        self.listed: list[str] = []
        self._ages = ages

    def list(self, folder: str) -> list[FileInfo]:
        self.listed.append(folder)
        extension = {"text": "xml", "audio": "wav"}[folder]
        found = []
        for session, age in self._ages[folder].items():
            modified = NOW - timedelta(seconds=age)
            found.append(FileInfo(f"{folder}/{session}.{extension}", 1, f"1-{modified.timestamp()}", modified))
        return found


AGES = st.dictionaries(st.sampled_from(SESSIONS), st.sampled_from([5.0, 60.0, 700.0, -30.0, -100.0]))
BOTH = st.fixed_dictionaries({"text": AGES, "audio": AGES})


def view(
    ages: dict[str, dict[str, float]], known: dict[str, dict[str, SessionFile]], cutoffs: Cutoffs, is_remote: bool
) -> tuple[RawListing, Folders]:
    folders = Folders(ages, is_remote)
    return RawListing(folders, lambda folder: known[folder], cutoffs, NOW), folders  # type: ignore[arg-type]


@given(BOTH, BOTH, st.booleans())
def test_both_folders_are_seen_alike_whichever_was_committed_first(
    before: dict[str, dict[str, float]], after: dict[str, dict[str, float]], is_remote: bool
) -> None:
    old, _ = view(before, {"text": {}, "audio": {}}, NOTHING_WAITS, is_remote)
    known = {folder: by_path(*old.folder(folder).files) for folder in FOLDERS}
    once, folders = view(after, known, CUTOFFS, is_remote)
    listings = {folder: once.folder(folder) for folder in FOLDERS}
    assert len(folders.listed) == 2
    for first, second in (("text", "audio"), ("audio", "text")):
        # A run of two steps: the second step sees the first step's commit.
        committed = {**known, first: by_path(*view(after, known, CUTOFFS, is_remote)[0].folder(first).files)}
        assert committed[first] == by_path(*listings[first].files)
        assert view(after, committed, CUTOFFS, is_remote)[0].folder(second) == listings[second]


@given(BOTH, BOTH, st.booleans())
def test_a_file_that_is_left_out_is_listed_once_it_is_old(
    before: dict[str, dict[str, float]], after: dict[str, dict[str, float]], is_remote: bool
) -> None:
    old, _ = view(before, {"text": {}, "audio": {}}, NOTHING_WAITS, is_remote)
    known = {folder: by_path(*old.folder(folder).files) for folder in FOLDERS}
    now, later = Folders(after, is_remote), Cutoffs(NOW + timedelta(hours=1), NOW + timedelta(hours=1))
    for folder in FOLDERS:
        listing = view(after, known, CUTOFFS, is_remote)[0].folder(folder)
        there = {info.path for info in now.list(folder)}
        listed = {one.info.path for one in listing.files}
        # No file is invented, no known file that still exists counts as gone, and every file is counted.
        assert there & known[folder].keys() <= listed <= there
        assert len(there - listed) <= listing.young + listing.waiting
        if is_remote:
            assert listing.young == 0
        whole = view(after, known, later, is_remote)[0].folder(folder)
        assert [one.info for one in whole.files] == sorted(now.list(folder), key=lambda info: info.path)


def test_objects_of_a_bucket_appear_complete_but_wait_for_their_other_half() -> None:
    ages = {"text": {"a": 1.0, "b": 1.0}, "audio": {"a": 1.0}}
    nothing: dict[str, dict[str, SessionFile]] = {"text": {}, "audio": {}}
    bucket, _ = view(ages, nothing, CUTOFFS, is_remote=True)
    assert [one.session for one in bucket.folder("text").files] == ["a"]
    assert (bucket.folder("text").young, bucket.folder("text").waiting) == (0, 1)
    folder, _ = view(ages, nothing, CUTOFFS, is_remote=False)
    assert folder.folder("text") == Listing([], ignored=0, young=2, waiting=0)
