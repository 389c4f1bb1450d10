"""Parsing the metadata: the bytes of `metadata.csv` in, one outcome per row out.

One bad row costs that row and no other. What would stop an ordinary reader half-way (bytes that are not
UTF-8, a quote that is never closed) is therefore met line by line.
"""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from novoic_assets.errors import NovoicError
from novoic_assets.reasons import OK, Reason

METADATA_VERSION: Final = "1"
"""Part of the fingerprint of every row; raised whenever a file would be read differently."""

REQUIRED_COLUMNS: Final = ("speakerid", "age", "gender", "mmse", "ad_status", "set")

_GENDERS: Final = {
    "m": "male",
    "male": "male",
    "f": "female",
    "female": "female",
    "other": "other",
    "unknown": "unknown",
}
_SPLITS: Final = frozenset({"train", "test"})
_MISSING: Final = frozenset({"", "na", "nan", "none"})
_AGES: Final = range(18, 121)  # completed years
_MMSE: Final = range(31)
_AD_STATUS: Final = range(2)
# pandas writes the whole numbers of a column that has gaps as "29.0".
_INTEGER: Final = re.compile(r"([0-9]{1,3})(?:\.0+)?")


@dataclass(frozen=True, slots=True)
class PatientRow:
    """One row of the file and its outcome; of a refused row all but its patient is None.

    Attributes:
        line: Physical line, from 1, on which the row starts.
        reason: "ok" or the value of a `Reason`.
        patient: The patient's speaker id; None where it could not be read or is not valid.
        age: Completed years, 18 to 120.
        gender: "male", "female", "other" or "unknown".
        mmse: Mini-Mental State Examination, 0 to 30; None if it was not taken.
        ad_status: 1 for a case, 0 for a control.
        split: "train" or "test".
    """

    line: int
    reason: str
    patient: str | None = None
    age: int | None = None
    gender: str | None = None
    mmse: int | None = None
    ad_status: int | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the file says.

    Attributes:
        rows: One per row, in the order of the file.
        unknown_columns: Number of columns that are not required; nothing of them is kept.
    """

    rows: list[PatientRow]
    unknown_columns: int


def parse_metadata(data: bytes) -> Metadata:
    """Parse the metadata file.

    The first line that is not blank is the header. Every later line that is not blank starts a row, unless
    it is the rest of a quoted value of the row above. A value may have line breaks only if the row then has
    as many fields as the header and none of its further lines is a whole row by itself. Otherwise the quote
    is taken for one that somebody forgot to close: its line alone is refused and reading goes on with the
    next one, so that a stray quote never swallows a row.

    Rows that share a speakerid are all refused, since nobody here knows which one is true: those that are
    valid otherwise as `duplicate_patient`, the others as `invalid_metadata`.

    Args:
        data: The file's bytes: comma-separated, in UTF-8 with or without a byte order mark. Column names may
            be in any case and order.

    Returns:
        Every row with its outcome.

    Raises:
        NovoicError: A required column is missing, or there twice. The message names the required columns
            that are at fault and nothing of the file's content.
    """
    lines = [_decode(line) for line in data.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)]
    start = 0
    while start < len(lines) and _is_blank(lines[start]):
        start += 1
    columns, width = _read_header(lines[start] if start < len(lines) else None)

    rows = []
    index = start + 1
    while index < len(lines):
        if _is_blank(lines[index]):
            index += 1
            continue
        fields, taken = _read_record(lines, index, width)
        rows.append(_row(index + 1, fields, columns, width))
        index += taken
    return Metadata(_refuse_duplicates(rows), width - len(columns))


def _decode(line: bytes) -> str | None:
    """The line as text, None if it cannot be text."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _is_blank(line: str | None) -> bool:
    return line is not None and not line.strip()


def _read_header(line: str | None) -> tuple[dict[str, int], int]:
    """Find the required columns: the index of each, and the number of all columns."""
    fields = _whole_record(line) or []
    names = [name.strip().lower() for name in fields]
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing:
        raise NovoicError(
            f"the metadata lacks the columns {', '.join(missing)}; it must be comma-separated UTF-8 text with a"
            f" header that names {', '.join(REQUIRED_COLUMNS)}"
        )
    repeated = [name for name in REQUIRED_COLUMNS if names.count(name) > 1]
    if repeated:
        raise NovoicError(f"the metadata has more than one column {', '.join(repeated)}; keep one of each")
    return {name: names.index(name) for name in REQUIRED_COLUMNS}, len(fields)


def _whole_record(line: str | None) -> list[str] | None:
    """The fields of a line that is a complete record, None if it is not."""
    if line is None:
        return None
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:
        return None


def _read_record(lines: Sequence[str | None], index: int, width: int) -> tuple[list[str] | None, int]:
    """Read the record that starts on a line.

    Args:
        lines: All lines, None for one that is no text.
        index: The record's first line.
        width: Number of columns of the header.

    Returns:
        The fields, or None if they cannot be told apart, and the number of lines taken, at least 1.
    """
    reader = csv.reader(_lines_of_record(lines, index, width), strict=True)
    try:
        fields = next(reader)
    except (csv.Error, StopIteration):
        return None, 1
    if reader.line_num > 1 and len(fields) != width:
        return None, 1
    return fields, reader.line_num


def _lines_of_record(lines: Sequence[str | None], index: int, width: int) -> Iterator[str]:
    """Yield a record's first line and those that its open quote may take in.

    That ends at the first line which is a whole row by itself, or no text: the reader then finds that the
    quote was not closed.
    """
    for position in range(index, len(lines)):
        line = lines[position]
        if line is None or (position > index and len(_whole_record(line) or []) == width):
            return
        yield line


def _row(line: int, fields: list[str] | None, columns: dict[str, int], width: int) -> PatientRow:
    """Check one row's values."""
    invalid = PatientRow(line, Reason.INVALID_METADATA.value)
    if fields is None:
        return invalid
    if len(fields) != width:
        # Which value stands in which column is a guess, save for the first one.
        leads = columns["speakerid"] == 0 and fields
        return replace(invalid, patient=_patient(fields[0].strip())) if leads else invalid
    values = {name: fields[index].strip() for name, index in columns.items()}
    patient = _patient(values["speakerid"])
    age = _integer(values["age"], _AGES)
    gender = _GENDERS.get(values["gender"].lower())
    mmse = _integer(values["mmse"], _MMSE)
    ad_status = _integer(values["ad_status"], _AD_STATUS)
    split = values["set"].lower()
    mmse_wrong = mmse is None and values["mmse"].lower() not in _MISSING
    if None in (patient, age, gender, ad_status) or mmse_wrong or split not in _SPLITS:
        return replace(invalid, patient=patient)
    return PatientRow(line, OK, patient, age, gender, mmse, ad_status, split)


def _patient(text: str) -> str | None:
    """The speaker id, None if it can be no patient's.

    Transcripts list speakers between commas, and those that begin with `_` are investigators. A quotation mark
    is what a quoted value that was torn apart leaves behind.
    """
    if not text or text.startswith("_") or "," in text or '"' in text:
        return None
    return None if any(unicodedata.category(character) == "Cc" for character in text) else text


def _integer(text: str, allowed: range) -> int | None:
    match = _INTEGER.fullmatch(text)
    return int(match[1]) if match and int(match[1]) in allowed else None


def _refuse_duplicates(rows: Sequence[PatientRow]) -> list[PatientRow]:
    counts = Counter(row.patient for row in rows if row.patient is not None)
    return [
        PatientRow(row.line, Reason.DUPLICATE_PATIENT.value, row.patient)
        if row.reason == OK and row.patient is not None and counts[row.patient] > 1
        else row
        for row in rows
    ]
