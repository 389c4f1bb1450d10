"""Publishing writes complete versions that never change, moves the pointer last, and names nobody."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from novoic_assets.errors import NovoicError, StorageError
from novoic_assets.features.family import SPEAKERS
from novoic_assets.storage.files import Storage
from novoic_assets.training import publish
from novoic_assets.training.dataset import SPLITS, assemble
from novoic_assets.training.load import load_dataset
from novoic_assets.training.members import Flow
from novoic_assets.training.picture import dataset_picture
from novoic_assets.training.published import Published
from novoic_assets.training.versions import write_version
from novoic_assets_tests.training.builders import (
    AD_VS_HC,
    FAMILIES,
    PSEUDONYMS,
    cohort_of_eight,
    everything_written,
    publish_unchecked,
    published,
    sources,
)

NAME = AD_VS_HC.name
MARKS = {"arrays.written.json", "parquet.written.json"}
FILES = {"arrays.npz", "train.parquet", "test.parquet", "manifest.json", *MARKS}


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    (tmp_path / "store").mkdir()
    return Storage(str(tmp_path / "store"), "NOVOIC_STORE")


def folder(store: Storage, version: str) -> Path:
    return Path(store.root, "training_data", NAME, version)


def files_of(store: Storage) -> dict[Path, tuple[bytes, int, int]]:
    """The bytes, modification times and inodes of a store's files; writing a file again changes the last two."""
    files = [path for path in Path(store.root, "training_data").rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def fail_on(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make the storage fail at one file."""
    write = Storage.write

    def failing(self: Storage, path: str, data: bytes) -> None:
        if path.endswith(name):
            raise StorageError("the store cannot be written")
        write(self, path, data)

    monkeypatch.setattr(Storage, "write", failing)


def test_a_version_has_its_files_and_a_manifest_with_their_hashes(store: Storage) -> None:
    dataset = cohort_of_eight()
    assert write_version(store, Published.of(dataset, tables={"patients": 7}, settings={"pseudonym_key": "abc"}))
    below = folder(store, dataset.version)
    assert {path.name for path in below.iterdir()} == FILES
    manifest = json.loads((below / "manifest.json").read_text())
    assert set(manifest["files"]) == FILES - MARKS - {"manifest.json"}
    for file, facts in manifest["files"].items():
        data = (below / file).read_bytes()
        assert facts == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert manifest["version"] == dataset.version
    assert manifest["flow"] == {"in": 8, "included": 8, "excluded": {}, "quarantined": {}}
    assert manifest["counts"] == dataset.counts()
    assert manifest["covariates"] == ["age", "gender"]
    assert manifest["tables"] == {"patients": 7}
    assert manifest["settings"] == {"pseudonym_key": "abc"}
    assert manifest["inputs_digest"] == dataset.inputs
    assert [family["name"] for family in manifest["text"]] == ["words", "pauses"]
    assert manifest["audio"][0]["values"] == ["mfcc_0", "mfcc_1", "mfcc_2"]


def test_the_arrays_load_without_pickle_and_are_those_of_the_dataset(store: Storage) -> None:
    dataset = cohort_of_eight()
    publish_unchecked(store, dataset)
    with np.load(folder(store, dataset.version) / "arrays.npz", allow_pickle=False) as arrays:
        assert set(arrays.files) == set(dataset.arrays)
        for name in arrays.files:
            assert arrays[name].dtype == dataset.arrays[name].dtype
            np.testing.assert_array_equal(arrays[name], dataset.arrays[name])


@pytest.mark.parametrize("split", SPLITS)
def test_parquet_has_the_same_rows_with_lists_of_fixed_size_and_the_covariates(store: Storage, split: str) -> None:
    dataset = cohort_of_eight(covariates=("age", "gender", "mmse"))
    publish_unchecked(store, dataset)
    table = pq.read_table(folder(store, dataset.version) / f"{split}.parquet")
    rows = np.flatnonzero(dataset.arrays["split"] == split)
    assert table.num_rows == len(rows) > 0
    for modality in ("text", "audio"):
        for speaker in SPEAKERS:
            column = table[f"{modality}_{speaker}"]
            assert column.type == pa.list_(pa.float32(), 3)
            np.testing.assert_array_equal(
                np.array(column.to_pylist(), np.float32), dataset.arrays[f"X_{modality}_{speaker}"][rows]
            )
            assert table[f"status_{modality}_{speaker}"].to_pylist() == ["ok"] * len(rows)
    for name in ("session", "patient", "split", "y", "weight"):
        assert table[name].to_pylist() == dataset.arrays[name][rows].tolist()
    for name in ("age", "gender", "mmse"):
        assert table[name].to_pylist() == dataset.covariates[name].take(pa.array(rows)).to_pylist()
    families = json.loads(table.schema.metadata[b"novoic:families"])
    assert [family["name"] for family in families["audio"]] == [family.name for family in FAMILIES["audio"]]


def test_a_split_without_rows_has_a_file(store: Storage) -> None:
    dataset = cohort_of_eight()
    train = dataset.arrays["split"] == "train"
    arrays = {name: array[train] if array.shape[:1] == (8,) else array for name, array in dataset.arrays.items()}
    dataset = replace(dataset, arrays=arrays, covariates=dataset.covariates.filter(pa.array(train)))
    publish_unchecked(store, dataset)
    assert pq.read_table(folder(store, dataset.version) / "test.parquet").num_rows == 0
    assert len(load_dataset(NAME, store.root, split="test").y) == 0
    assert len(load_dataset(NAME, store.root).y) == 6


def test_nothing_that_is_written_names_a_patient_or_a_session(store: Storage) -> None:
    dataset = cohort_of_eight(covariates=("age", "gender", "mmse"))
    written = publish_unchecked(store, dataset)
    said = everything_written(Path(store.root))
    for index in range(8):
        assert f"pat-{index}" not in said
        assert f"ses-{index}" not in said
    # The search finds what the files do hold.
    assert PSEUDONYMS.patient("pat-0") in said
    assert PSEUDONYMS.session("ses-0") in said
    assert written.version in said
    assert "male" in said


def test_equal_datasets_are_equal_bytes(tmp_path: Path) -> None:
    found = []
    for name in "ab":
        (tmp_path / name).mkdir()
        store = Storage(str(tmp_path / name), "NOVOIC_STORE")
        written = publish_unchecked(store, cohort_of_eight())
        found.append({path.name: path.read_bytes() for path in folder(store, written.version).iterdir()})
    assert found[0] == found[1]


def test_a_version_is_never_written_twice(store: Storage) -> None:
    written = publish_unchecked(store, cohort_of_eight())
    before = files_of(store)
    again = Published.of(cohort_of_eight(), tables={"patients": 2}, settings={})
    assert again.version == written.version
    assert not write_version(store, again)
    assert not publish.point(store, again)
    assert files_of(store) == before


def test_a_written_version_is_not_current_until_it_is_pointed_to(store: Storage) -> None:
    old, new = cohort_of_eight(), cohort_of_eight(covariates=("age",))
    publish_unchecked(store, old)
    written = published(new)
    assert write_version(store, written)
    assert publish.current(store, NAME)["version"] == old.version
    assert load_dataset(NAME, store.root).version == old.version
    assert publish.point(store, written)
    assert load_dataset(NAME, store.root).version == new.version
    assert load_dataset(NAME, store.root, version=old.version).version == old.version


@pytest.mark.parametrize("file", sorted(FILES | {"current.json"}))
def test_a_run_that_fails_at_any_file_keeps_the_old_version_current_and_the_next_one_publishes(
    store: Storage, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    old, new = cohort_of_eight(), cohort_of_eight(covariates=("age",))
    publish_unchecked(store, old)
    with monkeypatch.context() as broken:
        fail_on(broken, file)
        with pytest.raises(StorageError):
            publish_unchecked(store, new)
    assert load_dataset(NAME, store.root).version == old.version
    if file != "current.json":
        with pytest.raises(NovoicError, match=new.version):
            load_dataset(NAME, store.root, version=new.version)
    publish_unchecked(store, new)
    assert load_dataset(NAME, store.root).version == new.version
    assert {path.name for path in folder(store, new.version).iterdir()} == FILES


def test_the_pointer_follows_the_flow_of_an_unchanged_version(store: Storage) -> None:
    dataset = cohort_of_eight()
    publish_unchecked(store, dataset)
    first = publish.current(store, NAME)
    later = published(replace(dataset, flow=Flow(9, 8, {}, {"no_audio": 1})))
    assert not publish.point(store, later)
    assert publish.current(store, NAME)["flow"]["quarantined"] == {"no_audio": 1}
    assert publish.current(store, NAME)["version"] == first["version"]
    before = (Path(store.root) / "training_data" / NAME / "current.json").read_bytes()
    publish.point(store, later)
    assert (Path(store.root) / "training_data" / NAME / "current.json").read_bytes() == before


def test_a_retired_dataset_keeps_its_versions_without_a_current_one(store: Storage) -> None:
    written = publish_unchecked(store, cohort_of_eight())
    publish.retire(store, NAME)
    publish.retire(store, NAME)
    assert publish.current(store, NAME) is None
    with pytest.raises(NovoicError, match="nobody belongs to its cohort"):
        load_dataset(NAME, store.root)
    assert len(load_dataset(NAME, store.root, version=written.version).y) == 8


@pytest.mark.parametrize("covariates", [("age", "gender"), ()])
def test_the_picture_of_a_dataset_is_a_png(covariates: tuple[str, ...]) -> None:
    picture = dataset_picture(cohort_of_eight(covariates=covariates))
    assert picture.startswith(b"\x89PNG")
    assert b"pat-" not in picture


def test_the_checks_read_the_files_back_from_the_store(store: Storage) -> None:
    dataset = cohort_of_eight()
    write_version(store, published(dataset))
    np.savez(folder(store, dataset.version) / "arrays.npz", **{**dataset.arrays, "y": 0 * dataset.arrays["y"]})
    publication = publish.publish_dataset(store, dataset, tables={}, settings={})
    assert [finding.name for finding in publication.findings if not finding.passed] == ["both_classes"]


def test_a_version_whose_checks_fail_is_written_and_not_pointed_to(store: Storage) -> None:
    old = cohort_of_eight(covariates=("age",))
    assert publish.publish_dataset(store, old, tables={}, settings={}).failed == []
    new = replace(cohort_of_eight(), flow=Flow(9, 8, {}, {}))
    publication = publish.publish_dataset(store, new, tables={}, settings={})
    assert (publication.version, publication.is_new, publication.failed) == (new.version, True, ["flow_reconciled"])
    assert publish.current(store, NAME)["version"] == old.version


def test_a_dataset_of_nobody_deletes_the_pointer(store: Storage) -> None:
    publish.publish_dataset(store, cohort_of_eight(), tables={}, settings={})
    empty = assemble(AD_VS_HC, sources([], []), PSEUDONYMS, ())
    publication = publish.publish_dataset(store, empty, tables={}, settings={})
    assert (publication.version, publication.failed) == (None, [])
    assert publish.current(store, NAME) is None


def test_a_damaged_pointer_is_an_error_that_says_what_to_do(store: Storage) -> None:
    publish_unchecked(store, cohort_of_eight())
    store.write(f"training_data/{NAME}/current.json", b'{"version": "0')
    with pytest.raises(StorageError, match=r"current\.json .* is damaged; delete it"):
        load_dataset(NAME, store=store.root)
