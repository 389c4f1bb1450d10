"""`train.parquet` and `test.parquet`: a row for each session, for any reader of Parquet."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from novoic_assets.features.family import SPEAKERS
from novoic_assets.features.modalities import MODALITIES, Modality
from novoic_assets.training.dataset import SPLITS
from novoic_assets.training.files.entry import DatasetFiles
from novoic_assets.training.published import Published

PARQUET_FILES: Final = tuple(f"{split}.parquet" for split in SPLITS)


def write_parquet(published: Published) -> Mapping[str, bytes]:
    """Write a file for each split, even for one without rows."""
    return {file: _split(published, split) for file, split in zip(PARQUET_FILES, SPLITS, strict=True)}


def read_covariates(files: Iterable[bytes], names: Sequence[str], sessions: NDArray[np.str_]) -> pa.Table:
    """Read the covariates from the files of a version.

    Args:
        files: The content of the files of all splits.
        names: Names of the covariates.
        sessions: The sessions whose rows to return, in this order, shape (n,).

    Returns:
        A table with a column for each name and a row for each session.
    """
    # Use no threads of Arrow: they sometimes abort a process that ends soon after they started.
    table = pa.concat_tables(
        pq.ParquetFile(io.BytesIO(data), pre_buffer=False).read(["session", *names], use_threads=False)
        for data in files
    )
    row_of = {session: row for row, session in enumerate(table["session"].to_pylist())}
    return table.take(pa.array([row_of[session] for session in sessions.tolist()], pa.int64())).select(names)


def _split(published: Published, split: str) -> bytes:
    arrays = published.arrays
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
    for name in published.covariates.column_names:
        columns[name] = published.covariates[name].take(pa.array(rows))
    for modality in MODALITIES:
        columns |= _columns(arrays, rows, modality)
    for modality in MODALITIES:
        if modality.covariates and arrays[modality.covariates].shape[1]:
            columns[modality.covariates] = _lists(arrays[modality.covariates][rows])
    table = pa.table(columns).replace_schema_metadata(
        {
            "novoic:dataset": published.name,
            "novoic:schema_version": published.schema_version,
            "novoic:families": json.dumps({"schema_version": published.schema_version, **published.families}),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _columns(arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.intp], modality: Modality) -> dict[str, pa.Array]:
    columns = {}
    for speaker in SPEAKERS:
        name = f"{modality.name}_{speaker}"
        matrix = arrays[f"X_{name}"][rows]
        if matrix.shape[1]:  # no family is switched on otherwise, and Arrow has no lists of size 0
            columns[name] = _lists(matrix)
            columns[f"reason_{name}"] = _lists(arrays[f"reason_{name}"][rows])
        columns[f"status_{name}"] = pa.array(arrays[f"status_{name}"][rows].tolist(), pa.string())
    return columns


def _lists(matrix: NDArray[Any]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(matrix.ravel(), matrix.shape[1])


PARQUET: Final = DatasetFiles("parquet", write_parquet)
