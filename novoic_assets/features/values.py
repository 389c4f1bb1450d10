"""Feature values in Arrow: for each session, a list of (family, speaker, status, vector, reasons)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from novoic_assets.features.family import REASONS, SPEAKERS, Family, FeatureValues, Speaker, Status, Undefined

_WORST_FIRST = (Status.NO_SPEECH, Status.TOO_SHORT, Status.INAUDIBLE, Status.PARTIAL, Status.OK)


def to_rows(values: Mapping[str, Mapping[Speaker, FeatureValues]]) -> list[dict[str, Any]]:
    """Turn one session's values, by family and speaker, into an entry of a `values` column, sorted by family."""
    return [
        {
            "family": family,
            "speaker": speaker,
            "status": str(entry.status),
            "vector": entry.vector,
            "reasons": list(entry.reasons),
        }
        for family, by_speaker in sorted(values.items())
        for speaker, entry in by_speaker.items()
    ]


def merge_rows(old: Iterable[dict[str, Any]], new: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace a session's old rows of the newly computed families; return all its rows, sorted by family."""
    fresh = list(new)
    families = {row["family"] for row in fresh}
    return sorted([*(row for row in old if row["family"] not in families), *fresh], key=lambda row: str(row["family"]))


def matrix(column: pa.ChunkedArray, family: Family, speaker: Speaker) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return one family's vectors for one speaker, and why values are NaN.

    Args:
        column: A `values` column of n rows.
        family: The family, of d values.
        speaker: The speaker.

    Returns:
        float32, shape (n, d); and uint8, shape (n, d): 0 for a number, else the position of the reason in `REASONS`,
        counted from 1.

    Raises:
        ValueError: The speaker is unknown, or a vector's length is not d.
    """
    width = len(family.members)
    vectors = np.full((len(column), width), np.nan, dtype=np.float32)
    missing = Undefined.NOT_COMPUTED if speaker in family.speakers else Undefined.OTHER_SPEAKER
    codes = np.full((len(column), width), _code(missing), np.uint8)
    parents, entries = _entries(column, family.name, speaker)
    if len(parents):
        stored = entries.field("vector")
        if set(pc.list_value_length(stored).unique().to_pylist()) != {width}:
            raise ValueError(f"the family {family.name} has a vector whose length is not {width}")
        vectors[parents] = stored.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        codes[parents] = _codes(vectors[parents], entries)
    return vectors, codes


def _codes(vectors: NDArray[np.float32], entries: pa.StructArray) -> NDArray[np.uint8]:
    """Why values are NaN: a `partial` vector has a reason for each value; for another, the status is the reason."""
    statuses = entries.field("status").to_pylist()
    whole = np.array([_CODE_OF_STATUS.get(status, 0) for status in statuses], np.uint8)
    codes = np.where(np.isnan(vectors), whole[:, None], np.uint8(0))
    partial = np.array([status == Status.PARTIAL for status in statuses])
    if partial.any():
        reasons = entries.filter(pa.array(partial)).field("reasons").flatten().to_pylist()
        codes[partial] = np.array([_code(reason) for reason in reasons], np.uint8).reshape(-1, vectors.shape[1])
    return codes


def _code(reason: str | None) -> int:
    return 0 if reason is None else REASONS.index(Undefined(reason)) + 1


_CODE_OF_STATUS = {str(status): _code(str(status)) for status in (Status.NO_SPEECH, Status.TOO_SHORT, Status.INAUDIBLE)}


def statuses(column: pa.ChunkedArray, families: Sequence[Family], speaker: Speaker) -> NDArray[np.str_]:
    """Return the status of one speaker's values: the worst among several families.

    Args:
        column: A `values` column of n rows.
        families: The families; those that do not describe the speaker are ignored.
        speaker: The speaker.

    Returns:
        Strings, shape (n,); `no_speech` for a row without such values.
    """
    families = [family for family in families if speaker in family.speakers]
    rank = np.full(len(column), len(_WORST_FIRST) - 1 if families else 0)
    for family in families:
        own = np.zeros(len(column), dtype=int)
        parents, entries = _entries(column, family.name, speaker)
        own[parents] = [_WORST_FIRST.index(Status(status)) for status in entries.field("status").to_pylist()]
        rank = np.minimum(rank, own)
    names: NDArray[np.str_] = np.array([str(status) for status in _WORST_FIRST])[rank]
    return names


def wrong_lengths(column: pa.ChunkedArray, widths: Mapping[str, int]) -> int:
    """Count vectors whose length is not the family's; `widths` has the length of each family by name."""
    entries = _flat(column)[1]
    lengths = pc.list_value_length(entries.field("vector")).to_numpy(zero_copy_only=False)
    expected = np.array([widths.get(family, -1) for family in entries.field("family").to_pylist()])
    return int(np.sum((expected >= 0) & (lengths != expected)))


def not_finite(column: pa.ChunkedArray) -> int:
    """Count `ok` and `partial` vectors with a NaN or an infinity that has no reason."""
    entries = _flat(column)[1]
    count = 0
    for status in (Status.OK, Status.PARTIAL):
        some = entries.filter(pc.equal(entries.field("status"), str(status)))
        vectors, reasons = some.field("vector"), some.field("reasons")
        numbers = vectors.flatten()
        unexplained = pc.invert(pc.fill_null(pc.is_finite(numbers), False))  # noqa: FBT003 - a null is not finite
        if status == Status.PARTIAL and len(reasons.flatten()) == len(numbers):
            unexplained = pc.and_(unexplained, pc.is_null(reasons.flatten()))
        count += len(pc.list_parent_indices(vectors).filter(unexplained).unique())
    return count


def count_with_status(column: pa.ChunkedArray, speaker: Speaker, status: Status) -> int:
    """Count rows in which any family's vector for the speaker has the status."""
    parents, entries = _flat(column)
    wanted = pc.and_(pc.equal(entries.field("speaker"), speaker), pc.equal(entries.field("status"), str(status)))
    return len(parents.filter(wanted).unique())


def _entries(column: pa.ChunkedArray, family: str, speaker: Speaker) -> tuple[NDArray[np.int64], pa.StructArray]:
    if speaker not in SPEAKERS:
        raise ValueError(f"the speaker must be one of {', '.join(SPEAKERS)}")
    parents, entries = _flat(column)
    wanted = pc.and_(pc.equal(entries.field("family"), family), pc.equal(entries.field("speaker"), speaker))
    return parents.filter(wanted).to_numpy(zero_copy_only=False), entries.filter(wanted)


def _flat(column: pa.ChunkedArray) -> tuple[pa.Array, pa.StructArray]:
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return pc.list_parent_indices(array), array.flatten()
