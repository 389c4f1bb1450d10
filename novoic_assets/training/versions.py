"""Writing the versions of a dataset into the store, and reading them back.

```
training_data/<name>/<version>/arrays.npz                          arrays.written.json
training_data/<name>/<version>/train.parquet, test.parquet         parquet.written.json
training_data/<name>/<version>/manifest.json                       its own mark, and that of the version
training_data/<name>/<version>/…                                   <kind>.written.json, for kinds that packages add
```

A mark is written after the files of its kind and holds their hashes. Versions from before marks existed have only a
manifest, which was also written last.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from numpy.typing import NDArray

from novoic_assets.errors import NovoicError
from novoic_assets.features.family import SCHEMA_VERSION
from novoic_assets.storage.files import Storage
from novoic_assets.training.files.arrays import ARRAYS_FILE, read_arrays
from novoic_assets.training.files.catalogue import VERSION_FILES
from novoic_assets.training.files.entry import DatasetFiles
from novoic_assets.training.files.manifest import MANIFEST, MANIFEST_FILE, published_as, read_manifest
from novoic_assets.training.files.parquet import PARQUET_FILES, read_covariates
from novoic_assets.training.json_files import json_bytes
from novoic_assets.training.published import FileFacts, Published

MARK_SUFFIX: Final = ".written.json"


class AnotherSchemaError(NovoicError):
    """A version has names or positions of values that this code does not know."""


def dataset_folder(name: str) -> str:
    """The folder of a dataset's versions, below the store's root."""
    return f"training_data/{name}"


def version_folder(name: str, version: str) -> str:
    """The folder of a version's files, below the store's root.

    >>> version_folder("ad_vs_hc", "00ff")
    'training_data/ad_vs_hc/00ff'
    """
    return f"{dataset_folder(name)}/{version}"


def mark_of(entry: DatasetFiles) -> str:
    """The name of the file whose existence means that all files of a kind are written."""
    return MANIFEST_FILE if entry is MANIFEST else f"{entry.name}{MARK_SUFFIX}"


def write_version(store: Storage, published: Published) -> bool:
    """Write the files that make a version, unless the store has it.

    Files of a killed run are used if they are marked, and written again if they are not.

    Args:
        store: The store.
        published: The version.

    Returns:
        Whether the store did not have the version before.

    Raises:
        StorageError: The store cannot be read or written.
    """
    folder = version_folder(published.name, published.version)
    if store.stat(f"{folder}/{MANIFEST_FILE}") is not None:
        return False
    facts: dict[str, FileFacts] = {}
    for entry in VERSION_FILES:
        marked = {} if entry is MANIFEST else read_mark(store, folder, mark_of(entry))
        facts |= marked or write_files(store, folder, entry, entry.write(replace(published, files=dict(facts))))
    return True


def write_files(
    store: Storage, folder: str, entry: DatasetFiles, files: Mapping[str, bytes]
) -> Mapping[str, FileFacts]:
    """Write the files of one kind, and its mark last.

    Args:
        store: The store.
        folder: The version's folder.
        entry: The kind of file.
        files: The files' content, by file name.

    Returns:
        Hash and size of the files, by file name.

    Raises:
        StorageError: The store cannot be written.
    """
    for file, data in files.items():
        store.write(f"{folder}/{file}", data)
    facts = {file: FileFacts(hashlib.sha256(data).hexdigest(), len(data)) for file, data in files.items()}
    if entry is not MANIFEST:
        content = {"files": {file: known.to_json() for file, known in facts.items()}}
        store.write(f"{folder}/{mark_of(entry)}", json_bytes(content))
    return facts


def read_mark(store: Storage, folder: str, mark: str) -> Mapping[str, FileFacts]:
    """Read hash and size of a mark's files, by file name; empty if the mark is missing or damaged.

    Raises:
        StorageError: The store cannot be read.
    """
    try:
        content = json.loads(store.read(f"{folder}/{mark}"))
        return {file: FileFacts.from_json(known) for file, known in content["files"].items()}
    except (FileNotFoundError, ValueError, LookupError, AttributeError, TypeError):
        return {}


def read_version(store: Storage, name: str, version: str) -> Published:
    """Read a version back.

    Raises:
        FileNotFoundError: The version does not exist.
        AnotherSchemaError: Code with another schema published the version.
        StorageError: The store cannot be read.
    """
    folder = version_folder(name, version)
    manifest = read_manifest(store.read(f"{folder}/{MANIFEST_FILE}"))
    if manifest["schema_version"] != SCHEMA_VERSION:
        raise AnotherSchemaError(
            f"another version of novoic_assets published the version {version} of the dataset {name}; "
            "materialize again, or read it with the code_version that its manifest names"
        )
    arrays = read_version_arrays(store, name, version)
    tables = [store.read(f"{folder}/{file}") for file in PARQUET_FILES]
    return published_as(manifest, arrays, read_covariates(tables, manifest["covariates"], arrays["session"]))


def read_version_arrays(store: Storage, name: str, version: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a version, by name.

    Raises:
        FileNotFoundError: The version does not exist.
        StorageError: The store cannot be read.
    """
    return read_arrays(store.read(f"{version_folder(name, version)}/{ARRAYS_FILE}"))
