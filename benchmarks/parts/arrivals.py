"""Time from a session's arrival to the datasets, with `dagster dev` and a sensor on."""

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import quote_plus

from benchmarks.common import Bench, BenchmarkError, Figures, environment, note
from benchmarks.part import Part, Target, table
from novoic_assets.storage.files import Storage
from novoic_assets.synthetic.corpus import CorpusSettings, write_corpus
from novoic_assets.training import publish
from novoic_assets.training.cohorts import COHORTS
from novoic_assets_tests.dagster_dev import dagster_dev

_PATIENCE: Final = 300.0  # s to wait for a session
_LABELS: Final = {"folder": "folder, `new_data`", "kafka": "S3 and Kafka, `kafka`"}
_LONGEST_PAUSE: Final = 20.0  # s between two arrivals
_TOPIC: Final = "sessions"
_MOST: Final = 60.0  # s

Deliver = Callable[[list[Path]], None]
"""Delivers the files of a session to the place that the sensor lists."""


def _missing(_: Bench) -> str | None:
    return None if find_spec("confluent_kafka") else "confluent-kafka is not installed"


def _run(bench: Bench) -> Figures:
    arrivals, before, minutes = (1, 20, 0.1) if bench.short else (5, 60, 0.5)
    figures: Figures = {"arrivals": arrivals, "sessions": before}
    for kind, place in (("folder", _folder), ("kafka", _kafka)):
        with bench.scratch("arrivals") as folder:
            raw, sessions = _corpus(folder, before, arrivals, minutes)
            note(f"arrivals: {kind}")
            with place(folder, raw) as (settings, store, deliver):
                longest_pause = 0.0 if bench.short else _LONGEST_PAUSE
                figures[kind] = _measure(folder / "dagster", settings, store, deliver, before, sessions, longest_pause)
    return figures


def _corpus(folder: Path, before: int, arrivals: int, minutes: float) -> tuple[Path, list[list[Path]]]:
    """Return a raw folder, and the files of the sessions that will arrive in it."""
    raw, coming = folder / "raw", folder / "coming"
    settings = CorpusSettings(sessions=before + arrivals, minutes=minutes)
    write_corpus(raw, settings)
    sessions = []
    for transcript in sorted((raw / "text").iterdir())[-arrivals:]:
        files = [transcript, raw / "audio" / f"{transcript.stem}.wav"]
        moved = [coming / file.relative_to(raw) for file in files]
        for file, target in zip(files, moved, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
        sessions.append(moved)
    return raw, sessions


@contextmanager
def _folder(folder: Path, raw: Path) -> Iterator[tuple[Mapping[str, str], Storage, Deliver]]:
    """Settings, store and delivery for a folder and the sensor that lists it."""
    store = folder / "store"

    def deliver(files: list[Path]) -> None:
        for file in files:
            shutil.copyfile(file, raw / file.parent.name / file.name)

    settings = {"NOVOIC_RAW": str(raw), "NOVOIC_STORE": str(store), "NOVOIC_AUTOMATION": "new_data"}
    yield settings, Storage(str(store), "NOVOIC_STORE"), deliver


@contextmanager
def _kafka(folder: Path, raw: Path) -> Iterator[tuple[Mapping[str, str], Storage, Deliver]]:
    """Settings, store and delivery for a bucket that notifies a topic, and the sensor that reads the topic."""
    from confluent_kafka import Producer

    from novoic_assets_tests.broker import broker
    from novoic_assets_tests.weed import seaweedfs

    with ExitStack() as stack:
        server = stack.enter_context(seaweedfs(folder / "seaweedfs"))
        kafka = stack.enter_context(broker(folder / "broker"))
        server.make_bucket("lab")
        kafka.create_topic(_TOPIC, 2)
        producer = Producer({"bootstrap.servers": kafka.address})
        stack.enter_context(environment(server.environment))
        bucket = Storage("s3://lab/raw", "NOVOIC_RAW")
        for file in raw.rglob("*"):
            if file.is_file():
                bucket.write(file.relative_to(raw).as_posix(), file.read_bytes())

        def deliver(files: list[Path]) -> None:
            for file in files:
                key = f"{file.parent.name}/{file.name}"
                bucket.write(key, file.read_bytes())
                producer.produce(_TOPIC, _notification("lab", f"raw/{key}"))
            producer.flush()

        settings = {
            **server.environment,
            "NOVOIC_RAW": "s3://lab/raw",
            "NOVOIC_STORE": "s3://lab/store",
            "NOVOIC_AUTOMATION": "kafka",
            "NOVOIC_KAFKA_SERVERS": kafka.address,
            "NOVOIC_KAFKA_TOPIC": _TOPIC,
        }
        yield settings, Storage("s3://lab/store", "NOVOIC_STORE"), deliver


def _notification(bucket: str, key: str) -> bytes:
    """Return the message of a bucket about a new object."""
    entity = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}}
    return json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": entity}]}).encode()


def _measure(
    folder: Path,
    settings: Mapping[str, str],
    store: Storage,
    deliver: Deliver,
    before: int,
    sessions: list[list[Path]],
    longest_pause: float,
) -> Figures:
    seconds = []
    pauses = random.Random(0)  # noqa: S311 - no secret
    with dagster_dev(folder, settings):
        _wait_for(store, before)
        for number, files in enumerate(sessions, 1):
            time.sleep(pauses.uniform(0.0, longest_pause))  # so that arrivals do not follow the ticks
            start = time.perf_counter()
            deliver(files)
            _wait_for(store, before + number)
            seconds.append(round(time.perf_counter() - start, 1))
            note(f"arrivals: {seconds[-1]} s")
    return {"seconds": seconds, "median_s": median(seconds), "longest_s": max(seconds)}


def _wait_for(store: Storage, sessions: int) -> None:
    """Wait until the flow of each dataset begins with this number of sessions."""
    end = time.monotonic() + _PATIENCE
    while True:
        found = [publish.current(store, cohort.name) for cohort in COHORTS] if store.has_folder(".") else [None]
        if all(content is not None and content["flow"]["in"] == sessions for content in found):
            return
        if time.monotonic() > end:
            raise BenchmarkError(f"a session did not reach all datasets within {_PATIENCE:.0f} s")
        time.sleep(0.2)


def _markdown(figures: Figures) -> str:
    rows = [
        (
            label,
            ", ".join(f"{seconds:.0f}" for seconds in figures[kind]["seconds"]),
            f"{figures[kind]['median_s']:.0f} s",
            f"{figures[kind]['longest_s']:.0f} s",
        )
        for kind, label in _LABELS.items()
    ]
    return (
        f"`dagster dev` with a sensor on, default settings, {figures['sessions']} sessions: seconds from the last byte"
        f" of each of {figures['arrivals']} more sessions, one after the other, until it is in all three datasets.\n\n"
        + table(("", "seconds", "median", "longest"), rows)
    )


def _longest(kind: str) -> Callable[[Figures], float]:
    return lambda figures: float(figures[kind]["longest_s"])


PART: Final = Part(
    "arrivals",
    "Arrivals",
    _run,
    _markdown,
    (
        Target("a session's way from the folder to the datasets, longest", _MOST, _longest("folder"), "s"),
        Target("the same from S3, through Kafka, longest", _MOST, _longest("kafka"), "s"),
    ),
    missing=_missing,
)
