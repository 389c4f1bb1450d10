"""Nothing personal leaves `restricted/`: not to a terminal, a log, Dagster's history or the datasets.

Every part of the input that could identify somebody contains the canary. A process then uses all functions of the
platform, and makes it fail in every way, with exceptions whose text contains the canary too. Afterwards the canary may
be only in the raw folder and below `restricted/`.

`novoic identify` and `novoic quarantine --list` name patients and sessions on purpose. The root folders are settings,
not data, and appear in a run's config.
"""

import contextlib
import functools
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from novoic_assets_tests.lab import HEADER, transcript_xml, wav

CANARY = "zqcanary"
REPOSITORY = Path(__file__).parents[1]
GOOD = 4

pytestmark = pytest.mark.timeout(900)  # dozens of runs in one fixture


def fill(raw: Path) -> None:
    """Fill a raw folder with the canary in everything that could identify somebody."""
    text, audio = raw / "text" / f"{CANARY}clinic", raw / "audio" / f"{CANARY}clinic"
    text.mkdir(parents=True)
    audio.mkdir(parents=True)

    def xml(session: str, patient: str, **changed: str) -> str:
        plain = transcript_xml(
            session,
            [
                (0.0, 0.5, [("_inv", "well")]),
                (0.6, 1.8, [(patient, f"{CANARY}word"), (patient, "cookie")]),
                (1.8, 1.9, [(f"{CANARY}visitor", f"{CANARY}greeting")]),
            ],
            patient,
        )
        for old, new in changed.items():
            plain = plain.replace(
                {"times": '"0.6"', "root": "root>", "start": "<root>", "end": "</transcript>"}[old], new
            )
        return plain

    for index in range(GOOD):
        session = f"ZqCanarySession{index}"
        (text / f"{session}.xml").write_text(xml(session, f"ZqCanaryPatient{index}"))
        (audio / f"{session}.wav").write_bytes(_with_comments("WAV", seed=index))
    sample = xml("ZqCanaryBad", "ZqCanaryPatient0")
    bad_transcripts = {
        "cut": sample[:-25],
        "root": f"<{CANARY}>{CANARY}</{CANARY}>",
        "entity": f'<!DOCTYPE root [<!ENTITY {CANARY} "{CANARY}">]><root>&{CANARY};</root>',
        "external": f'<!DOCTYPE root SYSTEM "{CANARY}.dtd"><root/>',
        "undefined": sample.replace("cookie", f"&{CANARY};"),
        "namespace": sample.replace("<root>", f"<root><{CANARY}:a/>"),
        "attribute": sample.replace("<transcript>", f"<transcript {CANARY}={CANARY}>"),
        "encoding": f'<?xml version="1.0" encoding="{CANARY}"?><root/>',
        "mismatch": sample,
        "times": xml("ZqCanarytimes", f"{CANARY}patient", times=f'"{CANARY}"'),
        "patients": xml("ZqCanarypatients", f"{CANARY}one,{CANARY}two"),
        'quote\'s "name"': sample,
    }
    for name, content in bad_transcripts.items():
        (text / f"ZqCanary{name}.xml").write_text(content)
        (audio / f"ZqCanary{name}.wav").write_bytes(wav())
    bad_recordings = {
        "junk.wav": CANARY.encode() * 1000,
        "riff.wav": b"RIFF" + CANARY.encode() * 1000,
        "cut.flac": _with_comments("FLAC")[:9_000],
        "damaged.flac": _with_comments("FLAC")[:9_000] + CANARY.encode() * 5_000,
        "damaged.ogg": _with_comments("OGG")[:5_000] + CANARY.encode() * 5_000,
        "empty.wav": b"",
        "twice.wav": wav(),
        "twice.flac": _with_comments("FLAC"),
        "half.wav": wav()[:-5000],
    }
    for name, data in bad_recordings.items():
        session = f"ZqCanaryaudio{Path(name).stem}"
        (audio / f"ZqCanaryaudio{name}").write_bytes(data)
        (text / f"{session}.xml").write_text(xml(session, "ZqCanaryPatient1"))
    (audio / f"{CANARY}alone.wav").write_bytes(wav())
    (text / f"{CANARY}alone2.xml").write_text(xml(f"{CANARY}alone2", f"{CANARY}nobody"))
    (text / f"notes.{CANARY}").write_text(CANARY)

    rows = [
        f"ZqCanaryPatient{index},{55 + index},female,28,{index % 2},{'test' if index > 1 else 'train'},{CANARY}value"
        for index in range(GOOD)
    ]
    rows += [
        f"{CANARY}invalid,{CANARY}age,female,28,0,train,x",
        f"{CANARY}invalid2,60,{CANARY}gender,{CANARY}mmse,{CANARY},{CANARY},x",
        f"{CANARY}twice,60,female,28,0,train,x",
        f"{CANARY}twice,60,female,28,0,train,x",
        f"{CANARY}short,60",
        f'"{CANARY}unclosed,60,female,28,0,train,x',
    ]
    data = "\n".join([f"{HEADER},{CANARY}column", *rows]).encode()
    (raw / "metadata.csv").write_bytes(data + f"\n{CANARY}".encode() + b"\xff\xfe,60,female,28,0,train,x\n")


def _with_comments(container: str, seed: int = 0) -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(seed).normal(0, 0.05, 32_000)
    with soundfile.SoundFile(file, "w", 16_000, 1, format=container) as sound:
        sound.title = sound.artist = sound.comment = f"{CANARY}comment"
        sound.write(samples)
    return file.getvalue()


class Scenes:
    """What the process does, one method for each scene; `outcomes` holds the result of each scene."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.raw, self.store = folder, folder / "raw", folder / "store"
        self.outcomes: dict[str, object] = {}

    def usual(self) -> None:
        """Play the usual work of a lab, and failures of code."""
        # Run this first, before `novoic` silences Python's warnings.
        self.outcomes["the job as Dagster runs it"] = self._job()
        self._command("nothing new", "materialize", "--raw", "raw")
        for command in (["datasets"], ["datasets", "--json"], ["quarantine"], ["quarantine", "--json"]):
            self._command(" ".join(command), *command)
        self._load()
        self._command("an unknown pseudonym", "identify", "P0123456789abcdef")
        self._internal_errors()
        self._failures()

    def broken(self) -> None:
        """Play failures of storage, settings and listings, and work in worker processes."""
        self.outcomes["the job as Dagster runs it"] = self._job()
        self._failing_stages()
        self._workers()
        self._broken_stores()
        self._wrong_keys()
        self._bad_listings()
        self._mass_removal()

    def _job(self) -> bool:
        import dagster as dg

        from novoic_assets.definitions import MATERIALIZE_ALL, defs

        with dg.DagsterInstance.from_config(".") as instance:
            result = defs.resolve_job_def(MATERIALIZE_ALL).execute_in_process(
                run_config={
                    "resources": {"raw": {"config": {"root": "raw"}}, "store": {"config": {"root": "store"}}},
                    "loggers": {"console": {"config": {"log_level": "DEBUG"}}},
                },
                instance=instance,
                raise_on_error=False,
            )
        return result.success

    def _command(self, scene: str, *arguments: str, store: str = "store") -> None:
        from novoic_assets import cli

        os.environ["NOVOIC_STORE"] = store
        sys.argv = ["novoic", *arguments]
        code: object = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code
        self.outcomes[scene] = code

    def _load(self) -> None:
        from novoic_assets.training.load import load_dataset

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            for speaker in ("patient", "investigator", "all"):
                data = load_dataset("ad_vs_hc", "store", speaker=speaker)
                sys.stdout.write(f"{data}\n{data.to_pandas().to_string()}\n")

    def _internal_errors(self) -> None:
        from novoic_assets.features.text import word_vector
        from novoic_assets.stages import audio as workers
        from novoic_assets.storage.files import Storage

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(word_vector, "_compute", _raise)
            patch.setattr(workers, "audio_features", _raise)
            self._command("a family that fails", "materialize", "--raw", "raw", store="store_families")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Storage, "open_listed", _raise)
            self._command("a reader that fails", "materialize", "--raw", "raw", store="store_reader")
        self._command("the quarantine of internal errors", "quarantine", store="store_reader")

    def _failures(self) -> None:
        from novoic_assets.assets import quarantined, training
        from novoic_assets.stages import findings

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(quarantined, "read_quarantine", _raise)
            patch.setattr(findings, "patients_unique", _raise)
            patch.setattr(findings, "without_patient_speech", _raise_chained)
            patch.setattr(findings, "not_finite", _raise)
            patch.setattr(training, "assemble", _raise_chained)
            self._command("failures of checks and datasets", "materialize", "--raw", "raw")

    def _failing_stages(self) -> None:
        from novoic_assets.assets import raw
        from novoic_assets.engines.pool import PoolEngine
        from novoic_assets.stages import audio, listing

        for scene, owner, name in (
            ("a failure of the metadata", raw, "parse_metadata"),
            ("a failure of the listing", listing, "session_files"),
            ("a failure of a stage", audio, "_turns"),
            ("a failure of the engine", PoolEngine, "map"),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(owner, name, _raise_chained)
                self._command(scene, "materialize", "--raw", "raw", store=f"store_{name}")

    def _workers(self) -> None:
        from novoic_assets.engines import pool as engine

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "_INLINE_SECONDS", 0.0)
            patch.setenv("NOVOIC_WORKERS", "2")
            self._command("worker processes", "materialize", "--raw", "raw", store="store_workers")

    def _broken_stores(self) -> None:
        for damage in (_as_file, _garbled_log, _lost_data, _garbled_data):
            for table in ("patients", "text_features"):
                store = f"store_{damage.__name__[1:]}_{table}"
                shutil.copytree(self.store, store)
                damage(Path(store, "restricted", "tables", table))
                self._command(f"{table}: {damage.__name__[1:]}", "materialize", "--raw", "raw", store=store)
                if damage is not _lost_data:
                    self._command(f"{table}: {damage.__name__[1:]}, quarantine", "quarantine", store=store)
        shutil.copytree(self.store, "store_pointer")
        Path("store_pointer", "training_data", "ad_vs_hc", "current.json").write_text(f'{{"{CANARY}": ')
        self._command("a garbled pointer", "datasets", store="store_pointer")
        self._command("a garbled pointer, materialize", "materialize", "--raw", "raw", store="store_pointer")

    def _wrong_keys(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NOVOIC_PSEUDONYM_KEY", CANARY)
            self._command("a key that is too short", "materialize", "--raw", "raw")
            patch.setenv("NOVOIC_PSEUDONYM_KEY", f"{CANARY} another key, long enough")
            self._command("another key", "materialize", "--raw", "raw")

    def _bad_listings(self) -> None:
        for scene, name in (("a control character", f"{CANARY}\1.wav"), ("no UTF-8", f"{CANARY}\udcff.wav")):
            path = self.raw / "audio" / name  # a surrogate stands for a byte that is not UTF-8
            path.touch()
            self._command(f"{scene} in a name", "materialize", "--raw", "raw")
            path.unlink()
        content = (self.raw / "metadata.csv").read_bytes()
        for scene, header in (
            ("a column is missing", f"{CANARY},age"),
            ("a column is twice", f"{HEADER},age,{CANARY}"),
        ):
            (self.raw / "metadata.csv").write_text(header)
            self._command(scene, "materialize", "--raw", "raw")
        (self.raw / "metadata.csv").write_bytes(content)

    def _mass_removal(self) -> None:
        for folder in ("text", "audio"):
            for path in (self.raw / folder / f"{CANARY}clinic").iterdir():
                path.unlink()
        (self.raw / "metadata.csv").write_text(HEADER)
        self._command("mass removal", "materialize", "--raw", "raw")
        self._command("confirmed removal", "materialize", "--raw", "raw", "--confirm-removal")


def _as_file(table: Path) -> None:
    shutil.rmtree(table)
    table.write_text(CANARY)


def _garbled_log(table: Path) -> None:
    for entry in (table / "_delta_log").glob("*.json"):
        entry.write_text('{"add": {"path": "' + CANARY)


def _lost_data(table: Path) -> None:
    for entry in table.glob("*.parquet"):
        entry.unlink()


def _garbled_data(table: Path) -> None:
    for entry in table.glob("*.parquet"):
        entry.write_bytes(b"PAR1" + CANARY.encode() * 100 + b"PAR1")


def _raise(*_: object, **__: object) -> Any:
    raise ValueError(f"{CANARY} of {_here()}")


def _raise_chained(*_: object, **__: object) -> Any:
    try:
        _raise()
    except ValueError as error:
        raise KeyError(f"{CANARY} key") from error


def _here() -> str:
    return CANARY


@dataclass(frozen=True)
class Played:
    folder: Path
    outcomes: dict[str, object]
    stdout: bytes
    stderr: bytes


@pytest.fixture(scope="module", params=["usual", pytest.param("broken", marks=pytest.mark.slow)])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("privacy")
    fill(folder / "raw")
    shutil.copy(REPOSITORY / "dagster.yaml", folder)
    code = (
        "import json, pathlib; from novoic_assets_tests.test_privacy import Scenes;"
        f" scenes = Scenes(pathlib.Path.cwd()); scenes.{request.param}();"
        " pathlib.Path('outcomes.json').write_text(json.dumps(scenes.outcomes))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NOVOIC_", "DAGSTER_"))}
    process = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr.decode()[-3000:]
    return Played(folder, json.loads((folder / "outcomes.json").read_text()), process.stdout, process.stderr)


def has_canary(data: bytes) -> bool:
    lower = data.lower()
    return any(CANARY.encode(encoding) in lower for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le"))


def contents(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, and also the content of a database, an archive or a table."""
    yield path.read_bytes()
    if path.suffix == ".db":
        with contextlib.closing(sqlite3.connect(path)) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for row in database.execute(f'SELECT * FROM "{table}"'):
                    yield from map(_unpacked, row)
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            for name in arrays.files:
                yield f"{name} {arrays[name].tolist()}".encode()
    elif path.suffix == ".parquet":
        table = pq.read_table(path)
        yield f"{table.schema.metadata} {table.column_names} {table.to_pylist()}".encode()


def _unpacked(value: object) -> bytes:
    """Decompress a database's value: Dagster compresses the snapshots of jobs."""
    if isinstance(value, bytes):
        with contextlib.suppress(zlib.error):
            return zlib.decompress(value)
        return value
    return str(value).encode()


@functools.cache
def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def outside(played: Played) -> Iterator[Path]:
    """Yield the files that the platform wrote outside `restricted/`."""
    for path in _files(played.folder):
        parts = path.relative_to(played.folder).parts
        if parts[0] != "raw" and "restricted" not in parts:
            yield path


def test_the_canary_is_where_it_may_be(played: Played) -> None:
    # Otherwise the other tests prove nothing.
    assert has_canary(b" ZqCanary ")
    assert has_canary("zqcanary".encode("utf-16"))
    tables = [path for path in _files(played.folder / "store" / "restricted") if path.suffix == ".parquet"]
    found = {path.parts[-2] for path in tables if any(map(has_canary, contents(path)))}
    assert found >= {"patients", "transcripts", "text_features", "audio_features", "audio_files", "transcript_files"}


def test_the_scenes_had_the_intended_outcomes(played: Played) -> None:
    succeed = {
        "nothing new",
        "datasets",
        "datasets --json",
        "quarantine",
        "quarantine --json",
        "a family that fails",
        "a reader that fails",
        "the quarantine of internal errors",
        "worker processes",
        "another key",
        "confirmed removal",
    }
    outcomes = dict(played.outcomes)
    assert outcomes.pop("the job as Dagster runs it") is True
    assert outcomes == {scene: 0 if scene in succeed else 1 for scene in outcomes}


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_nothing_personal_is_printed(played: Played, stream: str) -> None:
    printed = getattr(played, stream)
    assert printed
    lines = [line for line in printed.splitlines() if has_canary(line)]
    assert not lines, b"\n".join(lines[:10]).decode()


def test_nothing_personal_is_in_dagsters_history_and_logs(played: Played) -> None:
    history = [path for path in outside(played) if ".dagster" in path.parts]
    assert {path.suffix for path in history} >= {".db", ".err"}
    leaks = {
        data[max(0, data.lower().find(CANARY.encode()) - 200) :][:400]
        for path in history
        for data in contents(path)
        if has_canary(data)
    }
    assert not leaks


def test_nothing_personal_is_in_the_datasets(played: Played) -> None:
    published = [
        path for path in outside(played) if "training_data" in path.parts and "store_pointer" not in path.parts
    ]
    assert {path.suffix for path in published} == {".json", ".npz", ".parquet"}
    assert not [path for path in published if any(map(has_canary, contents(path)))]


def test_nothing_personal_is_in_any_other_file_or_name(played: Played) -> None:
    pointer = ("store_pointer", "training_data", "ad_vs_hc", "current.json")  # the scene itself wrote it
    others = [path for path in outside(played) if path.relative_to(played.folder).parts != pointer]
    assert not [path for path in others if CANARY in str(path.relative_to(played.folder)).lower()]
    assert not [path for path in others if any(map(has_canary, contents(path)))]
