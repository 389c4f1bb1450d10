"""The columns of the tables below `restricted/tables/`.

Every stage table has one row for each input. `session` names the input, `reason` is `ok` or the code of the reason why
the input was refused, and `fingerprint` is the hash of everything that the row was computed from.
"""

from typing import Final

import pyarrow as pa

_OUTCOME: Final = [
    pa.field("session", pa.string()),
    pa.field("fingerprint", pa.string()),
    pa.field("reason", pa.string()),
    pa.field("detail", pa.string()),  # for internal_error: the type and place of the exception, never its text
]

PATIENTS: Final = pa.schema(
    [
        pa.field("row", pa.string()),  # the key: the line number, zero-padded
        pa.field("line", pa.int64()),
        pa.field("fingerprint", pa.string()),  # of the whole file
        pa.field("reason", pa.string()),
        pa.field("patient", pa.string()),
        pa.field("age", pa.int16()),  # completed years
        pa.field("gender", pa.string()),
        pa.field("mmse", pa.int16()),  # 0 to 30
        pa.field("ad_status", pa.int8()),
        pa.field("split", pa.string()),
    ]
)

FILES: Final = pa.schema(
    [
        pa.field("path", pa.string()),  # relative to the raw root
        pa.field("session", pa.string()),  # the file's stem
        pa.field("size", pa.int64()),  # bytes
        pa.field("etag", pa.string()),
        pa.field("modified", pa.timestamp("us", "UTC")),
    ]
)

WORDS: Final = pa.list_(pa.struct([pa.field("text", pa.string()), pa.field("speaker", pa.string())]))
SEGMENTS: Final = pa.list_(
    pa.struct([pa.field("start", pa.float64()), pa.field("end", pa.float64()), pa.field("words", WORDS)])  # s
)

TRANSCRIPTS: Final = pa.schema(
    [
        *_OUTCOME,
        pa.field("sha256", pa.string()),  # of the file
        pa.field("content", pa.string()),  # digest of what later stages use
        pa.field("patient", pa.string()),
        pa.field("words", pa.int32()),
        pa.field("patient_words", pa.int32()),
        pa.field("end", pa.float64()),  # end of the last segment, in s
        pa.field("guidelines", pa.string()),  # declared by the file, such as "chat"; empty for none
        pa.field("segments", SEGMENTS),
    ]
)

FAMILIES: Final = pa.list_(pa.struct([pa.field("family", pa.string()), pa.field("fingerprint", pa.string())]))
VALUES: Final = pa.list_(
    pa.struct(
        [
            pa.field("family", pa.string()),
            pa.field("speaker", pa.string()),
            pa.field("status", pa.string()),
            pa.field("vector", pa.list_(pa.float32())),
            # For a `partial` vector: why each value is NaN, null for a number. Empty for any other vector.
            pa.field("reasons", pa.list_(pa.string())),
        ]
    )
)

TEXT_FEATURES: Final = pa.schema(
    [
        *_OUTCOME,
        pa.field("sha256", pa.string()),  # of the transcript
        pa.field("patient", pa.string()),
        pa.field("families", FAMILIES),
        pa.field("values", VALUES),
    ]
)

AUDIO_FEATURES: Final = pa.schema(
    [
        *_OUTCOME,
        pa.field("sha256", pa.string()),  # of the recording
        pa.field("sample_rate", pa.int32()),  # Hz, of the source
        pa.field("channels", pa.int16()),
        pa.field("encoding", pa.string()),
        pa.field("scale", pa.string()),
        pa.field("seconds", pa.float64()),
        pa.field("level", pa.float32()),  # above 60 Hz, in dBFS, of the whole recording
        pa.field("patient_seconds", pa.float64()),
        pa.field(
            "overhang", pa.float64()
        ),  # s by which the transcript ends after the recording; negative if it ends first
        pa.field("families", FAMILIES),
        pa.field("values", VALUES),
    ]
)
