"""Publishing: the files of a version, the checks on them, and last the pointer to it.

```
training_data/<name>/current.json              {"version": …} and the latest flow
training_data/<name>/<version>/manifest.json   written when all the version's other files are
training_data/<name>/<version>/arrays.npz
training_data/<name>/<version>/train.parquet, test.parquet
```
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from novoic_assets.errors import StorageError
from novoic_assets.features.family import SCHEMA_VERSION, SPEAKERS
from novoic_assets.features.modalities import MODALITIES
from novoic_assets.storage.files import Storage
from novoic_assets.training.dataset import Dataset
from novoic_assets.training.families import families_json

SPLITS: Final = ("train", "test")


@dataclass(frozen=True, slots=True)
class Written:
    """A version whose files are in the store, but to which nothing points yet.

    Attributes:
        name: The dataset's name.
        version: The version.
        is_new: Whether its files were not there before.
        arrays: The arrays as read back from the store.
    """

    name: str
    version: str
    is_new: bool
    arrays: Mapping[str, NDArray[Any]]


def folder(name: str, version: str) -> str:
    """Where a version's files are, below the store's root."""
    return f"training_data/{name}/{version}"


def write_version(
    store: Storage, dataset: Dataset, *, tables: Mapping[str, int], settings: Mapping[str, str]
) -> Written:
    """Write a dataset's files, unless the store has that version.

    Args:
        store: The store.
        dataset: The dataset.
        tables: Versions of the tables that it was made from.
        settings: Other settings to record in the manifest.

    Returns:
        What was written; nothing points to it yet.

    Raises:
        StorageError: The store cannot be written.
    """
    name, version = dataset.cohort.name, dataset.version
    below = folder(name, version)
    is_new = store.stat(f"{below}/manifest.json") is None
    if is_new:
        files = _files(dataset)
        for file, data in files.items():
            store.write(f"{below}/{file}", data)
        manifest = {
            "name": name,
            "description": dataset.cohort.description,
            "version": version,
            "counts": dataset.counts(),
            "flow": dataset.flow.to_json(),
            **families_json(dataset.families),
            "covariates": dataset.covariates.column_names,
            "settings": dict(settings),
            "tables": dict(tables),
            "inputs_digest": dataset.inputs,
            "code_version": package_version("novoic-assets"),
            "files": {
                file: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for file, data in files.items()
            },
        }
        store.write(f"{below}/manifest.json", _json(manifest))
    return Written(name, version, is_new, read_arrays(store, name, version))


def point(store: Storage, dataset: Dataset, written: Written) -> bool:
    """Make a version the current one.

    Returns:
        Whether the pointer changed.

    Raises:
        StorageError: The store cannot be written.
    """
    before = current(store, written.name)
    content = {
        "version": written.version,
        "counts": dataset.counts(),
        "flow": dataset.flow.to_json(),
        "inputs_digest": dataset.inputs,
    }
    if before is not None and {key: before.get(key) for key in content} == content:
        return False
    content["updated"] = datetime.now(UTC).isoformat(timespec="seconds")
    store.write(_pointer(written.name), _json(content))
    return before is None or before["version"] != written.version


def retire(store: Storage, name: str) -> None:
    """Point to no version: nobody belongs to the cohort any more.

    Raises:
        StorageError: The store cannot be written.
    """
    store.delete(_pointer(name))


def current(store: Storage, name: str) -> dict[str, Any] | None:
    """What `current.json` says, or None where nothing is published.

    Raises:
        StorageError: The store cannot be read.
    """
    try:
        content: dict[str, Any] = json.loads(store.read(_pointer(name)))
    except FileNotFoundError:
        return None
    except ValueError:
        raise StorageError(f"current.json of the dataset {name} is damaged; delete it and materialize again") from None
    return content


def read_arrays(store: Storage, name: str, version: str) -> dict[str, NDArray[Any]]:
    """The arrays of a version.

    Raises:
        FileNotFoundError: There is no such version.
        StorageError: The store cannot be read.
    """
    with np.load(io.BytesIO(store.read(f"{folder(name, version)}/arrays.npz")), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def read_manifest(store: Storage, name: str, version: str) -> dict[str, Any]:
    """What a version's manifest says.

    Raises:
        FileNotFoundError: There is no such version.
        StorageError: The store cannot be read.
    """
    manifest: dict[str, Any] = json.loads(store.read(f"{folder(name, version)}/manifest.json"))
    return manifest


def read_covariates(store: Storage, name: str, version: str) -> pa.Table:
    """The covariates of a version with the sessions they belong to, in no order.

    Raises:
        FileNotFoundError: There is no such version.
        StorageError: The store cannot be read.
    """
    columns = ["session", *read_manifest(store, name, version)["covariates"]]
    # Without Arrow's threads: a process that ends soon after they started is aborted by them now and then.
    parts = [
        pq.ParquetFile(io.BytesIO(store.read(f"{folder(name, version)}/{split}.parquet")), pre_buffer=False).read(
            columns, use_threads=False
        )
        for split in SPLITS
    ]
    return pa.concat_tables(parts)


def _pointer(name: str) -> str:
    return f"training_data/{name}/current.json"


def _files(dataset: Dataset) -> dict[str, bytes]:
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **dict(dataset.arrays))
    return {
        "arrays.npz": arrays.getvalue(),
        **{f"{split}.parquet": _parquet(dataset, split) for split in SPLITS},
    }


def _parquet(dataset: Dataset, split: str) -> bytes:
    arrays = dataset.arrays
    rows = np.flatnonzero(arrays["split"] == split)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        name: pa.array(arrays[name][rows].tolist(), kind)
        for name, kind in (
            ("session", pa.string()),
            ("patient", pa.string()),
            ("split", pa.string()),
            ("y", pa.int8()),
            ("weight", pa.float32()),
        )
    }
    for name in dataset.covariates.column_names:
        columns[name] = dataset.covariates[name].take(pa.array(rows))
    for modality in (each.name for each in MODALITIES):
        for speaker in SPEAKERS:
            matrix = arrays[f"X_{modality}_{speaker}"][rows]
            if matrix.shape[1]:  # else all families are switched off, and Arrow has no lists of no values
                columns[f"{modality}_{speaker}"] = _fixed(matrix)
                columns[f"reason_{modality}_{speaker}"] = _fixed(arrays[f"reason_{modality}_{speaker}"][rows])
            statuses: Sequence[str] = arrays[f"status_{modality}_{speaker}"][rows].tolist()
            columns[f"status_{modality}_{speaker}"] = pa.array(statuses, pa.string())
    if arrays["recording"].shape[1]:
        columns["recording"] = _fixed(arrays["recording"][rows])
    table = pa.table(columns).replace_schema_metadata(
        {
            "novoic:dataset": dataset.cohort.name,
            "novoic:schema_version": SCHEMA_VERSION,
            "novoic:families": json.dumps(families_json(dataset.families)),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _fixed(matrix: NDArray[Any]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(matrix.ravel(), matrix.shape[1])


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
