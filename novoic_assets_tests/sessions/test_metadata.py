"""Metadata: every row has an outcome, and a bad row costs only itself."""

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novoic_assets.errors import NovoicError
from novoic_assets.sessions.metadata import REQUIRED_COLUMNS, PatientRow, parse_metadata
from novoic_assets_tests.corpora import METADATA

HEADER = b"speakerid,age,gender,mmse,ad_status,set\n"
GOOD = b"p1,68,male,29,1,train\n"


def rows(*lines: bytes, header: bytes = HEADER) -> list[PatientRow]:
    return parse_metadata(header + b"".join(line + b"\n" for line in lines)).rows


def outcomes(*lines: bytes, header: bytes = HEADER) -> list[tuple[int, str, str | None]]:
    return [(row.line, row.reason, row.patient) for row in rows(*lines, header=header)]


def test_a_row_is_read():
    assert rows(b"p1,68,male,29,1,train") == [PatientRow(2, "ok", "p1", 68, "male", 29, 1, "train")]


def test_the_challenge_metadata():
    metadata = parse_metadata(METADATA.read_bytes())
    assert len(metadata.rows) == 156
    assert {row.reason for row in metadata.rows} == {"ok"}
    assert sum(row.split == "train" for row in metadata.rows) == 108
    assert sum(row.ad_status == 1 for row in metadata.rows) == 71
    assert metadata.rows[0] == PatientRow(2, "ok", "speaker_S001", 68, "male", 29, 1, "train")


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (b" p1 , 68.0 , M , 29.0 , 1.0 , Train ", ("p1", 68, "male", 29, 1, "train")),
        (b"p1,18,f,0,0,TEST", ("p1", 18, "female", 0, 0, "test")),
        (b"p1,120,Other,30,0,test", ("p1", 120, "other", 30, 0, "test")),
        (b"p1,50,UNKNOWN,,0,test", ("p1", 50, "unknown", None, 0, "test")),
        (b"p1,50,Female,NA,0,test", ("p1", 50, "female", None, 0, "test")),
        (b"p1,50,Female,NaN,0,test", ("p1", 50, "female", None, 0, "test")),
        (b"p1,50,Female,none,0,test", ("p1", 50, "female", None, 0, "test")),
        (b'"p \'1",50,Female,none,0,test', ("p '1", 50, "female", None, 0, "test")),
        ("pätient,50,Female,1,0,test".encode(), ("pätient", 50, "female", 1, 0, "test")),
    ],
)
def test_values_that_are_accepted(line, row):
    assert rows(line) == [PatientRow(2, "ok", *row)]


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"p1,%b,male,29,1,train" % age
            for age in (b"", b"17", b"121", b"68.5", b"-68", b"1e2", b"nan", b"6_8", b"x")
        ),
        "p1,٦٨,male,29,1,train".encode(),
        b"p1," + b"6" * 5000 + b",male,29,1,train",
        *(b"p1,68,%b,29,1,train" % gender for gender in (b"", b"mail", b"NA", b"1")),
        *(b"p1,68,male,%b,1,train" % mmse for mmse in (b"31", b"-1", b"29.5", b"x", b"null")),
        *(b"p1,68,male,29,%b,train" % status for status in (b"", b"2", b"-1", b"0.5", b"AD", b"True")),
        *(b"p1,68,male,29,1,%b" % split for split in (b"", b"dev", b"training", b"NA")),
        b"p1,68,male,29,1",
        b"p1,68,male,29,1,train,",
        b"p1",
        b"p1,,,,,",
    ],
)
def test_values_that_are_refused_keep_the_patient_and_nothing_else(line):
    assert rows(line, b"p2,68,male,29,1,train") == [
        PatientRow(2, "invalid_metadata", "p1"),
        PatientRow(3, "ok", "p2", 68, "male", 29, 1, "train"),
    ]


@pytest.mark.parametrize(
    "name", [b"", b"  ", b"_inv", b'"a,b"', b'"a""b"', b'a"b"', b"a\x07b", b"a\x7fb", b"a\xc2\x85b", b"a\x00b"]
)
def test_names_that_no_patient_can_have(name):
    found = rows(name + b",68,male,29,1,train", b"p2,68,male,29,1,train")
    assert [(row.reason, row.patient) for row in found] == [("invalid_metadata", None), ("ok", "p2")]


def test_a_name_with_a_line_break_costs_its_two_lines():
    assert outcomes(b'"a\nb",68,male,29,1,train', b"p2,68,male,29,1,train") == [
        (2, "invalid_metadata", None),
        (3, "invalid_metadata", None),
        (4, "ok", "p2"),
    ]


def test_the_patient_of_a_row_of_the_wrong_width_is_read_from_the_first_column_only():
    header = b"age,speakerid,gender,mmse,ad_status,set\n"
    assert outcomes(b"68,p1,male,29,1", b"68,p2,male,29,1,test", header=header) == [
        (2, "invalid_metadata", None),
        (3, "ok", "p2"),
    ]


def test_bytes_that_are_not_utf_8_cost_their_row():
    assert outcomes(b"p1,68,male,29,1,train", b"p\xff2,68,male,29,1,train", b"p3,68,male,29,1,test") == [
        (2, "ok", "p1"),
        (3, "invalid_metadata", None),
        (4, "ok", "p3"),
    ]


def test_columns_may_be_in_any_order_and_case_and_unknown_ones_are_dropped():
    found = parse_metadata(b"note, SET ,mmse,Age,id2,AD_status,Gender,SpeakerID,\nsecret,test,3,70,7,0,f,p1,x\n")
    assert found.rows == [PatientRow(2, "ok", "p1", 70, "female", 3, 0, "test")]
    assert found.unknown_columns == 3
    assert "secret" not in repr(found)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_byte_order_mark_line_ends_and_blank_lines(end):
    data = b"\xef\xbb\xbf" + end + HEADER.strip() + end + end + b"  \t" + end + GOOD.strip() + end + end
    assert parse_metadata(data).rows == [PatientRow(5, "ok", "p1", 68, "male", 29, 1, "train")]


def test_the_last_line_needs_no_end():
    assert len(parse_metadata(HEADER + GOOD.strip()).rows) == 1
    assert parse_metadata(HEADER).rows == []


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", REQUIRED_COLUMNS),
        (b"\n \n", REQUIRED_COLUMNS),
        (b"secret,68,male,29,1,train\n", REQUIRED_COLUMNS),
        (HEADER.replace(b",", b";") + b"secret;68", REQUIRED_COLUMNS),
        (HEADER.decode().encode("utf-16") + b"secret", REQUIRED_COLUMNS),
        (b"secret\xff" + HEADER, REQUIRED_COLUMNS),
        (b'"secret' + HEADER, REQUIRED_COLUMNS),
        (b"speakerid,age,gender,mmse,secret\nsecret,1,1,1,1", ("ad_status", "set")),
        (b"speakerid,age,gender,mmse,ad_status,set,Age,secret\n", ("age",)),
    ],
)
def test_a_faulty_header_is_one_error_that_names_the_columns(data, named):
    with pytest.raises(NovoicError) as caught:
        parse_metadata(data)
    message = str(caught.value)
    at_fault = message.split(";")[0]
    assert "secret" not in message
    assert [name for name in REQUIRED_COLUMNS if f" {name}" in at_fault.replace(",", " ")] == list(named)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_all_rows_of_one_patient_are_refused_also_beside_an_invalid_one():
    assert outcomes(
        b"p1,68,male,29,1,train",
        b"p2,68,male,29,1,train",
        b"p1,69,male,29,1,train",
        b"p3,68,male,29,1,train",
        b"p3,seventy,male,29,1,train",
        b"p4,x,male,29,1,train",
        b"p4,x,male,29,1,train",
    ) == [
        (2, "duplicate_patient", "p1"),
        (3, "ok", "p2"),
        (4, "duplicate_patient", "p1"),
        (5, "duplicate_patient", "p3"),
        (6, "invalid_metadata", "p3"),
        (7, "invalid_metadata", "p4"),
        (8, "invalid_metadata", "p4"),
    ]
    assert rows(b"p1,68,male,29,1,train", b" p1 ,68,male,29,1,train")[0] == PatientRow(2, "duplicate_patient", "p1")


NOTED = b"speakerid,age,gender,mmse,ad_status,set,note\n"


def test_an_unknown_column_may_have_line_breaks():
    assert outcomes(
        b'p1,68,male,29,1,train,"first\n\nsecond, and ""third"""', b"p2,68,male,29,1,train,", header=NOTED
    ) == [(2, "ok", "p1"), (5, "ok", "p2")]


@pytest.mark.parametrize(
    "line",
    [
        b'p1,68,male,29,1,train,"never closed',
        b'p1,68,"male,29,1,train,x',
        b'"p1,68,male,29,1,train,x',
        b'p1,68,male,29,1,train,"closed" wrongly',
        b"p1,68,male,29,1,train," + b"x" * 200_000,
    ],
)
@pytest.mark.parametrize("last", [b'p4,68,male,29,1,train,x"', b'p4,68,male,29,1,train,"x"', b"p4,68,male,29,1,train,"])
def test_a_stray_quote_costs_its_line_and_no_other(line, last):
    found = outcomes(line, b"p2,68,male,29,1,train,x", b"p3,68,male,29,1,test,", last, header=NOTED)
    assert [(number, reason) for number, reason, _ in found] == [
        (2, "invalid_metadata"),
        (3, "ok"),
        (4, "ok"),
        (5, "ok"),
    ]


def test_a_quote_that_is_never_closed_hides_no_other_bad_row():
    found = outcomes(b'p1,68,"male', b"p2,68", b"p3\xff", b"p4,68,male,29,1,train")
    assert [(number, reason) for number, reason, _ in found] == [
        (2, "invalid_metadata"),
        (3, "invalid_metadata"),
        (4, "invalid_metadata"),
        (5, "ok"),
    ]


NAMES = st.text(string.ascii_letters + string.digits + " .-'ßé日", min_size=1, max_size=12).filter(
    lambda name: name == name.strip() and name
)
VALID = st.tuples(
    st.integers(18, 120),
    st.sampled_from(["male", "female", "other", "unknown"]),
    st.none() | st.integers(0, 30),
    st.integers(0, 1),
    st.sampled_from(["train", "test"]),
)


@settings(max_examples=200, deadline=None, database=None)
@given(st.dictionaries(NAMES, VALID, max_size=8), st.booleans())
def test_valid_rows_come_back_as_they_were_written(patients, with_gaps):
    def number(value: int | None) -> str:
        return "" if value is None else f"{value}.0" if with_gaps else str(value)

    lines = ["speakerid,age,gender,mmse,ad_status,set"]
    for name, (age, gender, mmse, status, split) in patients.items():
        lines.append(f'"{name}",{number(age)},{gender},{number(mmse)},{number(status)},{split}')
    found = parse_metadata("\n".join(lines).encode()).rows
    assert found == [
        PatientRow(line, "ok", name, *values) for line, (name, values) in enumerate(patients.items(), start=2)
    ]


TEMPLATE = (
    NOTED
    + b'p1,68,male,29,1,train,\np2,50,f,,0,test,"a ""note"""\np3,77,other,NA,0,test,"two\nlines"\np4,60,m,3,1,train,x\n'
)
PIECES = st.sampled_from(
    [b'"', b'""', b"\n", b"\r", b"\r\n", b",", b"\0", b"\xff", b"\xef\xbb\xbf", b"p1", b"_", b"nan", b" ", b"\x85"]
) | st.binary(max_size=4)
EDITS = st.lists(st.tuples(st.integers(0, len(TEMPLATE)), st.integers(0, 12), PIECES), min_size=1, max_size=8)


@settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(EDITS, st.booleans())
def test_a_damaged_file_is_an_error_or_every_row_has_its_outcome(edits, keep_header):
    data = TEMPLATE
    for position, length, piece in edits:
        at = max(position, len(NOTED)) if keep_header else position
        data = data[:at] + piece + data[at + length :]
    try:
        found = parse_metadata(data).rows
    except NovoicError as error:
        assert error.__context__ is None  # noqa: PT017
        return
    lines = [row.line for row in found]
    assert lines == sorted(set(lines))
    texts = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    filled = [number for number, text in enumerate(texts, start=1) if text.decode("utf-8", "replace").strip()]
    header, *others = filled
    assert set(lines) <= set(others)
    # A line that starts no row continues a quoted value of the row above, which is complete.
    for number in set(others) - set(lines):
        above = max(line for line in lines if line < number)
        record = b"\n".join(texts[above - 1 : number])
        assert record.count(b'"') >= 1
        assert len(texts[number - 1].split(b",")) != texts[header - 1].count(b",") + 1 or b'"' in texts[number - 1]
    for row in found:
        known = (row.age, row.gender, row.mmse, row.ad_status, row.split)
        assert (row.reason == "ok") == (known != (None,) * 5)
        assert row.reason in {"ok", "invalid_metadata", "duplicate_patient"}
