"""A stand-in for Kubernetes: an API server for pods that enforces a Role, and a kubelet beside it.

It answers over TLS, demands the token of a service account, allows what a Role allows, and records every request. The
kubelet is a callback that starts a pod; the pod ends when a client deletes it.
"""

import base64
import hashlib
import json
import ssl
import struct
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme

Pod = dict[str, Any]
Rules = Sequence[Mapping[str, Sequence[str]]]

_WATCH_SECONDS = 0.1  # between two checks for news to send to a watcher
_WEB_SOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455


@dataclass(frozen=True)
class Request:
    """A request of a client.

    Attributes:
        verb: As in Roles: get, list, watch, create, update, patch, delete, deletecollection.
        resource: As in Roles, such as `pods` or `pods/log`.
        namespace: The namespace; empty if the request names none.
        name: The name of the requested object; empty for a collection.
        allowed: Whether the Role allows it.
        body: What was sent.
    """

    verb: str
    resource: str
    namespace: str
    name: str
    allowed: bool
    body: Any = None


@dataclass
class PodsApi:
    """The state of the stand-in.

    Attributes:
        rules: The rules of the Role of its one user.
        token: The token of the user.
        namespace: The one namespace.
        start: Starts a pod, and returns a function that ends it.
        pods: The existing pods, by name.
        made: All pods that were ever made, by name, as clients sent them.
        requests: All requests.
    """

    rules: Rules
    token: str
    namespace: str
    start: Callable[[Pod], Callable[[], None]]
    pods: dict[str, Pod] = field(default_factory=dict)
    made: dict[str, Pod] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    authority: Path = Path()
    _events: list[dict[str, Any]] = field(default_factory=list)
    _ends: dict[str, Callable[[], None]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _closed: bool = False

    def allows(self, verb: str, resource: str) -> bool:
        return any(
            "" in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"] for rule in self.rules
        )

    def add(self, pod: Pod) -> Pod:
        """Add a pod without a client's request."""
        with self._lock:
            metadata = pod["metadata"]
            metadata.setdefault("namespace", self.namespace)
            metadata["uid"] = str(uuid.uuid4())
            pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            self.pods[metadata["name"]] = pod
            self._changed("ADDED", pod)
            return pod

    def create(self, pod: Pod) -> Pod:
        with self._lock:
            name = pod["metadata"]["name"]
            self.made[name] = json.loads(json.dumps(pod))
            added = self.add(pod)
            self._ends[name] = self.start(pod)
            return added

    def fail(self, name: str) -> None:
        """End a pod's container as out of memory."""
        with self._lock:
            pod = self.pods[name]
            state = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
            (container,) = pod["spec"]["containers"]
            pod["status"] = {"phase": "Failed", "containerStatuses": [{"name": container["name"], "state": state}]}
            self._changed("MODIFIED", pod)

    def delete(self, name: str) -> Pod:
        with self._lock:
            pod = self.pods.pop(name)
            self._changed("DELETED", pod)
            end = self._ends.pop(name, None)
        if end is not None:
            end()
        return pod

    def selected(self, query: Mapping[str, Sequence[str]]) -> list[Pod]:
        with self._lock:
            return [pod for pod in self.pods.values() if _is_selected(pod, query)]

    def events(self, query: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
        """Yield the events of pods from a version on, until the stand-in closes."""
        seen = int(query.get("resourceVersion", ["0"])[0] or 0)
        pause = threading.Event()
        while not self._closed:
            with self._lock:
                news = self._events[seen:]
                seen = len(self._events)
            yield from (event for event in news if _is_selected(event["object"], query))
            pause.wait(_WATCH_SECONDS)

    @property
    def version(self) -> str:
        return str(len(self._events))

    def close(self) -> None:
        self._closed = True
        for name in list(self.pods):
            self.delete(name)

    def _changed(self, kind: str, pod: Pod) -> None:
        pod["metadata"]["resourceVersion"] = str(len(self._events) + 1)
        self._events.append({"type": kind, "object": json.loads(json.dumps(pod))})


@contextmanager
def pods_api(
    folder: Path, rules: Rules, namespace: str, start: Callable[[Pod], Callable[[], None]]
) -> Iterator[PodsApi]:
    """Start a stand-in.

    Args:
        folder: For its certificate.
        rules: The rights of its one user.
        namespace: The one namespace.
        start: Starts a pod, and returns a function that ends it.
    """
    api = PodsApi(rules=rules, token=str(uuid.uuid4()), namespace=namespace, start=start)
    authority = trustme.CA()
    api.authority = folder / "ca.crt"
    authority.cert_pem.write_to_path(api.authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)

    class Handler(_Handler):
        state = api

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        api.url = f"https://localhost:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield api
        finally:
            api.close()
            server.shutdown()
            thread.join()


def _is_selected(pod: Pod, query: Mapping[str, Sequence[str]]) -> bool:
    labels = pod["metadata"].get("labels", {})
    for term in ",".join(query.get("labelSelector", [])).split(","):
        if "!=" in term:
            name, _, value = term.partition("!=")
            if labels.get(name) == value:
                return False
        elif term:
            name, _, value = term.partition("=")
            if labels.get(name) != value.lstrip("="):
                return False
    for term in ",".join(query.get("fieldSelector", [])).split(","):
        if term and term != f"metadata.name={pod['metadata']['name']}":
            return False
    return True


class _Handler(BaseHTTPRequestHandler):
    state: PodsApi
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if self.headers.get("Authorization") != f"Bearer {self.state.token}":
            self._refuse(HTTPStatus.UNAUTHORIZED)
            return
        # /api/v1/namespaces/NAMESPACE/RESOURCE[/NAME[/SUBRESOURCE]]
        _, _, _, kind, namespace, *rest = (address.path.split("/") + [""] * 3)[:8]
        resource, name, subresource = (*rest, "", "", "")[:3]
        if kind != "namespaces":
            resource, name, namespace = kind, namespace, ""
        verb = _verb(method, name, query)
        what = f"{resource}/{subresource}" if subresource else resource
        allowed = self.state.allows(verb, what) and namespace == self.state.namespace
        self.state.requests.append(Request(verb, what, namespace, name, allowed, body))
        if not allowed:
            self._refuse(HTTPStatus.FORBIDDEN)
        elif what != "pods" or (name and name not in self.state.pods):
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            self._do(verb, name, query, body)

    def _do(self, verb: str, name: str, query: Mapping[str, Sequence[str]], body: Any) -> None:
        if verb == "get":
            self._send(HTTPStatus.OK, self.state.pods[name])
        elif verb == "list":
            self._send(HTTPStatus.OK, _list(self.state.selected(query), self.state.version))
        elif verb == "watch":
            self._watch(query)
        elif verb == "create":
            self._send(HTTPStatus.CREATED, self.state.create(body))
        elif verb == "delete":
            self._send(HTTPStatus.OK, self.state.delete(name))
        elif verb == "deletecollection":
            gone = [self.state.delete(pod["metadata"]["name"]) for pod in self.state.selected(query)]
            self._send(HTTPStatus.OK, _list(gone, self.state.version))
        else:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)

    def _watch(self, query: Mapping[str, Sequence[str]]) -> None:
        """Send events as messages of a WebSocket (RFC 6455), which Spark's client requests."""
        self.close_connection = True
        if self.headers.get("Upgrade", "").lower() != "websocket":
            self._refuse(HTTPStatus.NOT_IMPLEMENTED)
            return
        digest = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + _WEB_SOCKET).encode()).digest()
        self.send_response(HTTPStatus.SWITCHING_PROTOCOLS)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        with suppress(OSError):  # the watcher has left
            for event in self.state.events(query):
                data = json.dumps(event).encode()
                self.wfile.write(struct.pack(">BBQ", 0x81, 127, len(data)) + data)

    def _refuse(self, status: HTTPStatus) -> None:
        answer = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": int(status),
            "message": status.phrase,
        }
        self._send(status, answer)

    def _send(self, status: HTTPStatus, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _verb(method: str, name: str, query: Mapping[str, Sequence[str]]) -> str:
    if method == "GET":
        if query.get("watch") == ["true"]:
            return "watch"
        return "get" if name else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}[method]


def _list(pods: list[Pod], version: str) -> dict[str, Any]:
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": pods}
