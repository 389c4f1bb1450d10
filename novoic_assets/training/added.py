"""Files that installed packages add to the versions of a dataset, the older ones included.

A package that fails causes a warning and costs only its own files. The next run tries again.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from novoic_assets.errors import NovoicError, StorageError, type_and_place
from novoic_assets.findings import Finding
from novoic_assets.storage.files import Storage
from novoic_assets.training.files.catalogue import added_files
from novoic_assets.training.files.entry import DatasetFiles
from novoic_assets.training.files.manifest import MANIFEST_FILE
from novoic_assets.training.findings import FILES_WARNING
from novoic_assets.training.published import Published
from novoic_assets.training.versions import (
    MARK_SUFFIX,
    AnotherSchemaError,
    dataset_folder,
    mark_of,
    read_mark,
    read_version,
    version_folder,
    write_files,
)

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAME_RULE: Final = (
    "a file name may have at most 100 letters, digits, '.', '_' and '-', and must begin with a letter or a digit"
)


class AddedFiles:
    """Writes the files that packages add to the versions of one dataset."""

    def __init__(self, store: Storage, name: str) -> None:
        """Find the versions that lack files. Without packages that add files, do not list the store.

        Args:
            store: The store.
            name: The dataset's name.

        Raises:
            StorageError: The store cannot be listed.
        """
        self._store = store
        self._name = name
        self._written = 0
        self._left = 0
        self._failures: dict[str, list[str]] = defaultdict(list)
        self._no_catalogue = ""
        entries: tuple[DatasetFiles, ...] = ()
        try:
            entries = added_files()
        except NovoicError as error:
            self._no_catalogue = str(error)
        self._files = _files_by_version(store, name) if entries else {}
        self._missing = {
            version: [entry for entry in entries if mark_of(entry) not in files]
            for version, files in self._files.items()
        }

    def write_to(self, version: str) -> None:
        """Write the files that a version lacks.

        Args:
            version: The version. One of another schema is left as it is.

        Raises:
            StorageError: The store cannot be read or written.
        """
        missing = self._missing.pop(version, [])
        if not missing:
            return
        try:
            published = read_version(self._store, self._name, version)
        except AnotherSchemaError:
            self._left += 1
            return
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged version costs only its own files
            for entry in missing:
                self._failures[entry.name].append(type_and_place(error))
            return
        for array in published.arrays.values():
            array.flags.writeable = False  # or the next package would see this one's changes
        folder = version_folder(self._name, version)
        marks = [file for file in self._files[version] if file.endswith(MARK_SUFFIX)]
        taken = {MANIFEST_FILE, *published.files}
        taken.update(file for mark in marks for file in read_mark(self._store, folder, mark))
        for entry in missing:
            files, failure = _files_of(entry, published, taken)
            if failure:
                self._failures[entry.name].append(failure)
            else:
                taken.update(write_files(self._store, folder, entry, files))
                self._written += 1

    def write_to_others(self) -> None:
        """Write the files that every version lacks that `write_to` was not called for.

        Raises:
            StorageError: The store cannot be read or written.
        """
        for version in sorted(self._missing):
            self.write_to(version)

    def finding(self) -> Finding:
        """Report whether every kind of file was written."""
        description = "every kind of file is written"
        if self._left:
            description += f"; {self._left} versions have another schema and are left as they are"
        if self._failures:
            kinds = f"{len(self._failures)} {'kind' if len(self._failures) == 1 else 'kinds'} of file"
            why = "; ".join(f"{name} ({', '.join(dict.fromkeys(places))})" for name, places in self._failures.items())
            description = f"{kinds} could not be written: {why}"
        return Finding(
            FILES_WARNING,
            passed=not self._failures and not self._no_catalogue,
            is_error=False,
            description=self._no_catalogue or description,
            counts={"written": self._written, "failed": sum(map(len, self._failures.values()))},
        )


def _files_by_version(store: Storage, name: str) -> dict[str, set[str]]:
    """The files of every version by name. A folder without a manifest is a version that is still being written."""
    folder = dataset_folder(name)
    files: dict[str, set[str]] = defaultdict(set)
    if store.has_folder(folder):
        for info in store.list(folder):
            version, _, file = info.path.removeprefix(f"{folder}/").partition("/")
            files[version].add(file)
    return {version: names for version, names in files.items() if MANIFEST_FILE in names}


def _files_of(entry: DatasetFiles, published: Published, taken: set[str]) -> tuple[Mapping[str, bytes], str]:
    """The files that a package returns, or why they cannot be written."""
    try:
        given = entry.write(published)
        files = dict(given) if isinstance(given, Mapping) else {"": None}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - another package's code may raise anything
        return {}, type_and_place(error)
    if not all(isinstance(data, bytes) for data in files.values()):
        return {}, "it must return a mapping of file names to bytes"
    if not all(isinstance(file, str) and _PLAIN_NAME.fullmatch(file) for file in files):
        return {}, _NAME_RULE
    # Some disks do not distinguish upper case from lower case.
    names = [file.casefold() for file in files]
    if len(set(names)) < len(names) or not {name.casefold() for name in taken}.isdisjoint(names):
        return {}, "another file already has one of its file names"
    if any(name.endswith(MARK_SUFFIX) for name in names):
        return {}, f"a file name may not end in {MARK_SUFFIX}"
    return files, ""
