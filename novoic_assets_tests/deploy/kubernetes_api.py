"""A stand-in for a cluster's API server: it keeps the Jobs that clients make, and the test decides what they become."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_JOBS = re.compile(r"/apis/batch/v1/namespaces/(?P<namespace>[^/]+)/jobs(/(?P<name>[^/]+)(/status)?)?")
_PODS = re.compile(r"/api/v1/namespaces/[^/]+/pods")


@dataclass
class Cluster:
    """The requests that the server got.

    Attributes:
        address: Where it listens.
        jobs: The existing Jobs, by name.
        made: All Jobs that were ever made, in order, each with its namespace filled in.
        refused: Unknown requests: method and path.
    """

    address: str = ""
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def vanish(self, name: str) -> None:
        """Lose a Job and its pod, as if its node failed or somebody deleted it."""
        del self.jobs[name]

    def kubeconfig(self, folder: Path) -> Path:
        """Write the file by which a client finds the server."""
        path = folder / "kubeconfig"
        name = "stand-in"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": name,
                    "clusters": [{"name": name, "cluster": {"server": self.address}}],
                    "users": [{"name": name, "user": {}}],
                    "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
                }
            )
        )
        return path


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = _JOBS.fullmatch(urlsplit(self.path).path)
        if found is None or found["name"] is not None:
            self._refuse()
            return
        name = job["metadata"]["name"]
        if name in self.cluster.jobs:
            self._answer(409, {"kind": "Status", "reason": "AlreadyExists", "code": 409})
            return
        job["metadata"]["namespace"] = found["namespace"]
        self.cluster.jobs[name] = job
        self.cluster.made.append(job)
        self._answer(201, job | {"status": {}})

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        found = _JOBS.fullmatch(path)
        if found is not None and found["name"] in self.cluster.jobs:
            self._answer(200, self.cluster.jobs[found["name"]] | {"status": {"active": 1}})
        elif found is not None and found["name"] is not None:
            self._answer(404, {"kind": "Status", "reason": "NotFound", "code": 404})
        elif _PODS.fullmatch(path):
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []})
        else:
            self._refuse()

    def _refuse(self) -> None:
        self.cluster.refused.append(f"{self.command} {self.path}")
        self._answer(403, {"kind": "Status", "reason": "Forbidden", "code": 403})

    def _answer(self, code: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Print nothing: tests read the recorded requests."""


@contextmanager
def kubernetes_api() -> Iterator[Cluster]:
    """Serve on loopback."""
    cluster = Cluster()
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        cluster.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()
