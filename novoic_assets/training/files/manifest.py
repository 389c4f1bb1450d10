"""`manifest.json`: what a version is, where its sessions went and what it was made from.

It is written after the arrays and the Parquet files, and holds their hashes. A version exists once its manifest does.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
from numpy.typing import NDArray

from novoic_assets.features.modalities import MODALITIES
from novoic_assets.training.files.entry import DatasetFiles
from novoic_assets.training.json_files import json_bytes
from novoic_assets.training.published import FileFacts, Published

MANIFEST_FILE: Final = "manifest.json"


def write_manifest(published: Published) -> Mapping[str, bytes]:
    """Write the manifest."""
    content = {
        "name": published.name,
        "description": published.description,
        "version": published.version,
        "counts": published.counts,
        "flow": published.flow,
        "schema_version": published.schema_version,
        **published.families,
        "covariates": published.covariates.column_names,
        "settings": dict(published.settings),
        "tables": dict(published.tables),
        "inputs_digest": published.inputs_digest,
        "code_version": published.code_version,
        "files": {file: facts.to_json() for file, facts in published.files.items()},
    }
    return {MANIFEST_FILE: json_bytes(content)}


def read_manifest(data: bytes) -> dict[str, Any]:
    """Read a manifest."""
    content: dict[str, Any] = json.loads(data)
    return content


def published_as(manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], covariates: pa.Table) -> Published:
    """Return the version that a manifest describes, with its arrays and covariates."""
    return Published(
        **{
            name: manifest[name]
            for name in (
                *("name", "description", "version", "schema_version", "counts", "flow"),
                *("inputs_digest", "settings", "tables", "code_version"),
            )
        },
        arrays=arrays,
        covariates=covariates,
        families={modality.name: manifest[modality.name] for modality in MODALITIES},
        files={file: FileFacts.from_json(facts) for file, facts in manifest["files"].items()},
    )


MANIFEST: Final = DatasetFiles("manifest", write_manifest)
