"""Scientists get the published arrays from `load_dataset`."""

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import novoic_assets
from novoic_assets.errors import NovoicError, StorageError
from novoic_assets.features.family import SPEAKERS
from novoic_assets.storage.files import Storage
from novoic_assets.training.dataset import Dataset
from novoic_assets.training.load import TrainingData, load_dataset
from novoic_assets_tests.lab import BucketLab
from novoic_assets_tests.training.builders import AD_VS_HC, FAMILIES, cohort_of_eight, publish_unchecked

NAME = AD_VS_HC.name


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def put(store: Path, dataset: Dataset) -> Dataset:
    publish_unchecked(Storage(str(store), "NOVOIC_STORE"), dataset)
    return dataset


def silent(dataset: Dataset, speaker: str, rows: slice) -> Dataset:
    """The dataset with rows in which a speaker says nothing."""
    arrays = {name: array.copy() for name, array in dataset.arrays.items()}
    for modality in ("text", "audio"):
        arrays[f"X_{modality}_{speaker}"][rows] = np.nan
        arrays[f"reason_{modality}_{speaker}"][rows] = 1
        status = arrays[f"status_{modality}_{speaker}"].tolist()
        status[rows] = ["no_speech"] * len(status[rows])
        arrays[f"status_{modality}_{speaker}"] = np.array(status)
    return replace(dataset, arrays=arrays)


@pytest.mark.parametrize("speaker", SPEAKERS)
@pytest.mark.parametrize("split", [None, "train", "test"])
def test_a_dataset_holds_what_was_published_for_speaker_and_split(store: Path, speaker: str, split: str | None) -> None:
    dataset = put(store, cohort_of_eight(covariates=("age", "gender", "mmse")))
    data = load_dataset(NAME, store, speaker=speaker, split=split)
    rows = np.flatnonzero(dataset.arrays["split"] == split) if split else np.arange(8)
    assert (data.name, data.version, data.speaker) == (NAME, dataset.version, speaker)
    for modality in ("text", "audio"):
        matrix = getattr(data, f"X_{modality}")
        assert matrix.dtype == np.float32
        np.testing.assert_array_equal(matrix, dataset.arrays[f"X_{modality}_{speaker}"][rows])
        described = [speaker in of.speakers for of in FAMILIES[modality] for _ in of.members if not of.is_covariate]
        np.testing.assert_array_equal(getattr(data, f"mask_{modality}"), np.tile(described, (len(rows), 1)))
        assert getattr(data, f"status_{modality}").tolist() == ["ok"] * len(rows)
        assert getattr(data, f"{modality}_names").tolist() == dataset.arrays[f"{modality}_names"].tolist()
    for name in ("y", "patient", "session", "split", "weight"):
        np.testing.assert_array_equal(getattr(data, name), dataset.arrays[name][rows])
    for name in ("age", "gender"):
        assert data.covariates[name].tolist() == [dataset.covariates[name][int(row)].as_py() for row in rows]
    scores = [dataset.covariates["mmse"][int(row)].as_py() for row in rows]
    np.testing.assert_array_equal(data.covariates["mmse"], [np.nan if score is None else score for score in scores])


def test_the_splits_are_parts_of_the_whole_and_share_no_patient(store: Path) -> None:
    put(store, cohort_of_eight())
    whole, train, test = (load_dataset(NAME, store, split=split) for split in (None, "train", "test"))
    assert sorted([*train.session, *test.session]) == whole.session.tolist()
    assert not set(train.patient) & set(test.patient)


def test_the_store_is_the_argument_or_the_setting_or_the_current_folder(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = put(store, cohort_of_eight())
    monkeypatch.chdir(store.parent)
    assert load_dataset(NAME).version == dataset.version
    monkeypatch.chdir(store)
    with pytest.raises(NovoicError):
        load_dataset(NAME)
    monkeypatch.setenv("NOVOIC_STORE", str(store))
    assert load_dataset(NAME).version == dataset.version
    assert load_dataset(NAME, str(store)).version == dataset.version


def test_undefined_values_are_nan_and_masked_and_no_others(store: Path) -> None:
    put(store, silent(cohort_of_eight(), "patient", slice(2, 4)))
    data = load_dataset(NAME, store)
    for matrix, mask, status in (
        (data.X_text, data.mask_text, data.status_text),
        (data.X_audio, data.mask_audio, data.status_audio),
    ):
        np.testing.assert_array_equal(mask, np.isfinite(matrix))
        np.testing.assert_array_equal(mask.all(axis=1), [row not in (2, 3) for row in range(8)])
        np.testing.assert_array_equal(status == "no_speech", ~mask.any(axis=1))


def test_families_without_numbers_cause_a_warning_at_the_callers_line_that_says_why(store: Path) -> None:
    put(store, silent(cohort_of_eight(), "investigator", slice(None)))
    with pytest.warns(UserWarning, match="there are no numbers from") as caught:
        load_dataset(NAME, store, speaker="investigator", split="test")
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name] * 2
    where = "for the speaker 'investigator' in the test split of ad_vs_hc (no_speech)"
    assert [str(warning.message) for warning in caught] == [
        f"there are no numbers from words, pauses {where}",
        f"there are no numbers from mfcc {where}",
    ]


def test_families_are_chosen_and_keep_their_order(store: Path) -> None:
    dataset = put(store, cohort_of_eight())
    data = load_dataset(NAME, store, families=["mfcc", "pauses"])
    assert data.text_names.tolist() == ["pauses_0"]
    assert data.audio_names.tolist() == ["mfcc_0", "mfcc_1", "mfcc_2"]
    np.testing.assert_array_equal(data.X_text, dataset.arrays["X_text_patient"][:, 2:])
    assert data.reason_text.shape == data.mask_text.shape == (8, 1)
    none = load_dataset(NAME, store, families=[])
    assert none.X_text.shape == none.X_audio.shape == (8, 0)


def test_the_circumstances_of_the_recording_are_outside_the_matrices(store: Path) -> None:
    dataset = put(store, cohort_of_eight())
    data = load_dataset(NAME, store, split="test")
    rows = np.flatnonzero(dataset.arrays["split"] == "test")
    np.testing.assert_array_equal(data.recording, dataset.arrays["recording"][rows])
    assert not set(data.recording_names) & {*data.text_names, *data.audio_names}


def test_a_dataset_of_another_schema_is_not_misread(store: Path) -> None:
    dataset = put(store, cohort_of_eight())
    manifest = store / "training_data" / NAME / dataset.version / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": "2"', '"schema_version": "1"'))
    with pytest.raises(NovoicError, match=r"another version of novoic_assets published .*; materialize again"):
        load_dataset(NAME, store)


def test_a_matrix_with_one_finite_row_does_not_warn(store: Path) -> None:
    put(store, silent(cohort_of_eight(), "patient", slice(1, None)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_dataset(NAME, store).mask_text.all(axis=1).sum() == 1


def test_a_data_frame_has_a_row_a_session_and_a_column_a_value(store: Path) -> None:
    dataset = put(store, cohort_of_eight(covariates=("age", "gender", "mmse")))
    data = load_dataset(NAME, store)
    frame = data.to_pandas()
    assert frame.index.tolist() == dataset.arrays["session"].tolist()
    assert frame.columns.tolist() == [
        *("patient", "split", "y", "weight", "age", "gender", "mmse", "status_text", "status_audio"),
        *("room_0", "room_1", "words_0", "words_1", "pauses_0", "mfcc_0", "mfcc_1", "mfcc_2"),
    ]
    np.testing.assert_array_equal(frame[data.audio_names].to_numpy(), data.X_audio)
    assert frame["gender"].tolist() == dataset.covariates["gender"].to_pylist()
    assert frame["mmse"].isna().sum() == 1


def test_a_dataset_without_covariates_loads(store: Path) -> None:
    put(store, cohort_of_eight(covariates=()))
    data = load_dataset(NAME, store)
    assert data.covariates == {}
    assert len(data.to_pandas()) == 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "ad_vs_hd"}, "no dataset ad_vs_hd"),
        ({"name": "ad vs hc"}, "ad_vs_hc, ad_mci_vs_hc"),
        ({"name": "../restricted"}, "name must be one of"),
        ({"name": "ad_vs_hc\n"}, "name must be one of"),
        ({"version": "0123456789abcdef"}, "no version 0123456789abcdef of the dataset ad_vs_hc"),
        ({"version": "../.."}, "hexadecimal"),
        ({"split": "validation"}, "train, test"),
        ({"split": ""}, "train, test"),
        ({"speaker": "nurse"}, "patient, investigator, all"),
        ({"families": ["mfccs"]}, "families must be a list of names from words, pauses, mfcc"),
        ({"families": "mfcc"}, "families must be a list of names from words, pauses, mfcc"),
    ],
)
def test_a_wrong_argument_is_an_error_that_says_what_is_valid(store: Path, arguments: dict, said: str) -> None:
    put(store, cohort_of_eight())
    with pytest.raises(NovoicError, match=said.replace(".", r"\.")) as error:
        load_dataset(**{"name": NAME, "store": store, **arguments})
    assert str(store) not in str(error.value)


def test_a_missing_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="store"):
        load_dataset(NAME, tmp_path / "nowhere")
    with pytest.raises(NovoicError, match="no dataset"):
        load_dataset(NAME, tmp_path)


def test_a_store_is_a_folder_or_a_bucket() -> None:
    with pytest.raises(StorageError, match="s3://bucket/prefix"):
        load_dataset(NAME, "gs://bucket/store")


def test_a_dataset_in_a_bucket_is_read_from_there(store: Path, bucket_lab: BucketLab) -> None:
    put(store, cohort_of_eight())
    there = Storage(bucket_lab.store_root, "store")
    for file in (file for file in store.rglob("*") if file.is_file()):
        there.write(file.relative_to(store).as_posix(), file.read_bytes())
    here, loaded = load_dataset(NAME, store), load_dataset(NAME, bucket_lab.store_root)
    assert loaded.version == here.version
    np.testing.assert_array_equal(loaded.X_text, here.X_text)
    assert loaded.covariates.keys() == here.covariates.keys()


def test_importing_and_loading_import_no_heavy_libraries(store: Path) -> None:
    put(store, cohort_of_eight())
    code = (
        "import sys; from novoic_assets import load_dataset;"
        "heavy = {'dagster', 'pyspark', 'spacy', 'pandas', 'kubernetes', 'matplotlib', 'deltalake'};"
        "before = heavy & set(sys.modules);"
        f"data = load_dataset({NAME!r}, {str(store)!r});"
        "after = heavy & set(sys.modules);"
        "print(sorted(before), sorted(after - {'pandas'}), len(data.y))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] [] 8\n"


@pytest.mark.slow
def test_a_process_that_only_loads_always_exits_cleanly(store: Path) -> None:
    put(store, cohort_of_eight())
    code = f"from novoic_assets import load_dataset; load_dataset({NAME!r}, {str(store)!r})"
    assert [subprocess.run([sys.executable, "-c", code], check=False).returncode for _ in range(20)] == [0] * 20


def test_the_package_offers_what_scientists_need() -> None:
    assert novoic_assets.load_dataset is load_dataset
    assert novoic_assets.TrainingData is TrainingData
