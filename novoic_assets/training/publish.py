"""Publishing a dataset: write the files of its version, check them, and move the pointer to the version last.

```
training_data/<name>/current.json   {"version": …} and the latest counts and flow
training_data/<name>/<version>/     see `versions`
```
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from novoic_assets.errors import StorageError
from novoic_assets.findings import Finding
from novoic_assets.storage.files import Storage
from novoic_assets.training.added import AddedFiles
from novoic_assets.training.dataset import Dataset
from novoic_assets.training.findings import dataset_findings
from novoic_assets.training.json_files import json_bytes
from novoic_assets.training.published import Published
from novoic_assets.training.versions import dataset_folder, read_version_arrays, write_version


@dataclass(frozen=True, slots=True, eq=False)
class Publication:
    """The outcome of publishing a dataset.

    Attributes:
        version: The version; None if nobody belongs to the cohort.
        is_new: Whether the store did not have the version before.
        findings: The findings of the checks.
    """

    version: str | None
    is_new: bool
    findings: Sequence[Finding]

    @property
    def failed(self) -> Sequence[str]:
        """Names of the failed checks that keep the version from becoming the current one."""
        return [finding.name for finding in self.findings if finding.is_error and not finding.passed]


def publish_dataset(
    store: Storage, dataset: Dataset, *, tables: Mapping[str, int], settings: Mapping[str, str]
) -> Publication:
    """Write a dataset, check the written files, and make it the current version.

    If an error check fails, the pointer stays as it is. If nobody belongs to the cohort, the pointer is deleted.

    Args:
        store: The store.
        dataset: The dataset.
        tables: Versions of the tables that it was made from, by the table's name.
        settings: Other settings to record in the manifest.

    Returns:
        The outcome.

    Raises:
        StorageError: The store cannot be read or written.
    """
    name = dataset.cohort.name
    if not dataset.flow.included:
        retire(store, name)
        added = AddedFiles(store, name)
        added.write_to_others()
        return Publication(None, is_new=False, findings=[*dataset_findings(dataset, dataset.arrays), added.finding()])
    published = Published.of(dataset, tables=tables, settings=settings)
    is_new = write_version(store, published)
    findings = dataset_findings(dataset, read_version_arrays(store, name, published.version))
    publication = Publication(published.version, is_new, findings)
    if publication.failed:
        return publication
    added = AddedFiles(store, name)
    added.write_to(published.version)
    point(store, published)
    added.write_to_others()
    return Publication(published.version, is_new, findings=[*findings, added.finding()])


def point(store: Storage, published: Published) -> bool:
    """Make a version the current one.

    Returns:
        Whether the version changed.

    Raises:
        StorageError: The store cannot be written.
    """
    before = current(store, published.name)
    content = {
        "version": published.version,
        "counts": published.counts,
        "flow": published.flow,
        "inputs_digest": published.inputs_digest,
    }
    if before is not None and {key: before.get(key) for key in content} == content:
        return False
    content["updated"] = datetime.now(UTC).isoformat(timespec="seconds")
    store.write(_pointer(published.name), json_bytes(content))
    return before is None or before["version"] != published.version


def retire(store: Storage, name: str) -> None:
    """Delete the pointer, because nobody belongs to the cohort any more. The versions stay.

    Raises:
        StorageError: The store cannot be written.
    """
    store.delete(_pointer(name))


def current(store: Storage, name: str) -> dict[str, Any] | None:
    """Read `current.json`; None if nothing is published.

    Raises:
        StorageError: The store cannot be read, or the file is damaged.
    """
    try:
        content: dict[str, Any] = json.loads(store.read(_pointer(name)))
    except FileNotFoundError:
        return None
    except ValueError:
        raise StorageError(f"current.json of the dataset {name} is damaged; delete it and materialize again") from None
    return content


def _pointer(name: str) -> str:
    return f"{dataset_folder(name)}/current.json"
