"""What is written with a dataset: every kind of file keeps the same promises, and a package adds one by being there."""

import doctest
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from novoic_assets.errors import StorageError
from novoic_assets.findings import Finding
from novoic_assets.storage.files import Storage
from novoic_assets.training import publish
from novoic_assets.training.added import AddedFiles
from novoic_assets.training.dataset import Dataset, assemble
from novoic_assets.training.files import entry
from novoic_assets.training.files.catalogue import ENTRY_POINTS, VERSION_FILES, added_files
from novoic_assets.training.files.entry import DatasetFiles
from novoic_assets.training.files.manifest import MANIFEST
from novoic_assets.training.load import load_dataset
from novoic_assets.training.versions import mark_of, read_mark, read_version, version_folder, write_version
from novoic_assets_tests.installed import installed
from novoic_assets_tests.lab import BucketLab
from novoic_assets_tests.training.builders import (
    AD_VS_HC,
    PSEUDONYMS,
    cohort_of_eight,
    publish_unchecked,
    published,
    sources,
)

NAME = AD_VS_HC.name

CARD = '''
import json
from novoic_assets.training.files.entry import DatasetFiles

def write(published):
    """Two files that use everything a version offers."""
    facts = {
        "name": published.name, "description": published.description, "version": published.version,
        "cases": int(published.arrays["y"].sum()), "ages": published.covariates["age"].to_pylist(),
        "families": [family["name"] for families in published.families.values() for family in families],
        "counts": published.counts, "flow": published.flow, "inputs": published.inputs_digest,
        "schema": published.schema_version, "settings": published.settings, "tables": published.tables,
        "code": published.code_version, "hashes": {file: known.sha256 for file, known in published.files.items()},
    }
    return {"card.json": json.dumps(facts).encode(), "card.md": f"# {published.name}".encode()}

CARD = DatasetFiles("card", write)
'''


CARD_POINT = {ENTRY_POINTS: {"card": "lab_card:CARD"}}


@pytest.fixture
def package(tmp_path: Path) -> Iterator[None]:
    """A package that writes a card with every dataset."""
    with installed(tmp_path / "site", "lab_card", CARD, CARD_POINT):
        yield


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    return new_store(tmp_path / "store")


def new_store(folder: Path) -> Storage:
    folder.mkdir()
    return Storage(str(folder), "NOVOIC_STORE")


def put(store: Storage, dataset: Dataset | None = None) -> dict[str, Finding]:
    """Publish a dataset; what the checks found, by name."""
    dataset = dataset or cohort_of_eight()
    publication = publish.publish_dataset(store, dataset, tables={"patients": 1}, settings={"pseudonym_key": "test"})
    assert publication.failed == []
    return {finding.name: finding for finding in publication.findings}


def folder_of(store: Storage, dataset: Dataset | None = None) -> Path:
    return Path(store.root, version_folder(NAME, (dataset or cohort_of_eight()).version))


def files_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The files of a folder: their bytes, and what would change if they were written again."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def files_of(kind: str, store: Storage) -> list[str]:
    """The files of one kind beside a dataset, its mark last."""
    folder, mark = version_folder(NAME, cohort_of_eight().version), mark_of(entry_of(kind))
    return [mark] if kind == MANIFEST.name else [*read_mark(store, folder, mark), mark]


def entry_of(kind: str) -> DatasetFiles:
    return next(each for each in (*VERSION_FILES, *added_files()) if each.name == kind)


KINDS = [*(each.name for each in VERSION_FILES), "card"]


# What every kind of file keeps


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_written_with_its_mark_last(
    package: None, store: Storage, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    written = []
    write = Storage.write
    monkeypatch.setattr(Storage, "write", lambda self, path, data: (written.append(path), write(self, path, data)))
    assert put(store)["files_written"].passed
    names = [path.rpartition("/")[2] for path in written]
    places = [names.index(file) for file in files_of(kind, store)]
    assert places == sorted(places)
    assert names[-1] == "current.json"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != MANIFEST.name])
def test_a_mark_tells_the_hashes_of_its_files(package: None, store: Storage, kind: str) -> None:
    put(store)
    folder = folder_of(store)
    marked = read_mark(store, version_folder(NAME, folder.name), mark_of(entry_of(kind)))
    assert marked
    given = entry_of(kind).write(read_version(store, NAME, folder.name))
    assert given == {file: (folder / file).read_bytes() for file in marked}
    assert {file: known.size for file, known in marked.items()} == {file: len(data) for file, data in given.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_the_same_bytes_in_every_store(package: None, tmp_path: Path, kind: str) -> None:
    one, other = new_store(tmp_path / "one"), new_store(tmp_path / "other")
    put(one)
    put(other)
    files = files_of(kind, one)
    assert [(folder_of(one) / file).read_bytes() for file in files] == [
        (folder_of(other) / file).read_bytes() for file in files
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_is_complete_is_not_written_again(package: None, store: Storage, kind: str) -> None:
    put(store)
    before = files_in(folder_of(store))
    put(store)
    assert files_in(folder_of(store)) == before
    assert set(files_of(kind, store)) <= set(before)


@pytest.mark.parametrize("place", ["at its last file", "at its mark"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_whose_run_was_killed_is_written_again(
    package: None, store: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, place: str
) -> None:
    whole = new_store(tmp_path / "whole")
    put(whole)
    *files, mark = files_of(kind, whole)
    stop = mark if place == "at its mark" or not files else files[-1]
    write = Storage.write

    def killed(self: Storage, path: str, data: bytes) -> None:
        if path.endswith(f"/{stop}"):
            raise KeyboardInterrupt
        write(self, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            put(store)
    assert not (folder_of(store) / mark).exists()
    assert publish.current(store, NAME) is None
    for file in [file for file in files if (folder_of(store) / file).exists()]:
        (folder_of(store) / file).write_bytes(b"half of it")
    put(store)
    assert {name: data for name, (data, _) in files_in(folder_of(store)).items()} == {
        name: data for name, (data, _) in files_in(folder_of(whole)).items()
    }


def test_a_run_uses_what_a_killed_one_had_completed(store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    write_version(store, published(cohort_of_eight()))
    folder = folder_of(store)
    before = files_in(folder)
    (folder / "manifest.json").unlink()
    put(store)
    assert files_in(folder)["arrays.npz"] == before["arrays.npz"]
    assert files_in(folder)["manifest.json"][0] == before["manifest.json"][0]


# What a version offers


def test_a_version_says_the_same_made_and_read_back(store: Storage) -> None:
    dataset = cohort_of_eight(covariates=("age", "gender", "mmse"))
    made = published(dataset)
    write_version(store, made)
    back = read_version(store, NAME, dataset.version)
    assert back.arrays.keys() == made.arrays.keys()
    for name, array in made.arrays.items():
        np.testing.assert_array_equal(back.arrays[name], array)
    assert back.covariates.equals(made.covariates)
    assert set(back.files) == {"arrays.npz", "train.parquet", "test.parquet"}
    plain = {"arrays": {}, "covariates": None, "files": {}}
    fields = [name for name in made.__dataclass_fields__ if name not in plain]
    assert {name: getattr(back, name) for name in fields} == {name: getattr(made, name) for name in fields}


def test_the_example_of_a_kind_runs() -> None:
    result = doctest.testmod(entry)
    assert result.attempted > 0
    assert result.failed == 0


# What packages add


def test_a_package_reaches_versions_that_were_there_before_it(store: Storage, tmp_path: Path) -> None:
    old, new = cohort_of_eight(), cohort_of_eight(covariates=("age",))
    for dataset in (old, new):
        put(store, dataset)
    before = {dataset.version: files_in(folder_of(store, dataset)) for dataset in (old, new)}
    pointer = Path(store.root, "training_data", NAME, "current.json").read_bytes()

    with installed(tmp_path / "site", "lab_card", CARD, CARD_POINT):
        findings = [put(store, new)["files_written"] for _ in range(2)]
    assert [finding.counts for finding in findings] == [{"written": 2, "failed": 0}, {"written": 0, "failed": 0}]
    assert all(finding.passed for finding in findings)
    for dataset in (old, new):
        files = files_in(folder_of(store, dataset))
        assert set(files) - set(before[dataset.version]) == {"card.json", "card.md", "card.written.json"}
        assert files.items() >= before[dataset.version].items()
        card = json.loads(files["card.json"][0])
        assert (card["version"], card["cases"], len(card["ages"])) == (dataset.version, 3, 8)
        assert set(card["hashes"]) == {"arrays.npz", "train.parquet", "test.parquet"}
        assert card["families"] == ["words", "pauses", "mfcc", "room"]
    assert Path(store.root, "training_data", NAME, "current.json").read_bytes() == pointer


def test_a_version_from_before_there_were_marks_is_complete_and_gets_what_packages_add(
    package: None, store: Storage
) -> None:
    write_version(store, published(cohort_of_eight()))
    folder = folder_of(store)
    for mark in folder.glob("*.written.json"):
        mark.unlink()
    before = files_in(folder)
    put(store)
    after = files_in(folder)
    assert set(after) - set(before) == {"card.json", "card.md", "card.written.json"}
    assert after.items() >= before.items()


def test_a_package_reaches_the_versions_in_a_bucket(package: None, bucket_lab: BucketLab) -> None:
    store = Storage(bucket_lab.store_root, "NOVOIC_STORE")
    for dataset in (cohort_of_eight(covariates=("age",)), cohort_of_eight()):
        write_version(store, published(dataset))
    assert put(store)["files_written"].counts == {"written": 2, "failed": 0}
    assert put(store)["files_written"].counts == {"written": 0, "failed": 0}
    cards = [info.path for info in store.list("training_data") if info.path.endswith("card.json")]
    assert len(cards) == 2


def test_a_version_without_a_manifest_is_left(package: None, store: Storage) -> None:
    unfinished = folder_of(store, cohort_of_eight(covariates=("age",)))
    write_version(store, published(cohort_of_eight(covariates=("age",))))
    (unfinished / "manifest.json").unlink()
    put(store)
    assert not (unfinished / "card.json").exists()


def test_a_dataset_of_nobody_has_the_files_beside_its_older_versions(package: None, store: Storage) -> None:
    write_version(store, published(cohort_of_eight()))
    assert put(store, assemble(AD_VS_HC, sources([], []), PSEUDONYMS, ()))["files_written"].passed
    assert (folder_of(store) / "card.json").exists()


def test_a_version_of_another_schema_is_left_and_counted(package: None, store: Storage) -> None:
    old = cohort_of_eight(covariates=("age",))
    write_version(store, published(old))
    manifest = folder_of(store, old) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": "2"', '"schema_version": "1"'))
    finding = put(store)["files_written"]
    assert finding.passed
    assert finding.description.endswith("1 versions have another schema and are left as they are")
    assert not (folder_of(store, old) / "card.json").exists()


def test_a_damaged_older_version_is_a_warning(package: None, store: Storage) -> None:
    old = cohort_of_eight(covariates=("age",))
    write_version(store, published(old))
    (folder_of(store, old) / "arrays.npz").write_bytes(b"not an archive")
    finding = put(store)["files_written"]
    assert not finding.passed
    assert finding.description.startswith("1 kind of file could not be written: card (")
    assert load_dataset(NAME, store.root).version == cohort_of_eight().version
    assert (folder_of(store) / "card.json").exists()


def test_without_packages_no_version_is_looked_for(store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("nobody asked for it")

    monkeypatch.setattr(Storage, "list", refuse)
    monkeypatch.setattr(Storage, "has_folder", refuse)
    assert put(store)["files_written"].passed


FAILING = {
    "it raises": ("1 / 0", r"\(ZeroDivisionError at lab_card\.py:5\)"),
    "it raises with a text": ("raise ValueError('speaker_S001')", r"\(ValueError at lab_card\.py:5\)"),
    "a folder in a name": ("return {'../card.json': b''}", "a name with other characters than"),
    "an absolute path": ("return {'/card.json': b''}", "a name with other characters than"),
    "a hidden file": ("return {'.card': b''}", "a name with other characters than"),
    "a name that is none": ("return {3: b''}", "a name with other characters than"),
    "the file of another kind": ("return {'arrays.npz': b''}", "a name that is taken"),
    "the file of another kind, in upper case": ("return {'Train.Parquet': b''}", "a name that is taken"),
    "the manifest": ("return {'manifest.json': b''}", "a name that is taken"),
    "a mark": ("return {'arrays.written.json': b''}", "the name of a mark"),
    "two names that differ in case": ("return {'card.md': b'', 'Card.md': b''}", "a name that is taken"),
    "text": ("return {'card.md': '# card'}", "something else than bytes by file name"),
    "nothing": ("return None", "something else than bytes by file name"),
    "an array that it changes": ("published.arrays['y'][:] = 0", r"\(ValueError at lab_card\.py:5\)"),
}


@pytest.mark.parametrize(("body", "said"), FAILING.values(), ids=FAILING)
def test_a_package_that_fails_costs_its_own_files_and_is_tried_again(
    store: Storage, tmp_path: Path, body: str, said: str
) -> None:
    source = (
        "from novoic_assets.training.files.entry import DatasetFiles\n\n"
        "\n"
        "def write(published):\n"
        f"    {body}\n"
        "GOOD = DatasetFiles('good', lambda published: {'good.txt': b'good'})\n"
        "BAD = DatasetFiles('bad', write)\n"
    )
    points = {ENTRY_POINTS: {"bad": "lab_card:BAD", "good": "lab_card:GOOD"}}
    with installed(tmp_path / "bad", "lab_card", source, points):
        for _ in range(2):
            finding = put(store)["files_written"]
            assert not finding.passed
            assert not finding.is_error
            assert finding.counts["failed"] == 1
            assert re.search(said, finding.description)
            assert finding.description.startswith("1 kind of file could not be written: bad (")
            assert "speaker_S001" not in finding.description
            assert "card.json" not in finding.description
        folder = folder_of(store)
        assert (folder / "good.txt").read_bytes() == b"good"
        assert {path.name for path in folder.iterdir()} & {"bad.written.json", "card.json", "card.md", ".card"} == set()
        assert load_dataset(NAME, store.root).version == folder.name
    mended = source.replace(f"    {body}\n", "    return {'bad.txt': b'mended'}\n")
    with installed(tmp_path / "mended", "lab_card", mended, points):
        assert put(store)["files_written"].passed
    assert (folder / "bad.txt").read_bytes() == b"mended"


def test_two_packages_cannot_have_one_file(store: Storage, tmp_path: Path) -> None:
    source = (
        "from novoic_assets.training.files.entry import DatasetFiles\n"
        "ONE = DatasetFiles('one', lambda published: {'card.json': b'one'})\n"
        "TWO = DatasetFiles('two', lambda published: {'card.json': b'two'})\n"
    )
    points = {ENTRY_POINTS: {"one": "lab_card:ONE", "two": "lab_card:TWO"}}
    with installed(tmp_path / "site", "lab_card", source, points):
        descriptions = [put(store)["files_written"].description for _ in range(2)]
    assert set(descriptions) == {"1 kind of file could not be written: two (it gives a file a name that is taken)"}
    assert (folder_of(store) / "card.json").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('speaker_S001')", "the entry point card of .* cannot be imported .RuntimeError."),
        ("CARD = 3", "is not an object of DatasetFiles"),
        (CARD.replace('"card", write', '"arrays", write'), "two kinds of file have the same name"),
        (CARD.replace('"card", write', '"../card", write'), "other characters than a-z, 0-9 and _"),
    ],
)
def test_a_package_that_does_not_fit_is_a_warning(store: Storage, tmp_path: Path, source: str, said: str) -> None:
    with installed(tmp_path / "site", "lab_card", source, CARD_POINT):
        finding = put(store)["files_written"]
    assert not finding.passed
    assert re.search(said, finding.description)
    assert "speaker_S001" not in finding.description
    assert publish.current(store, NAME)["version"] == cohort_of_eight().version


def test_a_store_that_cannot_be_written_stops_the_run_and_is_not_the_packages_fault(
    package: None, store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_unchecked(store, cohort_of_eight())
    write = Storage.write

    def full(self: Storage, path: str, data: bytes) -> None:
        if path.endswith("card.json"):
            raise StorageError("the store cannot be written")
        write(self, path, data)

    monkeypatch.setattr(Storage, "write", full)
    with pytest.raises(StorageError):
        AddedFiles(store, NAME).write_to_others()
