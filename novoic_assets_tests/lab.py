"""A lab for tests: a raw folder to fill with sessions, a store, and runs of the real job."""

import io
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import soundfile

from novoic_assets.definitions import MATERIALIZE_ALL, defs
from novoic_assets.storage.files import Storage
from novoic_assets.storage.store_tables import StoreTables
from novoic_assets.synthetic.corpus import CorpusSettings, write_corpus
from novoic_assets.training import publish

Content = Mapping[str, object]

HEADER = "speakerid,age,gender,mmse,ad_status,set"


def transcript_xml(
    session: str,
    segments: list[tuple[float, float, list[tuple[str, str]]]],
    patient: str,
) -> str:
    """Write the XML of a transcript; each segment is (start, end, [(speakerid, word), …]), in seconds."""
    body = "".join(
        f'<segment segmentid="{session}_{index}" tstart="{start}" tend="{end}">'
        + "".join(f'<w speakerid="{speaker}">{word}</w>' for speaker, word in words)
        + "</segment>"
        for index, (start, end, words) in enumerate(segments)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        f"<root><metadata><sessionid>{session}</sessionid><speakerids>{patient},_inv</speakerids></metadata>"
        f"<transcript>{body}</transcript></root>"
    )


def wav(seconds: float = 2.0, rate: int = 16_000, seed: int = 0) -> bytes:
    """Make a WAV file of noise.

    Args:
        seconds: Duration.
        rate: Sample rate in Hz.
        seed: Seed of the noise.
    """
    samples = np.random.default_rng(seed).normal(0, 0.05, int(seconds * rate))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def silence(path: Path, hours: float, rate: int = 16_000, bits: int = 16, start: bytes = b"") -> None:
    """Write a mono WAV file of zeros as a sparse file, which takes almost no room on the disk.

    Args:
        path: The file.
        hours: Duration.
        rate: Sample rate in Hz.
        bits: Bits of a sample.
        start: Samples, in the same encoding, at the start of the file instead of zeros.
    """
    size = bits // 8 * int(3600 * hours * rate)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, bits // 8 * rate, bits // 8, bits)
    header = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)
    path.write_bytes(header + start)
    os.truncate(path, len(header) + size)


@dataclass
class Run:
    """The outcome of a run, by asset."""

    result: dg.ExecuteInProcessResult
    success: bool = field(init=False)

    def __post_init__(self) -> None:
        self.success = self.result.success

    def metadata(self, asset: str) -> dict[str, object]:
        (event,) = self.result.asset_materializations_for_node(asset)
        return {key: entry.value for key, entry in event.metadata.items()}

    def computed(self, asset: str) -> tuple[int, int, int]:
        """Numbers of new, changed and removed sessions."""
        metadata = self.metadata(asset)
        return metadata["new"], metadata["changed"], metadata["removed"]  # type: ignore[return-value]

    def failures(self) -> dict[str, str]:
        return {
            event.step_key: event.step_failure_data.user_failure_data.description
            for event in self.result.all_events
            if event.is_step_failure
        }

    def failed_checks(self) -> dict[tuple[str, str], str]:
        return {
            (check.asset_key.to_user_string(), check.check_name): check.description
            for check in self.result.get_asset_check_evaluations()
            if not check.passed
        }

    def data_version(self, asset: str) -> str:
        (event,) = self.result.asset_materializations_for_node(asset)
        return event.tags["dagster/data_version"]


@dataclass
class Lab:
    """A raw folder and a store below one folder."""

    folder: Path
    raw: Path = field(init=False)
    store: Path = field(init=False)

    def __post_init__(self) -> None:
        self.raw, self.store = self.folder / "raw", self.folder / "store"
        for name in ("text", "audio"):
            (self.raw / name).mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, str] = {}

    @property
    def raw_root(self) -> str:
        """The value of NOVOIC_RAW for this lab."""
        return str(self.raw)

    @property
    def store_root(self) -> str:
        """The value of NOVOIC_STORE for this lab."""
        return str(self.store)

    @property
    def tables(self) -> StoreTables:
        return StoreTables(Storage(self.store_root, "NOVOIC_STORE"))

    def add_patient(
        self, patient: str, age: object = 60, mmse: object = 28, ad_status: object = 0, split: str = "train"
    ) -> None:
        self.rows[patient] = f"{patient},{age},female,{mmse},{ad_status},{split}"
        self.write_metadata()

    def write_metadata(self) -> None:
        (self.raw / "metadata.csv").write_text("\n".join([HEADER, *self.rows.values()]) + "\n")

    def add_session(self, session: str, patient: str, words: str = "the boy takes a cookie .", seed: int = 0) -> None:
        """Add a session: the investigator speaks for 0.5 s, then the patient for 1.2 s."""
        spoken = [(patient, word) for word in words.split()]
        segments = [(0.0, 0.5, [("_inv", "well"), ("_inv", "?")]), (0.6, 1.8, spoken)]
        (self.raw / "text" / f"{session}.xml").write_text(transcript_xml(session, segments, patient))
        (self.raw / "audio" / f"{session}.wav").write_bytes(wav(seed=seed))

    def fill(self, patients: int = 8) -> None:
        """Add patients P0, P1, … with a session S0, S1, … each: cases and controls in both splits, half below 60."""
        for index in range(patients):
            case = index % 2
            self.add_patient(
                f"P{index}",
                age=55 + 10 * (index // 4 % 2),
                mmse=27 if case else 29,
                ad_status=case,
                split="test" if index // 2 % 2 else "train",
            )
            self.add_session(f"S{index}", f"P{index}", words=f"the boy number {index} is falling .", seed=index)

    def touch(self, path: str) -> None:
        """Advance a file's time of change, as saving it again does."""
        stat = (self.raw / path).stat()
        os.utime(self.raw / path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 2_000_000_000))

    def run(
        self,
        *,
        raw: Path | str | None = None,
        select: list[str] | None = None,
        instance: dg.DagsterInstance | None = None,
        confirm_removal: bool = False,
        resources: dict[str, object] | None = None,
    ) -> Run:
        raw_assets = ["raw_metadata", "raw_transcripts", "raw_audio"]
        config = {
            "resources": {
                "raw": {"config": {"root": str(raw or self.raw_root)}},
                "store": {"config": {"root": self.store_root}},
                **(resources or {}),
            },
            "ops": {
                name: {"config": {"confirm_removal": confirm_removal}}
                for name in raw_assets
                if select is None or name in select
            },
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }
        job = defs.resolve_job_def(MATERIALIZE_ALL)
        result = job.execute_in_process(
            run_config=config,
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in select] if select else None,
            raise_on_error=False,
        )
        return Run(result)

    def current(self, dataset: str) -> dict[str, object] | None:
        return publish.current(self.tables.storage, dataset)

    def versions(self) -> dict[str, object]:
        found = {name: self.current(name) for name in ("ad_vs_hc", "ad_mci_vs_hc", "ad_vs_hc_under_60")}
        return {name: pointer and pointer["version"] for name, pointer in found.items()}

    def all_rows(self) -> dict[str, list[dict[str, object]]]:
        """Read all tables, to compare stores. NaNs are replaced by text, so that they compare equal."""
        tables = self.tables
        return {
            table.name: _comparable(table.snapshot().select().to_pylist())
            for table in (tables.patients, tables.transcripts, tables.text_features, tables.audio_features)
        }

    def content(self) -> Content:
        """Read all rows, as text, and the current versions."""
        rows = {table: [repr(row) for row in rows] for table, rows in self.all_rows().items()}
        return rows | {"versions": self.versions()}


def materialize_sample(folder: Path, settings: CorpusSettings) -> Path:
    """Make a sample corpus below a folder, materialize everything, and return the store."""
    lab = Lab(folder)
    write_corpus(folder / "corpus", settings)
    assert lab.run(raw=folder / "corpus").success
    return lab.store


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


@dataclass
class BucketLab(Lab):
    """A lab whose raw data and store are in a bucket. Sessions are made in its raw folder and uploaded from there.

    Attributes:
        url: The lab's place, `s3://bucket/prefix`.
    """

    url: str

    @property
    def raw_root(self) -> str:
        return f"{self.url}/raw"

    @property
    def store_root(self) -> str:
        return f"{self.url}/store"

    def upload(self, folder: Path | None = None) -> None:
        """Make the raw data in the bucket equal to a folder, by default the raw folder."""
        folder = folder or self.raw
        bucket = Storage(self.raw_root, "NOVOIC_RAW")
        here = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        there = set()
        if bucket.has_folder("."):
            there = {info.path for name in ("text", "audio") if bucket.has_folder(name) for info in bucket.list(name)}
        for path in there - here.keys():
            bucket.delete(path)
        for path, file in here.items():
            data = file.read_bytes()
            if bucket.stat(path) is None or bucket.read(path) != data:
                bucket.write(path, data)
