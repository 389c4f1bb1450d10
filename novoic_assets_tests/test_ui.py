"""What a user of Dagster's UI sees: runs, graph, checks and pictures, through its API and in a browser."""

import base64
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread
from websockets.sync import client

from novoic_assets.training.cohorts import COHORTS
from novoic_assets.training.findings import ERROR_CHECKS, WARNING_CHECKS
from novoic_assets_tests.conftest import KEY
from novoic_assets_tests.dagster_dev import dagster_dev, settings_free
from novoic_assets_tests.needs import program

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[1]
JOB = "materialize_all"
PATIENCE = 120.0  # s until a test gives up waiting
DATASETS = [cohort.name for cohort in COHORTS]
STAGES = {
    "raw_metadata": set(),
    "raw_transcripts": set(),
    "raw_audio": set(),
    "parsed_transcripts": {"raw_transcripts"},
    "text_features": {"parsed_transcripts"},
    "audio_features": {"parsed_transcripts", "raw_audio"},
}
GRAPH = {
    **STAGES,
    "quarantine": set(STAGES) - {"raw_transcripts", "raw_audio"},
    **{name: {"raw_metadata", "text_features", "audio_features"} for name in DATASETS},
}
CHECKS = {
    "raw_metadata": {"patients_unique", "controls_unimpaired"},
    "parsed_transcripts": {"reconciled", "patient_speech"},
    "text_features": {"reconciled", "lengths", "finite"},
    "audio_features": {"reconciled", "lengths", "finite", "audible", "within_recording", "full_scale"},
    **{name: {*ERROR_CHECKS, *WARNING_CHECKS} for name in DATASETS},
}
ASSETS = """
{ assetNodes {
    assetKey { path } staleStatus dependencyKeys { path }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } }
    assetMaterializations(limit: 1) {
      runId metadataEntries { label ... on MarkdownMetadataEntry { mdStr } }
} } }
"""
LAUNCH = """
mutation ($execution: ExecutionParams!) { launchRun(executionParams: $execution) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PythonError { message }
} }
"""
Answer = dict[str, Any]


def wait_for(get: Callable[[], Any], what: str) -> Any:
    """Call `get` until its answer is truthy, and return the answer."""
    end = time.monotonic() + PATIENCE
    while not (answer := get()):
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.2)
    return answer


@contextmanager
def background(command: list[object], folder: Path, env: dict[str, str], log: Path) -> Iterator[None]:
    """Run a command in a new process group while the context lasts; its end kills the group."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass
class Dagster:
    """A running `dagster dev` over a small corpus that `novoic materialize` has processed."""

    folder: Path
    url: str
    first_run: str = field(init=False)

    def ask(self, query: str, **variables: object) -> Answer:
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def is_up(self) -> bool:
        try:
            return bool(self.ask(ASSETS)["assetNodes"])
        except OSError:
            return False

    def runs(self) -> list[Answer]:
        return self.ask("{ runsOrError { ... on Runs { results { runId status jobName } } } }")["runsOrError"][
            "results"
        ]

    def assets(self) -> dict[str, Answer]:
        return {node["assetKey"]["path"][0]: node for node in self.ask(ASSETS)["assetNodes"]}

    def stale(self) -> set[str]:
        return {name for name, node in self.assets().items() if node["staleStatus"] != "FRESH"}

    def materialize(self, *assets: str) -> str:
        """Launch a run of some or all assets as the UI does, wait until it succeeds and return its id."""
        selector = {
            "repositoryLocationName": "novoic_assets",
            "repositoryName": "__repository__",
            "jobName": JOB,
            **({"assetSelection": [{"path": [asset]} for asset in assets]} if assets else {}),
        }
        launched = self.ask(LAUNCH, execution={"selector": selector, "mode": "default"})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run = launched["run"]["runId"]

        def end() -> str | None:
            status = next(row["status"] for row in self.runs() if row["runId"] == run)
            return status if status in {"SUCCESS", "FAILURE", "CANCELED"} else None

        assert wait_for(end, "the run's end") == "SUCCESS"
        return run


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagster]:
    folder = tmp_path_factory.mktemp("ui")
    shutil.copy(REPOSITORY / "dagster.yaml", folder)
    env = {"NOVOIC_RAW": "data", "NOVOIC_STORE": "store", "NOVOIC_PSEUDONYM_KEY": KEY}
    novoic = Path(sys.executable).with_name("novoic")
    for arguments in (["synth", "data", "--sessions", "40", "--minutes", "0.1"], ["materialize"]):
        subprocess.run(
            [novoic, *arguments], cwd=folder, env=settings_free(os.environ) | env, check=True, capture_output=True
        )
    with dagster_dev(folder, env) as address:
        server = Dagster(folder, address)
        wait_for(server.is_up, "the loading of the definitions")
        server.first_run = server.runs()[-1]["runId"]
        yield server


def test_a_run_from_the_terminal_is_in_the_ui(dagster: Dagster) -> None:
    first = dagster.runs()[-1]
    assert (first["status"], first["jobName"]) == ("SUCCESS", JOB)


def test_a_run_from_the_ui_materialises_all_assets_and_leaves_none_stale(dagster: Dagster) -> None:
    run = dagster.materialize()
    assets = dagster.assets()
    assert {name: node["assetMaterializations"][0]["runId"] for name, node in assets.items()} == dict.fromkeys(
        GRAPH, run
    )
    assert not dagster.stale()


def test_the_graph_has_all_assets_and_what_they_depend_on(dagster: Dagster) -> None:
    found = {name: {key["path"][0] for key in node["dependencyKeys"]} for name, node in dagster.assets().items()}
    assert found == GRAPH


def test_every_check_is_there_and_was_run(dagster: Dagster) -> None:
    checks = {name: node["assetChecksOrError"].get("checks", []) for name, node in dagster.assets().items()}
    assert {name: {check["name"] for check in found} for name, found in checks.items() if found} == CHECKS
    statuses = [check["executionForLatestMaterialization"]["status"] for found in checks.values() for check in found]
    assert set(statuses) == {"SUCCEEDED"}


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_has_a_picture(dagster: Dagster, name: str) -> None:
    (materialization,) = dagster.assets()[name]["assetMaterializations"]
    entries = {entry["label"]: entry.get("mdStr") for entry in materialization["metadataEntries"]}
    (png,) = re.fullmatch(r"!\[[^\]]+\]\(data:image/png;base64,([^)]+)\)", entries["picture"]).groups()
    picture = imread(io.BytesIO(base64.b64decode(png, validate=True)), format="png")
    assert min(picture.shape[:2]) > 100
    assert picture.std() > 0


def test_transcripts_are_stale_only_when_the_listing_changed(dagster: Dagster) -> None:
    dagster.materialize("raw_transcripts")
    assert not dagster.stale()
    transcript = min((dagster.folder / "data" / "text").iterdir())
    transcript.touch()
    dagster.materialize("raw_transcripts")
    assert dagster.stale() == {name for name, upstream in GRAPH.items() if "raw_transcripts" in upstream}


class Browser:
    """A page of a headless Chromium, controlled through its DevTools protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._calls = 0

    def call(self, method: str, **parameters: object) -> Answer:
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == self._calls:
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def click(self, text: str) -> None:
        """Wait for the element with exactly this text, and click on it."""
        find = f"[...document.querySelectorAll('*')].find(e => !e.children.length && e.textContent === {text!r})"
        wait_for(lambda: self.evaluate(f"(e => e && (e.click(), true))({find})"), f"a click on {text}")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    chromium = str(program("chromium"))
    profile = tmp_path / "profile"
    switches = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"]
    switches += ["disable-background-networking", "disable-component-update", "disable-sync"]
    switches += [f"user-data-dir={profile}", "remote-debugging-port=0", "window-size=1500,1000"]
    command = [chromium, *(f"--{switch}" for switch in switches), "about:blank"]
    with background(command, tmp_path, dict(os.environ), tmp_path / "chromium.log"):
        told = profile / "DevToolsActivePort"
        port = wait_for(lambda: told.exists() and told.read_text().split("\n")[0], "the start of Chromium")

        def page() -> str | None:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as response:
                targets = json.load(response)
            return next((target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page"), None)

        with client.connect(wait_for(page, "a page"), max_size=None) as connection:
            yield Browser(connection)


def test_a_dataset_shows_its_picture_in_a_browser(dagster: Dagster, browser: Browser, tmp_path: Path) -> None:
    browser.call("Page.navigate", url=f"{dagster.url}/assets/ad_vs_hc")
    browser.click("[Show Markdown]")
    drawn = "[...document.images].some(i => i.src.startsWith('data:image/png') && i.naturalWidth > 100)"
    wait_for(lambda: browser.evaluate(drawn), "the picture")
    browser.screenshot(tmp_path / "dataset.png")


def test_a_browser_shows_the_graph(dagster: Dagster, browser: Browser, tmp_path: Path) -> None:
    # A window large enough for the whole graph: the UI does not draw what is out of view.
    browser.call("Emulation.setDeviceMetricsOverride", width=3400, height=3000, deviceScaleFactor=1, mobile=False)
    group = "document.querySelector('[class*=collapsedGroupNodeContainer]')"
    expanded = f"(g => g ? (g.click(), false) : document.body.innerText.includes('parsed_transcripts'))({group})"
    browser.call("Page.navigate", url=f"{dagster.url}/asset-groups/")
    wait_for(lambda: browser.evaluate(expanded), "the graph with its groups expanded")
    browser.call("Page.reload")  # keeps the groups expanded, and brings the whole graph into view
    drawn = (
        f"{json.dumps(list(GRAPH))}.every(name => document.body.innerText.includes(name))"
        " && !document.body.innerText.includes('Loading')"
    )
    wait_for(lambda: browser.evaluate(drawn), "the graph")
    browser.screenshot(tmp_path / "graph.png")
