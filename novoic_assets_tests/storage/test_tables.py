"""Delta tables: a commit replaces rows by key, and of two commits on one snapshot the second is refused."""

import os
import re
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.errors import StorageError
from novoic_assets.storage.files import Storage
from novoic_assets.storage.store_tables import StoreTables
from novoic_assets.storage.tables import CommitConflictError, Snapshot, Table
from novoic_assets_tests.engines.builders import SCHEMA, content, rows, table_in

KEYS = [
    *("a'b", 'a"b', "a\\b", "a\\'b", "'", "''", "\\", "\\n", "a\nb", "a\r\nb", "a\tb", "\0"),
    *("ü", "u\u0308", "日本", "", " ", "a%20b", "--", "a;b", "null", "$1", ":x", "?", "%", "_", "E'x"),
]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return table_in(tmp_path)


def test_an_absent_table_is_created_empty(table: Table) -> None:
    assert not table.exists()
    snapshot = table.snapshot()
    assert table.exists()
    assert (snapshot.version, snapshot.select().num_rows, snapshot.select().schema) == (0, 0, SCHEMA)


def test_all_of_several_writers_that_create_a_table_get_it(tmp_path: Path) -> None:
    for attempt in range(10):
        versions: list[int] = []
        barrier = threading.Barrier(4)

        def create(root: Path = tmp_path / str(attempt), barrier: threading.Barrier = barrier) -> None:
            table = table_in(root)
            barrier.wait()
            versions.append(table.snapshot().version)  # noqa: B023 - the threads end within the attempt

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert versions == [0] * 4


def test_any_string_may_be_a_key(table: Table) -> None:
    table.snapshot().replace(rows({key: index for index, key in enumerate(KEYS)}), KEYS)
    assert content(table) == {key: index for index, key in enumerate(KEYS)}
    for index, key in enumerate(KEYS):
        assert table.snapshot().select(None, [key]).to_pylist() == [{"session": key, "n": index}]
    for index, key in enumerate(KEYS):
        table.snapshot().replace(rows({key: index + 100}), [key])
    assert content(table) == {key: index + 100 for index, key in enumerate(KEYS)}


STRINGS = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
CONTENTS = st.dictionaries(STRINGS, st.integers(0, 99), max_size=4)


@settings(max_examples=12, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), CONTENTS, st.sets(STRINGS, max_size=3)), min_size=1, max_size=4))
def test_commits_do_to_a_table_what_they_do_to_a_dictionary(steps: list[tuple[bool, dict[str, int], set[str]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = table_in(Path(folder))
        model: dict[str, int] = {}
        for overwrite, new, gone in steps:
            snapshot = table.snapshot()
            if overwrite:
                snapshot.overwrite(rows(new))
                model = dict(new)
            else:
                keys = sorted({*new, *gone, *list(model)[:1]})
                snapshot.replace(rows(new), keys)
                model = {**{key: value for key, value in model.items() if key not in keys}, **new}
            assert content(table) == model
            some = [*list(model)[::2], "no such key"]
            found = table.snapshot().select(["n", "session"], some).to_pylist()
            assert {row["session"]: row["n"] for row in found} == {key: model[key] for key in some if key in model}


def test_selected_rows_are_sorted_by_key_and_have_the_requested_columns(table: Table) -> None:
    table.snapshot().overwrite(rows({"b": 1, "c": 2, "a": 3}))
    assert table.snapshot().select(["n"]).to_pydict() == {"n": [3, 1, 2]}
    assert table.snapshot().select(keys=[]).num_rows == 0
    assert table.snapshot().select(["session"]).schema == pa.schema([SCHEMA.field("session")])


def test_replacing_no_keys_commits_nothing(table: Table) -> None:
    snapshot = table.snapshot()
    snapshot.replace(rows({}), [])
    assert table.snapshot().version == snapshot.version


def test_a_snapshot_stays_as_it_was_and_an_old_version_can_be_read(table: Table) -> None:
    table.snapshot().overwrite(rows({"a": 1}))
    old = table.snapshot()
    table.snapshot().overwrite(rows({"b": 2}))
    assert old.select().to_pylist() == [{"session": "a", "n": 1}]
    assert table.snapshot(old.version).select().to_pylist() == [{"session": "a", "n": 1}]


def test_a_snapshot_may_commit_more_than_once(table: Table) -> None:
    snapshot = table.snapshot()
    for number in range(3):
        snapshot.replace(rows({str(number): number}), [str(number)])
    assert content(table) == {"0": 0, "1": 1, "2": 2}
    assert snapshot.version == table.snapshot().version


FIRST: dict[str, Callable[[Snapshot], None]] = {
    "replace": lambda snapshot: snapshot.replace(rows({"a": 10}), ["a"]),
    "overwrite": lambda snapshot: snapshot.overwrite(rows({"a": 10, "d": 4})),
}
SECOND: dict[str, Callable[[Snapshot], None]] = {
    "the same key": lambda snapshot: snapshot.replace(rows({"a": 20}), ["a"]),
    "another key": lambda snapshot: snapshot.replace(rows({"z": 20}), ["z"]),
    "removal": lambda snapshot: snapshot.replace(rows({}), ["b"]),
    "overwrite": lambda snapshot: snapshot.overwrite(rows({"z": 0})),
}


@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("first", FIRST)
def test_the_second_commit_on_one_snapshot_is_a_conflict_and_writes_nothing(
    table: Table, first: str, second: str
) -> None:
    table.snapshot().overwrite(rows({"a": 1, "b": 2, "c": 3}))
    mine, theirs = table.snapshot(), table.snapshot()
    FIRST[first](mine)
    expected = content(table)
    with pytest.raises(CommitConflictError):
        SECOND[second](theirs)
    assert content(table) == expected
    assert table.snapshot().version == mine.version


def test_writers_that_derive_again_after_a_conflict_lose_and_double_nothing(table: Table) -> None:
    table.snapshot().overwrite(rows({"count": 0}))
    errors: list[BaseException] = []

    def add(writer: int) -> None:
        try:
            for number in range(4):
                while True:
                    snapshot = table.snapshot()
                    (count,) = snapshot.select(["n"], ["count"])["n"].to_pylist()
                    key = f"{writer} {number}"
                    try:
                        snapshot.replace(rows({"count": count + 1, key: writer}), ["count", key])
                    except CommitConflictError:
                        continue
                    break
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=add, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    expected = {f"{writer} {number}": writer for writer in range(3) for number in range(4)}
    assert content(table) == {"count": 12, **expected}


def test_an_error_of_reading_quotes_no_path(table: Table, tmp_path: Path) -> None:
    table.snapshot().overwrite(rows({"secret": 1}))
    for file in tmp_path.rglob("*.parquet"):
        file.unlink()
    for act in (table.snapshot().select, lambda: table.snapshot().replace(rows({"b": 1}), ["secret"])):
        with pytest.raises(StorageError) as error:
            act()
        said = "".join(traceback.format_exception_only(error.value))
        assert "the table demo cannot be" in said
        assert tmp_path.name not in said
        assert "secret" not in said


def test_an_error_of_writing_quotes_no_data(table: Table) -> None:
    wrong = pa.table({"session": ["S001"], "n": ["a secret word"]})
    with pytest.raises(StorageError) as error:
        table.snapshot().overwrite(wrong)
    assert "secret" not in "".join(traceback.format_exception(error.value))


def test_a_damaged_table_is_an_error_and_not_an_empty_table(table: Table, tmp_path: Path) -> None:
    table.snapshot().overwrite(rows({"a": 1}))
    for file in tmp_path.rglob("_delta_log/*.json"):
        file.write_text("not a log")
    with pytest.raises(StorageError, match="the table demo cannot be opened"):
        table.snapshot()


def test_a_missing_version_is_an_error(table: Table) -> None:
    table.snapshot()
    with pytest.raises(StorageError, match="the table demo cannot be opened"):
        table.snapshot(7)


@pytest.mark.parametrize("name", ["with space", "ümlaut", "it's", "a#b", "a+b&c=d;e@f,g", "~x", "{x}"])
def test_a_store_may_have_an_unusual_path(tmp_path: Path, name: str) -> None:
    table = table_in(tmp_path / name)
    table.snapshot().overwrite(rows({"a": 1}))
    assert content(table) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a%20b", "50%", "[x]", "a^b", "a|b", "a\\b", "a\nb"])
def test_a_path_where_tables_cannot_be_kept_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="the path that NOVOIC_STORE names has one of the characters"):
        table_in(tmp_path / name).snapshot()


def test_the_tables_of_a_store_are_in_a_folder_for_its_owner_alone(tmp_path: Path) -> None:
    tables = StoreTables(Storage(str(tmp_path), "NOVOIC_STORE"))
    every = [
        *(tables.patients, tables.transcript_files, tables.audio_files),
        *(tables.transcripts, tables.text_features, tables.audio_features),
    ]
    for table in every:
        assert table.snapshot().select().schema == table.schema
        assert table.schema.field(table.key).type == pa.string()
    assert {path.name for path in (tmp_path / "restricted" / "tables").iterdir()} == {table.name for table in every}
    assert (tmp_path / "restricted").stat().st_mode & 0o077 == 0


def test_many_small_commits_become_one_file_and_keep_every_row(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    for number in range(70):
        session = f"S{number}"
        table.snapshot().replace(rows({session: number}), [session])
        table.snapshot().tidy()
    assert len(list((tmp_path / "restricted" / "tables" / "demo").glob("*.parquet"))) >= 70  # the versions of a week
    assert len(DeltaTable(tmp_path / "restricted" / "tables" / "demo").file_uris()) < 10
    assert content(table) == {f"S{number}": number for number in range(70)}


@pytest.mark.parametrize("commit", FIRST)
def test_files_that_no_version_of_a_week_needs_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: str
) -> None:
    """Commits that replace rows keep the number of files in use; the number of unused files grows."""
    monkeypatch.setattr("novoic_assets.storage.tables._VACUUM_EVERY", 8)
    folder = tmp_path / "restricted" / "tables" / "demo"
    table = table_in(tmp_path)
    table.snapshot().overwrite(rows({"a": 1, "b": 2}))
    (folder / "killed.parquet").write_bytes(b"what a killed run wrote and did not commit")

    def commit_until(version: int) -> set[str]:
        snapshot = table.snapshot()
        while snapshot.version < version:
            FIRST[commit](snapshot)
        assert snapshot.version == table.snapshot().version
        return {path.name for path in folder.glob("*.parquet")}

    unneeded = commit_until(7) - {Path(uri).name for uri in DeltaTable(folder).file_uris()}
    assert len(unneeded) == 7
    make_older(folder, days=6)
    assert len(commit_until(8)) == 9
    expected = content(table)
    assert unneeded < commit_until(15)
    make_older(folder, days=2)
    found = commit_until(16)
    assert unneeded.isdisjoint(found)
    assert len(found) == 17 - len(unneeded)
    assert content(table) == expected


def make_older(folder: Path, days: float) -> None:
    """Shift the times at which files of a table were written and removed by some days into the past."""
    milliseconds = round(days * 24 * 3600 * 1000)

    def older(match: re.Match[str]) -> str:
        return f"{match[1]}{int(match[2]) - milliseconds}"

    for path in (folder / "_delta_log").glob("*.json"):
        path.write_text(re.sub(r'("deletionTimestamp":)(\d+)', older, path.read_text()))
    for path in folder.glob("*.parquet"):
        os.utime(path, (path.stat().st_mtime - milliseconds / 1000,) * 2)


def test_tidying_gives_way_to_another_commit(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    for number in range(70):
        session = f"S{number}"
        table.snapshot().replace(rows({session: number}), [session])
    late = table.snapshot()
    table.snapshot().replace(rows({"S1": -1}), ["S1"])
    late.tidy()
    assert content(table) == {f"S{number}": number for number in range(70)} | {"S1": -1}


def test_a_table_of_an_older_version_keeps_its_rows_and_gets_the_new_columns(tmp_path: Path) -> None:
    entry = [pa.field("family", pa.string()), pa.field("vector", pa.list_(pa.float32()))]
    old = pa.schema([("session", pa.string()), ("gone", pa.int32()), ("values", pa.list_(pa.struct(entry)))])
    reasons = pa.field("reasons", pa.list_(pa.string()))
    new = pa.schema(
        [("session", pa.string()), ("guide", pa.string()), ("values", pa.list_(pa.struct([*entry, reasons])))]
    )
    storage = Storage(str(tmp_path), "NOVOIC_STORE")
    value = {"family": "mfcc", "vector": [1.0, 2.0]}
    rows = [{"session": "a", "gone": 1, "values": [value]}, {"session": "b", "gone": None, "values": None}]
    before = Table(storage, "t", old, "session").snapshot()
    before.overwrite(pa.Table.from_pylist(rows, schema=old))

    table = Table(storage, "t", new, "session")
    after = table.snapshot()
    assert after.select().to_pylist() == [
        {"session": "a", "guide": None, "values": [{**value, "reasons": None}]},
        {"session": "b", "guide": None, "values": None},
    ]
    assert table.snapshot().version == after.version == before.version + 1
    added = {"session": "c", "guide": "chat", "values": [{**value, "reasons": ["too_short", None]}]}
    after.replace(pa.Table.from_pylist([added], schema=new), ["c"])
    assert table.snapshot().select(keys=["c"]).to_pylist() == [added]


NAMES = pa.schema([("session", pa.string()), ("reason", pa.string())])


def test_renamed_values_are_read_under_their_present_name_and_stay_as_stored(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path), "NOVOIC_STORE")
    before = Table(storage, "names", NAMES, "session")
    content = {"a": "old", "b": "ok", "c": None, "d": "older", "e": "new"}
    written = pa.Table.from_pylist([{"session": key, "reason": value} for key, value in content.items()], NAMES)
    before.snapshot().overwrite(written)

    now = Table(storage, "names", NAMES, "session", {"reason": {"old": "new", "older": "newer"}}).snapshot()
    assert now.select().schema == NAMES
    assert now.select(["reason"])["reason"].to_pylist() == ["new", "ok", None, "newer", "new"]
    assert now.select(["session"])["session"].to_pylist() == list(content)
    assert now.select(["reason", "session"], ["a"]).to_pylist() == [{"reason": "new", "session": "a"}]
    assert now.select(None, []).num_rows == 0
    assert now.version == before.snapshot().version
    assert before.snapshot().select() == written


def test_a_table_with_renamed_values_is_hashable() -> None:
    storage = Storage("store", "NOVOIC_STORE")
    tables = {Table(storage, "names", NAMES, "session", {"reason": {"old": "new"}}) for _ in range(2)}
    assert len(tables) == 1
