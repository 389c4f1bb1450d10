"""A lab with a Dagster history, and ticks of the real sensor over it, for the tests in this folder."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._utils.error import serializable_error_info_from_exc_info

from novoic_assets.definitions import MATERIALIZE_ALL, defs
from novoic_assets.resources.configured import ArrivalResource, RawDataResource, StoreResource
from novoic_assets_tests.lab import Lab, Run

CANARY = "zqcanary"  # in the name of every session and patient
SESSIONS = 8  # of a lab with nothing left to do
HOUR = 3600.0


@dataclass
class Automated:
    """A lab, a history, and the sensor over them, with its cursor."""

    lab: Lab
    instance: dg.DagsterInstance
    cursor: str | None = None

    def sensor(self) -> dg.SensorDefinition:
        """Return the sensor under test."""
        return defs.resolve_sensor_def("new_data")

    def resources(self) -> dict[str, Any]:
        """Return the resources of the sensor."""
        return {
            "raw": RawDataResource(root=self.lab.raw_root),
            "store": StoreResource(root=self.lab.store_root),
            "arrival": ArrivalResource(),
        }

    def tick(self) -> Any:
        """Evaluate the sensor, and check that its result contains nothing personal."""
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=self.resources()) as context:
            ticked = self.sensor().evaluate_tick(context)
        self.cursor = ticked.cursor
        content = [ticked.skip_message, ticked.cursor, *((r.run_config, r.tags) for r in ticked.run_requests)]
        assert CANARY not in str(content).lower()
        assert len(self.cursor or "") < 300
        return ticked

    def requests_run(self) -> bool:
        """Return whether a tick requests a run, without running it."""
        requests = self.tick().run_requests
        assert all(request.run_key is None for request in requests)
        return len(requests) == 1

    def skips(self) -> str:
        """Return why a tick requests no run."""
        ticked = self.tick()
        assert not ticked.run_requests
        return str(ticked.skip_message)

    def run(self) -> Run:
        """Run the request of a tick."""
        (request,) = self.tick().run_requests
        return self.execute(request)

    def execute(self, request: dg.RunRequest) -> Run:
        config = {
            **request.run_config,
            "resources": {
                "raw": {"config": {"root": self.lab.raw_root}},
                "store": {"config": {"root": self.lab.store_root}},
            },
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }
        result = defs.resolve_job_def(MATERIALIZE_ALL).execute_in_process(
            run_config=config, instance=self.instance, tags=request.tags, raise_on_error=False
        )
        return Run(result)

    def age(self, seconds: float = HOUR, path: str = ".") -> None:
        """Set the age of a file, or of all files below a folder, in seconds."""
        top = self.lab.raw / path
        for file in [top] if top.is_file() else [file for file in top.rglob("*") if file.is_file()]:
            os.utime(file, (time.time() - seconds,) * 2)

    def add(self, name: str, age: float = HOUR, halves: tuple[str, ...] = ("text", "audio")) -> None:
        """Add another session of a known patient."""
        session = f"{CANARY}{name}"
        self.lab.add_session(session, f"{CANARY}P1", seed=9)
        for half, extension in (("text", "xml"), ("audio", "wav")):
            path = f"{half}/{session}.{extension}"
            if half in halves:
                self.age(age, path)
            else:
                (self.lab.raw / path).unlink()

    def begin(self, status: str, job: str = MATERIALIZE_ALL, assets: tuple[str, ...] = ()) -> dg.DagsterRun:
        """Add a run to the history that keeps its status."""
        origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "repository"), job)
        return create_run_for_test(
            self.instance,
            job_name=job,
            status=dg.DagsterRunStatus[status],
            remote_job_origin=origin,
            asset_selection=frozenset(map(dg.AssetKey, assets)) or None,
        )

    def row(self, table: str, session: str) -> dict[str, Any] | None:
        rows = getattr(self.lab.tables, table).snapshot().select(["session", "reason", "fingerprint"]).to_pylist()
        return {row["session"]: row for row in rows}.get(f"{CANARY}{session}")


def history(folder: Path) -> dg.DagsterInstance:
    """Return a Dagster instance that keeps its history in a folder."""
    folder.mkdir(exist_ok=True)
    return dg.DagsterInstance.local_temp(str(folder))


def fails(automated: Automated) -> str:
    """Return everything that Dagster would store for a failing tick, and check that nothing in it is personal."""
    cursor, stored = automated.cursor, ""
    try:
        automated.tick()
    except dg.Failure:
        stored = serializable_error_info_from_exc_info(sys.exc_info()).to_string()
    assert automated.cursor == cursor
    assert CANARY not in stored.lower()
    assert str(automated.lab.folder) not in stored
    return stored
