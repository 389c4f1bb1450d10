"""Files below a root: listings, atomic writes, and readers that notice every change."""

import hashlib
import os
import pickle
import re
import shutil
import stat
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from novoic_assets.errors import StorageError
from novoic_assets.reasons import Reason, Refused
from novoic_assets.storage import files as module
from novoic_assets.storage.block_reader import BlockReader
from novoic_assets.storage.files import FileInfo, Storage

BLOCK = module._BLOCK
SETTING = "NOVOIC_RAW"


@pytest.fixture
def raw(tmp_path: Path) -> Storage:
    (tmp_path / "raw").mkdir()
    return Storage(str(tmp_path / "raw"), SETTING)


def put(storage: Storage, path: str, data: bytes = b"content") -> Path:
    file = Path(storage.root, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def paths(storage: Storage, prefix: str) -> set[str]:
    return {info.path for info in storage.list(prefix)}


def reader(storage: Storage, path: str) -> BlockReader:
    info = storage.stat(path)
    assert info is not None
    return storage.open_listed(info.path, info.size, info.etag)


# Listing


def test_a_listing_has_files_at_any_depth_hidden_ones_too_and_none_of_a_folder_with_a_longer_name(raw: Storage) -> None:
    for path in ("text/a.xml", "text/site/2024/b.xml", "text/.DS_Store", "text/.hidden/c.xml", "text2/d.xml", "e.xml"):
        put(raw, path)
    (Path(raw.root) / "text" / "empty").mkdir()
    assert paths(raw, "text") == {"text/a.xml", "text/site/2024/b.xml", "text/.DS_Store", "text/.hidden/c.xml"}


def test_a_listing_gives_size_and_time_of_change(raw: Storage) -> None:
    file = put(raw, "text/a.xml", b"12345")
    os.utime(file, (0, 1_700_000_000.25))
    (info,) = raw.list("text")
    assert info == FileInfo("text/a.xml", 5, info.etag, datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC))
    assert raw.stat("text/a.xml") == info


def test_more_files_than_a_page_are_all_listed(raw: Storage) -> None:
    for index in range(1_050):
        put(raw, f"text/{index}.xml", b"")
    assert len(list(raw.list("text"))) == 1_050


def test_a_folder_and_a_file_may_be_symbolic_links(raw: Storage, tmp_path: Path) -> None:
    other = tmp_path / "another disk"
    other.mkdir()
    (other / "a.wav").write_bytes(b"12")
    (Path(raw.root) / "audio").symlink_to(other)
    put(raw, "text/x.xml")
    (Path(raw.root) / "text" / "b.xml").symlink_to(other / "a.wav")
    assert paths(raw, "audio") == {"audio/a.wav"}
    assert paths(raw, "text") == {"text/x.xml", "text/b.xml"}
    assert reader(raw, "text/b.xml").read() == b"12"


def test_a_broken_link_is_not_a_file(raw: Storage, tmp_path: Path) -> None:
    put(raw, "text/a.xml")
    (Path(raw.root) / "text" / "b.xml").symlink_to(tmp_path / "nowhere")
    assert paths(raw, "text") == {"text/a.xml"}


def test_the_root_may_be_a_symbolic_link(raw: Storage, tmp_path: Path) -> None:
    put(raw, "text/a.xml")
    (tmp_path / "link").symlink_to(raw.root)
    assert paths(Storage(str(tmp_path / "link"), SETTING), "text") == {"text/a.xml"}


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=40).filter(
    # The pattern excludes two kinds of names. obstore uses `#` and digits for a write in progress. It takes a final `:`
    # or `|` for a drive of Windows; files of sessions end in an extension instead.
    lambda name: name not in (".", "..") and len(name.encode()) < 250 and not re.search(r"#\d+$|[:|]$", name)
)


@settings(max_examples=60, deadline=None)
@given(name=NAMES)
@example(name="with space.xml")
@example(name="ümlaut.xml")
@example(name="u\u0308mlaut.xml")
@example(name="a#1.xml")
@example(name="a%20b%2F.xml")
@example(name='it\'s "quoted".xml')
@example(name="back\\slash.xml")
@example(name="[a]{b}<c>?*|~^`.xml")
@example(name="c:.xml")
@example(name="日本.xml")
@example(name=" ")
def test_a_file_is_found_by_the_name_that_its_listing_gives(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = Storage(folder, SETTING)
        put(raw, f"text/{name}", b"content")
        (info,) = raw.list("text")
        assert info.path == f"text/{name}"
        assert raw.stat(info.path) == info
        assert reader(raw, info.path).read() == b"content"


@pytest.mark.parametrize("name", [b"a\nb.xml", b"a\tb.xml", b"\xff.xml"])
def test_a_name_that_cannot_be_listed_is_an_error_that_says_so(raw: Storage, name: bytes) -> None:
    put(raw, "text/a.xml")
    Path(os.fsdecode(os.fsencode(raw.root) + b"/text/" + name)).write_bytes(b"")
    with pytest.raises(StorageError, match="rename the file"):
        list(raw.list("text"))


@pytest.mark.parametrize("prefix", ["text", "a.xml"])
def test_a_missing_folder_is_an_error_and_not_an_empty_listing(raw: Storage, prefix: str) -> None:
    put(raw, "a.xml")
    with pytest.raises(StorageError, match=f"NOVOIC_RAW names has no folder '{prefix}'"):
        list(raw.list(prefix))


def test_a_missing_root_is_an_error_and_not_an_empty_listing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="NOVOIC_RAW names does not exist"):
        list(Storage(str(tmp_path / "gone"), SETTING).list("text"))


def test_an_empty_folder_is_an_empty_listing(raw: Storage) -> None:
    (Path(raw.root) / "text").mkdir()
    assert list(raw.list("text")) == []


# The etag


def test_an_etag_survives_moving_and_copying_the_folder(raw: Storage, tmp_path: Path) -> None:
    put(raw, "text/a.xml")
    put(raw, "text/b.xml", b"longer content")
    before = {info.path: info.etag for info in raw.list("text")}
    shutil.copytree(raw.root, tmp_path / "copy")  # other inodes, same times
    Path(raw.root).rename(tmp_path / "moved")
    for folder in ("copy", "moved"):
        assert {info.path: info.etag for info in Storage(str(tmp_path / folder), SETTING).list("text")} == before


def test_an_etag_changes_with_the_time_of_change_and_with_the_size(raw: Storage) -> None:
    file = put(raw, "a.xml", b"12")
    os.utime(file, ns=(0, 1_700_000_000_000_000_000))
    etags = [raw.stat("a.xml").etag]
    os.utime(file, ns=(0, 1_700_000_000_000_001_000))
    etags.append(raw.stat("a.xml").etag)
    file.write_bytes(b"123")
    os.utime(file, ns=(0, 1_700_000_000_000_001_000))
    etags.append(raw.stat("a.xml").etag)
    assert len(set(etags)) == 3


# Writing


def test_create_never_replaces_a_file(raw: Storage) -> None:
    assert raw.create("deep/below/a", b"first")
    assert not raw.create("deep/below/a", b"second")
    assert raw.read("deep/below/a") == b"first"


def test_only_one_of_several_writers_creates_a_file(raw: Storage) -> None:
    barrier = threading.Barrier(4)
    created: list[int] = []

    def create(number: int) -> None:
        barrier.wait()
        if raw.create("a", b"%d" % number * 10_000):
            created.append(number)

    run_together(*(lambda number=number: create(number) for number in range(4)))
    assert len(created) == 1
    assert raw.read("a") == b"%d" % created[0] * 10_000


def test_a_reader_sees_the_old_content_or_the_new_and_never_a_part(raw: Storage) -> None:
    contents = {letter * (1 << 19) for letter in (b"a", b"b")}
    raw.write("a", b"a" * (1 << 19))
    done = threading.Event()
    seen: set[bytes] = set()

    def write() -> None:
        for index in range(40):
            raw.write("a", (b"a", b"b")[index % 2] * (1 << 19))
        done.set()

    def look() -> None:
        while not done.is_set():
            seen.add(raw.read("a"))

    run_together(write, look)
    assert seen <= contents
    assert {path.name for path in Path(raw.root).iterdir()} == {"a"}


def test_deleting_a_file_twice_is_not_an_error(raw: Storage) -> None:
    raw.write("a", b"")
    raw.delete("a")
    raw.delete("a")
    assert raw.stat("a") is None


def test_a_private_folder_admits_its_owner_alone(tmp_path: Path) -> None:
    store = Storage(str(tmp_path / "new" / "store"), "NOVOIC_STORE")
    store.make_private("restricted")
    store.make_private("restricted")
    assert stat.S_IMODE((tmp_path / "new" / "store" / "restricted").stat().st_mode) == 0o700


# Reading in blocks

SIZE = 2 * BLOCK + 12_345
CONTENT = b"".join(hashlib.sha256(b"%d" % index).digest() for index in range(SIZE // 32 + 1))[:SIZE]
BORDERS = st.sampled_from([0, BLOCK, 2 * BLOCK, SIZE])
POSITIONS = st.one_of(
    st.integers(0, SIZE + 10), st.builds(lambda border, by: max(0, border + by), BORDERS, st.integers(-3, 3))
)
LENGTHS = st.one_of(st.integers(0, 40), st.sampled_from([BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, -1]))
STEPS = st.lists(st.one_of(st.tuples(st.just("seek"), POSITIONS), st.tuples(st.just("read"), LENGTHS)), max_size=12)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    storage = Storage(str(tmp_path_factory.mktemp("large")), SETTING)
    put(storage, "a.wav", CONTENT)
    return storage


@settings(max_examples=50, deadline=None)
@given(steps=STEPS, whence=st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]))
def test_reads_are_the_files_and_the_hash_is_right_whatever_was_read(
    large: Storage, steps: list[tuple[str, int]], whence: int
) -> None:
    file = reader(large, "a.wav")
    position = 0
    for step, number in steps:
        if step == "seek":
            offset = number - {os.SEEK_SET: 0, os.SEEK_CUR: position, os.SEEK_END: SIZE}[whence]
            assert file.seek(offset, whence) == number
            position = number
        else:
            expected = CONTENT[position:] if number < 0 else CONTENT[position : position + number]
            assert file.read(number) == expected
            position += len(expected)
        assert file.tell() == position
    assert file.sha256() == hashlib.sha256(CONTENT).hexdigest()
    assert file.tell() == position
    assert file.sha256() == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_files_of_any_size_are_read_to_their_end(raw: Storage, size: int) -> None:
    put(raw, "a", CONTENT[:size])
    file = reader(raw, "a")
    assert file.read() == CONTENT[:size]
    assert file.read() == b""
    assert file.sha256() == hashlib.sha256(CONTENT[:size]).hexdigest()


def test_a_reader_holds_one_block(large: Storage) -> None:
    file = reader(large, "a.wav")
    file.read()
    assert len(file._block) <= BLOCK


def shorten(file: Path) -> None:
    os.truncate(file, BLOCK + 5)


def lengthen(file: Path) -> None:
    with file.open("ab") as handle:
        handle.write(b"more")


def rewrite(file: Path) -> None:
    before = file.stat().st_mtime_ns
    file.write_bytes(bytes(SIZE))
    os.utime(file, ns=(before, before + 1_000_000))


def empty(file: Path) -> None:
    file.write_bytes(b"")


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


CHANGES: list[Callable[[Path], None]] = [shorten, lengthen, rewrite, empty, Path.unlink, replace_by_folder]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("read_before", [0, 10])
def test_a_file_that_changed_since_it_was_listed_is_refused(
    raw: Storage, change: Callable[[Path], None], read_before: int
) -> None:
    path = put(raw, "audio/a.wav", CONTENT)
    file = reader(raw, "audio/a.wav")
    assert file.read(read_before) == CONTENT[:read_before]
    change(path)
    for read in (file.readall, file.sha256):
        with pytest.raises(Refused) as refused:
            read()
        assert refused.value.reason == Reason.FILE_CHANGED


@contextmanager
def without_the_rights_of_root() -> Iterator[None]:
    """If root, who may read everything, runs the tests, become another user while the context lasts."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)  # nobody
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_is_refused() -> None:
    # Do not use pytest's folder, which no other user may enter.
    with tempfile.TemporaryDirectory() as folder:
        raw = Storage(folder, SETTING)
        open_to_all, closed = put(raw, "open.wav", CONTENT), put(raw, "closed.wav", CONTENT)
        Path(folder).chmod(0o755)
        open_to_all.chmod(0o644)
        closed.chmod(0)
        files = {name: reader(raw, name) for name in ("open.wav", "closed.wav")}
        with without_the_rights_of_root():
            assert files["open.wav"].read() == CONTENT
            with pytest.raises(Refused) as refused:
                files["closed.wav"].read()
    assert refused.value.reason == Reason.UNREADABLE_FILE


# Pickling and error messages


def test_a_pickled_storage_holds_its_settings_and_not_the_open_store(raw: Storage) -> None:
    put(raw, "text/a.xml")
    unused = pickle.dumps(raw)
    assert paths(raw, "text") == {"text/a.xml"}
    assert pickle.dumps(raw) == unused
    again = pickle.loads(unused)
    assert vars(again) == {"root": raw.root, "setting": SETTING, "patience": None}
    assert paths(again, "text") == {"text/a.xml"}


@pytest.mark.parametrize("root", ["gs://secret-bucket/prefix", "https://secret-bucket", "s3://", "s3:///secret-bucket"])
def test_a_url_of_another_kind_is_refused_without_quoting_it(root: str) -> None:
    with pytest.raises(StorageError) as error:
        Storage(root, SETTING)
    assert "secret-bucket" not in str(error.value)
    assert SETTING in str(error.value)


OPERATIONS: dict[str, Callable[[Storage, str], object]] = {
    "list": lambda storage, path: list(storage.list("text")),
    "stat": lambda storage, path: storage.stat(path),
    "read": lambda storage, path: storage.read(path),
    "write": lambda storage, path: storage.write(path, b""),
    "create": lambda storage, path: storage.create(path, b""),
    "delete": lambda storage, path: storage.delete(path),
    "make_private": lambda storage, path: storage.make_private("a file"),
}


@pytest.mark.parametrize("root", ["absent", "file", "below a file"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_errors_name_the_setting_and_neither_the_path_nor_the_root(tmp_path: Path, operation: str, root: str) -> None:
    folder = tmp_path / "secret root"
    path = "text/S001-secret.xml"
    if root == "file":
        folder.write_text("")
    if root == "below a file":
        folder.mkdir()
        (folder / "text").write_text("")
        (folder / "a file").write_text("")
    if (operation, root) == ("make_private", "absent"):
        return  # this operation creates the root
    with pytest.raises((StorageError, FileNotFoundError)) as error:
        OPERATIONS[operation](Storage(str(folder), SETTING), path)
    said = "".join(traceback.format_exception_only(error.value))
    assert SETTING in said
    assert "secret" not in said
    assert "secret" not in "".join(traceback.format_exception(error.value)).replace(repr(path), "")


def test_the_error_for_a_missing_file_quotes_no_path(raw: Storage, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        raw.read("text/S001.xml")
    assert "S001" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


def run_together(*functions: Callable[[], object]) -> None:
    """Run each function in its own thread, and raise their errors."""
    errors: list[BaseException] = []

    def run(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
