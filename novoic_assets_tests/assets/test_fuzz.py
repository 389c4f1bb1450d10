"""Sessions with random damage: each is `ok` or has a reason, and the run succeeds."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from novoic_assets.reasons import OK, Reason
from novoic_assets.synthetic.corpus import CorpusSettings, write_corpus
from novoic_assets_tests.lab import Lab

pytestmark = pytest.mark.slow

SESSIONS = 200
SEEDS = range(3)
TAGS = [b"<w>", b"</w>", b"<segment>", b"</segment>", b"<root>", b"<!--", b"]]>", b"&amp;", b"&x;", b"<?xml?>", b"\0"]
NUMBERS = [b"-1", b"nan", b"inf", b"1e309", b"", b"0", b"999999999", b"1,5", b"0x10"]


Mutation = Callable[[bytes, np.random.Generator], bytes]


def _flip(data: bytes, rng: np.random.Generator, within: int | None = None) -> bytes:
    """Replace some bytes by random bytes."""
    changed = bytearray(data)
    for index in rng.integers(0, min(len(data), within or len(data)), rng.integers(1, 9)):
        changed[index] = rng.integers(256)
    return bytes(changed)


def _flip_header(data: bytes, rng: np.random.Generator) -> bytes:
    return _flip(data, rng, within=64)


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def _cut_header(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(100)]


def _remove(data: bytes, rng: np.random.Generator) -> bytes:
    start = rng.integers(len(data))
    return data[:start] + data[start + rng.integers(1, 200) :]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start = rng.integers(len(data))
    end = start + rng.integers(1, 2000)
    return data[:end] + data[start:]


def _insert_noise(data: bytes, rng: np.random.Generator) -> bytes:
    start = rng.integers(len(data))
    return data[:start] + rng.bytes(rng.integers(1, 50)) + data[start:]


def _insert_tag(data: bytes, rng: np.random.Generator) -> bytes:
    start = rng.integers(len(data))
    return data[:start] + TAGS[rng.integers(len(TAGS))] + data[start:]


def _change_number(data: bytes, rng: np.random.Generator) -> bytes:
    """Replace a value of a transcript."""
    parts = data.split(b'"')
    values = range(1, len(parts), 2)
    if not values:
        return data
    parts[values[rng.integers(len(values))]] = NUMBERS[rng.integers(len(NUMBERS))]
    return b'"'.join(parts)


def _change_length(data: bytes, rng: np.random.Generator) -> bytes:
    """Replace a field of a RIFF header by an extreme number."""
    offset = int(rng.choice([4, 16, 20, 22, 24, 28, 32, 34, 40]))
    number = int(rng.choice([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1]))
    return data[:offset] + number.to_bytes(4, "little") + data[offset + 4 :]


def _to_utf16(data: bytes, rng: np.random.Generator) -> bytes:
    return data.decode("utf-8", "replace").encode("utf-16")


def _leave(data: bytes, rng: np.random.Generator) -> bytes:
    return data


TEXT: list[Mutation] = [_flip, _cut, _remove, _repeat, _insert_noise, _insert_tag, _change_number, _to_utf16, _leave]
AUDIO: list[Mutation] = [
    _flip,
    _flip_header,
    _cut,
    _cut_header,
    _remove,
    _repeat,
    _insert_noise,
    _change_length,
    _leave,
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "raw"
    write_corpus(folder, CorpusSettings(sessions=SESSIONS, minutes=0.05), workers=1)
    return folder


@pytest.mark.parametrize("seed", SEEDS)
def test_any_damage_costs_a_session_at_most(corpus: Path, lab: Lab, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for folder, mutations in (("text", TEXT), ("audio", AUDIO)):
        for path in sorted((corpus / folder).iterdir()):
            data = path.read_bytes()
            for _ in range(rng.integers(1, 3)):
                if data:
                    data = mutations[rng.integers(len(mutations))](data, rng)
            if rng.random() < 0.98:
                (lab.raw / folder / path.name).write_bytes(data)
    header, rows_of_patients = (corpus / "metadata.csv").read_bytes().split(b"\n", 1)
    (lab.raw / "metadata.csv").write_bytes(header + b"\n" + _flip(rows_of_patients, rng))
    run = lab.run()
    assert run.success, run.failures()

    failed = {name for _, name in run.failed_checks()}
    assert failed.isdisjoint({"reconciled", "lengths", "finite", "flow_reconciled", "patient_in_one_split"})
    rows = lab.all_rows()
    sessions = {path.stem for folder in ("text", "audio") for path in (lab.raw / folder).iterdir()}
    assert {row["session"] for row in rows["audio_features"]} == sessions
    for table in ("transcripts", "text_features", "audio_features"):
        assert len({row["session"] for row in rows[table]}) == len(rows[table])
        reasons = Counter(row["reason"] for row in rows[table])
        assert set(reasons) <= {OK, *Reason}
        assert Reason.INTERNAL_ERROR not in reasons, [row["detail"] for row in rows[table] if row["detail"]]
        assert 0 < reasons[OK] < len(rows[table])
    flow = lab.current("ad_vs_hc")["flow"]
    assert flow["in"] == len(sessions)
    assert flow["in"] == flow["included"] + sum(flow["excluded"].values()) + sum(flow["quarantined"].values())
