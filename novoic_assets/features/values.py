"""Feature values in Arrow: a list of (family, speaker, status, vector) for each session."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from novoic_assets.features.family import SPEAKERS, FeatureValues, Speaker, Status

_WORST_FIRST = (Status.NO_SPEECH, Status.TOO_SHORT, Status.INAUDIBLE, Status.OK)


def to_rows(values: Mapping[str, Mapping[Speaker, FeatureValues]]) -> list[dict[str, Any]]:
    """One session's values by family and speaker, as a value of a `values` column."""
    return [
        {"family": family, "speaker": speaker, "status": str(entry.status), "vector": entry.vector}
        for family, by_speaker in sorted(values.items())
        for speaker, entry in by_speaker.items()
    ]


def merge_rows(old: Iterable[dict[str, Any]], new: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Values of a session with newly computed families in the place of their old ones."""
    fresh = list(new)
    families = {row["family"] for row in fresh}
    return [*(row for row in old if row["family"] not in families), *fresh]


def matrix(column: pa.ChunkedArray, family: str, width: int, speaker: Speaker) -> NDArray[np.float32]:
    """One family's vectors of one speaker.

    Args:
        column: A `values` column of n rows.
        family: The family's name.
        width: The length that the catalogue gives for the family.
        speaker: The speaker.

    Returns:
        float32, shape (n, width); NaN where a row has no such values.

    Raises:
        ValueError: A vector's length is not `width`.
    """
    result = np.full((len(column), width), np.nan, dtype=np.float32)
    parents, entries = _entries(column, family, speaker)
    if len(parents):
        vectors = entries.field("vector")
        if set(pc.list_value_length(vectors).unique().to_pylist()) != {width}:
            raise ValueError(f"{family}: a vector's length is not {width}")
        result[parents] = vectors.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return result


def statuses(column: pa.ChunkedArray, families: Sequence[str], speaker: Speaker) -> NDArray[np.str_]:
    """The status of one speaker's values, the worst of several families'.

    Args:
        column: A `values` column of n rows.
        families: Names of the families.
        speaker: The speaker.

    Returns:
        Strings, shape (n,); `no_speech` where a row has no such values.
    """
    rank = np.full(len(column), len(_WORST_FIRST) - 1 if families else 0)
    for family in families:
        own = np.zeros(len(column), dtype=int)
        parents, entries = _entries(column, family, speaker)
        own[parents] = [_WORST_FIRST.index(Status(status)) for status in entries.field("status").to_pylist()]
        rank = np.minimum(rank, own)
    names: NDArray[np.str_] = np.array([str(status) for status in _WORST_FIRST])[rank]
    return names


def wrong_lengths(column: pa.ChunkedArray, widths: Mapping[str, int]) -> int:
    """Number of vectors whose length is not the catalogue's."""
    entries = _flat(column)[1]
    lengths = pc.list_value_length(entries.field("vector")).to_numpy(zero_copy_only=False)
    expected = np.array([widths.get(family, -1) for family in entries.field("family").to_pylist()])
    return int(np.sum((expected >= 0) & (lengths != expected)))


def not_finite(column: pa.ChunkedArray) -> int:
    """Number of vectors that say `ok` and have a value that is no finite number."""
    entries = _flat(column)[1]
    ok = entries.filter(pc.equal(entries.field("status"), str(Status.OK)))
    vectors = ok.field("vector")
    finite = pc.fill_null(pc.is_finite(vectors.flatten()), False)  # noqa: FBT003 - a missing value is none
    bad = pc.list_parent_indices(vectors).filter(pc.invert(finite))
    return len(bad.unique())


def count_statuses(column: pa.ChunkedArray, speaker: Speaker) -> dict[str, int]:
    """How many of a speaker's vectors have each status."""
    entries = _flat(column)[1]
    own = entries.field("status").filter(pc.equal(entries.field("speaker"), speaker))
    return {item["values"]: item["counts"] for item in own.value_counts().to_pylist()}


def _entries(column: pa.ChunkedArray, family: str, speaker: Speaker) -> tuple[NDArray[np.int64], pa.StructArray]:
    if speaker not in SPEAKERS:
        raise ValueError(f"the speaker must be one of {', '.join(SPEAKERS)}")
    parents, entries = _flat(column)
    wanted = pc.and_(pc.equal(entries.field("family"), family), pc.equal(entries.field("speaker"), speaker))
    return parents.filter(wanted).to_numpy(zero_copy_only=False), entries.filter(wanted)


def _flat(column: pa.ChunkedArray) -> tuple[pa.Array, pa.StructArray]:
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return pc.list_parent_indices(array), array.flatten()
