"""From a session's arrival to the datasets with `dagster dev` running: nobody presses a button."""

import itertools
import json
import random
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from novoic_assets_tests.broker import broker
from novoic_assets_tests.conftest import KEY
from novoic_assets_tests.dagster_dev import dagster_dev
from novoic_assets_tests.lab import BucketLab, Lab
from novoic_assets_tests.weed import SeaweedFS

pytestmark = pytest.mark.slow

PATIENCE = 180.0  # s that a test waits for an expected event
DATASETS = ("ad_vs_hc", "ad_mci_vs_hc", "ad_vs_hc_under_60")
SESSIONS = 8
QUICK = {"NOVOIC_SENSOR_SECONDS": "2", "NOVOIC_SETTLE_SECONDS": "2"}


def settings(lab: Lab, **more: str) -> dict[str, str]:
    return {"NOVOIC_RAW": lab.raw_root, "NOVOIC_STORE": lab.store_root, "NOVOIC_PSEUDONYM_KEY": KEY, **QUICK, **more}


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.2)


def sessions_in(lab: Lab) -> set[int]:
    """Return the number of sessions at the start of each dataset's flow."""
    if not lab.tables.storage.has_folder("."):
        return set()
    pointers = [lab.current(name) for name in DATASETS]
    return {pointer["flow"]["in"] if pointer else 0 for pointer in pointers}


def runs(address: str) -> list[str]:
    """Return the status of each run."""
    query = json.dumps({"query": "{ runsOrError { ... on Runs { results { status } } } }"}).encode()
    request = urllib.request.Request(f"{address}/graphql", query, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return [run["status"] for run in json.load(answer)["data"]["runsOrError"]["results"]]


def wait_for_rest(address: str) -> None:
    """Wait until all runs have ended, and then for some ticks."""
    wait_until(lambda: set(runs(address)) == {"SUCCESS"}, "the end of all runs")
    time.sleep(10.0)


def test_a_session_that_arrives_in_a_folder_is_in_the_datasets_soon(lab: Lab) -> None:
    lab.fill(SESSIONS)
    home = lab.folder / "dagster"
    with dagster_dev(home, settings(lab, NOVOIC_AUTOMATION="new_data")) as address:
        wait_until(lambda: sessions_in(lab) == {SESSIONS}, "the first run")
        lab.add_session("S-of-somebody", "P0")
        wait_until(lambda: sessions_in(lab) == {SESSIONS + 1}, "the run for the new session")
        wait_for_rest(address)
        assert len(runs(address)) <= 3  # the second may have begun before the recording was there
    assert "S-of-somebody" not in (home / "dagster.log").read_text()


def notification(key: str, bucket: str = "lab") -> bytes:
    entity = {"bucket": {"name": bucket}, "object": {"key": key}}
    return json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": entity}]}).encode()


def test_a_burst_of_events_brings_every_session_once_in_few_runs(
    bucket_lab: BucketLab, s3_server: SeaweedFS, tmp_path: Path
) -> None:
    lab, new = bucket_lab, 25
    lab.fill(SESSIONS)
    lab.upload()
    prefix = lab.raw_root.removeprefix("s3://lab/")
    keys = [
        f"{prefix}/{folder}/N{number}{end}"
        for number in range(new)
        for folder, end in (("text", ".xml"), ("audio", ".wav"))
    ]
    events = [notification(key) for key in itertools.islice(itertools.cycle(keys), 940)]
    events += [b"", b"{", b'{"session": 7}', b"\xff\xfe", notification("a/b.wav", "another")] * 12
    random.Random(0).shuffle(events)
    with broker(tmp_path / "broker", storage=s3_server) as kafka:
        kafka.create_topic("sessions", 2)
        automation = {
            "NOVOIC_AUTOMATION": "kafka",
            "NOVOIC_KAFKA_SERVERS": kafka.address,
            "NOVOIC_KAFKA_TOPIC": "sessions",
        }
        with dagster_dev(lab.folder / "dagster", settings(lab, **automation, **s3_server.environment)) as address:
            wait_until(lambda: sessions_in(lab) == {SESSIONS}, "the first run")
            for number in range(new):
                lab.add_session(f"N{number}", f"P{number % SESSIONS}", seed=number)
            lab.upload()
            kafka.publish("sessions", events[:500], partition=0)
            kafka.stop()
            time.sleep(3.0)
            kafka.start()
            kafka.publish("sessions", events[500:], partition=1)
            wait_until(lambda: sessions_in(lab) == {SESSIONS + new}, "the run for the new sessions")
            wait_for_rest(address)
            assert len(runs(address)) <= 5
    for rows in (lab.all_rows()[name] for name in ("transcripts", "text_features", "audio_features")):
        assert len(rows) == SESSIONS + new
        assert {row["reason"] for row in rows} == {"ok"}
        assert len({row["session"] for row in rows}) == len(rows)
