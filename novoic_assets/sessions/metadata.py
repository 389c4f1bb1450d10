"""Parse the metadata: the bytes of `metadata.csv` in, one outcome per row out.

A bad row costs only itself. Some faults would stop an ordinary reader half-way, such as bytes that are not
UTF-8 or a quote that is never closed; this parser handles them line by line.
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
"""Part of the fingerprint of every row. Raise it whenever a file would be read differently."""

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
    """One row of the file and its outcome; a refused row keeps no value except its patient.

    Attributes:
        line: Physical line, counted from 1, on which the row starts.
        reason: "ok" or the value of a `Reason`.
        patient: The patient's speaker id; None if it is unreadable or invalid.
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
    """The content of the file.

    Attributes:
        rows: One entry per row, in the order of the file.
        unknown_columns: Number of columns that are not required; their values are dropped.
    """

    rows: list[PatientRow]
    unknown_columns: int


def parse_metadata(data: bytes) -> Metadata:
    r"""Parse the metadata file.

    The first line that is not blank is the header. Every later line that is not blank starts a row, unless
    it continues a quoted value of the row above. A value may contain line breaks only if the row then has
    as many fields as the header and none of its continuation lines is a complete row. Otherwise the parser
    treats the quote as unclosed: it refuses that line alone and continues with the next one, so that a stray
    quote never swallows a row.

    All rows that share a speakerid are refused, since the file does not say which one is true: otherwise
    valid rows as `duplicate_patient`, the others as `invalid_metadata`.

    Args:
        data: The file's bytes: comma-separated, in UTF-8 with or without a byte order mark. Column names may
            be in any case and order.

    Returns:
        Every row with its outcome.

    Raises:
        NovoicError: A required column is missing or occurs twice. The message names these columns and quotes
            nothing else of the file.

    Example:
        >>> rows = parse_metadata(b"speakerid,age,gender,mmse,ad_status,set\nP1,71,f,29,0,train\n").rows
        >>> [(row.line, row.reason, row.patient, row.gender) for row in rows]
        [(2, 'ok', 'P1', 'female')]
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
    """Return the line as text, None if it is not valid text."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _is_blank(line: str | None) -> bool:
    return line is not None and not line.strip()


def _read_header(line: str | None) -> tuple[dict[str, int], int]:
    """Return the index of each required column, and the number of all columns."""
    fields = _complete_record(line) or []
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


def _complete_record(line: str | None) -> list[str] | None:
    """Return the fields of a line that is a complete record, else None."""
    if line is None:
        return None
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:
        return None


def _read_record(lines: Sequence[str | None], index: int, width: int) -> tuple[list[str] | None, int]:
    """Read the record that starts on a line.

    Args:
        lines: All lines; None for a line that is not valid text.
        index: The record's first line.
        width: Number of columns of the header.

    Returns:
        The fields (None if they cannot be separated) and the number of lines taken, at least 1.
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
    """Yield a record's first line and the lines that its open quote may include.

    Stop before the first line that is a complete row or not valid text; the reader then finds the quote
    unclosed.
    """
    for position in range(index, len(lines)):
        line = lines[position]
        if line is None or (position > index and len(_complete_record(line) or []) == width):
            return
        yield line


def _row(line: int, fields: list[str] | None, columns: dict[str, int], width: int) -> PatientRow:
    """Check one row's values."""
    invalid = PatientRow(line, Reason.INVALID_METADATA.value)
    if fields is None:
        return invalid
    if len(fields) != width:
        # Only the first value certainly belongs to its column.
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
    """Return the speaker id, None if no patient can have it.

    Transcripts separate speakers by commas, and an id that begins with `_` is an investigator's. A quotation
    mark is left over from a quoted value that was split.
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
