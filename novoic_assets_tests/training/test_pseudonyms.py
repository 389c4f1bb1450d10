"""Keyed pseudonyms are HMACs, the same in every process, with one key for a store."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novoic_assets.errors import NovoicError
from novoic_assets.storage.files import Storage
from novoic_assets.training.pseudonyms import KEY_SETTING, Pseudonyms, load_pseudonyms

KEY = "0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "store"), "NOVOIC_STORE")


def hmac_sha256(key: bytes, message: bytes) -> str:
    """RFC 2104, section 2, written out."""
    block = 64
    key = hashlib.sha256(key).digest() if len(key) > block else key
    key = key.ljust(block, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()


@given(key=st.text(st.characters(exclude_categories=("Cs",)), min_size=16, max_size=80), value=st.text(max_size=20))
def test_a_pseudonym_is_the_start_of_an_hmac_of_kind_and_id(key: str, value: str) -> None:
    pseudonyms = Pseudonyms(key)
    raw = value.encode("utf-8", "surrogatepass")
    assert pseudonyms.patient(value) == "P" + hmac_sha256(key.encode(), b"patient\0" + raw)[:16]
    assert pseudonyms.session(value) == "S" + hmac_sha256(key.encode(), b"session\0" + raw)[:16]


def test_pseudonyms_differ_by_id_kind_and_key() -> None:
    one, other = Pseudonyms(KEY), Pseudonyms(KEY + "x")
    found = [one.patient("S001"), one.patient("S002"), one.session("S001"), other.patient("S001")]
    assert len({pseudonym[1:] for pseudonym in found}) == 4


def test_pseudonyms_are_the_same_in_every_process() -> None:
    code = f"from novoic_assets.training.pseudonyms import Pseudonyms; print(Pseudonyms({KEY!r}).session('ä'))"
    found = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        .stdout.decode()
        .strip()
        for seed in ("1", "2")
    }
    assert found == {Pseudonyms(KEY).session("ä")}


def test_the_key_id_tells_keys_apart_and_is_no_part_of_the_key() -> None:
    assert Pseudonyms(KEY).key_id == Pseudonyms(KEY).key_id != Pseudonyms(KEY + "x").key_id
    assert len(Pseudonyms(KEY).key_id) == 8
    assert Pseudonyms(KEY).key_id not in KEY


def test_a_short_key_is_refused_without_being_quoted(monkeypatch: pytest.MonkeyPatch, store: Storage) -> None:
    with pytest.raises(NovoicError, match="at least 16 characters") as error:
        Pseudonyms("fifteen letters")
    assert "fifteen" not in str(error.value)
    monkeypatch.setenv(KEY_SETTING, "short")
    with pytest.raises(NovoicError, match=KEY_SETTING):
        load_pseudonyms(store)


def test_the_setting_is_the_key_and_no_file_is_made(monkeypatch: pytest.MonkeyPatch, store: Storage) -> None:
    monkeypatch.setenv(KEY_SETTING, KEY)
    assert load_pseudonyms(store).patient("P") == Pseudonyms(KEY).patient("P")
    assert not Path(store.root).exists()


def test_without_the_setting_a_key_is_made_once_where_only_its_owner_may_read_it(
    monkeypatch: pytest.MonkeyPatch, store: Storage
) -> None:
    monkeypatch.delenv(KEY_SETTING)
    first = load_pseudonyms(store)
    folder = Path(store.root, "restricted")
    (file,) = folder.iterdir()
    key = file.read_text()
    assert len(bytes.fromhex(key)) == 32
    assert folder.stat().st_mode & 0o077 == 0
    assert load_pseudonyms(store).patient("P") == first.patient("P") == Pseudonyms(key).patient("P")
    assert file.read_text() == key
    assert key not in str(vars(Storage)) + repr(first)


def test_two_stores_have_two_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEY_SETTING)
    ids = {load_pseudonyms(Storage(str(tmp_path / name), "NOVOIC_STORE")).key_id for name in "ab"}
    assert len(ids) == 2


def test_runs_that_start_at_once_use_one_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEY_SETTING)
    for attempt in range(10):
        found: list[str] = []
        barrier = threading.Barrier(4)

        def load(root: str = str(tmp_path / str(attempt)), barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            found.append(load_pseudonyms(Storage(root, "NOVOIC_STORE")).key_id)  # noqa: B023 - the threads end below

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1


def test_an_empty_setting_is_not_set(monkeypatch: pytest.MonkeyPatch, store: Storage) -> None:
    monkeypatch.setenv(KEY_SETTING, "")
    assert len(load_pseudonyms(store).key_id) == 8


def test_a_store_that_cannot_be_written_is_an_error_and_gives_no_temporary_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(KEY_SETTING)
    (tmp_path / "store").write_text("a file")
    with pytest.raises(NovoicError, match="NOVOIC_STORE"):
        load_pseudonyms(Storage(str(tmp_path / "store"), "NOVOIC_STORE"))
    assert (tmp_path / "store").read_text() == "a file"


@given(st.sets(st.text(max_size=5), min_size=1, max_size=8))
def test_identify_finds_the_patient_or_session(ids: set[str]) -> None:
    pseudonyms = Pseudonyms(KEY)
    for value in ids:
        assert pseudonyms.identify(pseudonyms.patient(value), ids, ids) == {"patient": value}
        assert pseudonyms.identify(pseudonyms.session(value), ids, ids) == {"session": value}
    assert pseudonyms.identify("P0000000000000000", ids, ids) == {}
    assert pseudonyms.identify(Pseudonyms(KEY + "x").patient(min(ids)), ids, ids) == {}


def test_the_key_comes_only_from_the_environment() -> None:
    assert os.environ[KEY_SETTING]  # a fixture sets it, so that no test depends on the settings of whoever runs it
    assert os.environ[KEY_SETTING] not in repr(Pseudonyms(os.environ[KEY_SETTING]))
