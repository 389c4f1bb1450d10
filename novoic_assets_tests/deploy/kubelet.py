"""A stand-in for Kubernetes' kubelet: pods as processes on this machine's loopback, each with an address of its own."""

import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from novoic_assets_tests.deploy.manifests import named
from novoic_assets_tests.deploy.pods_api import Pod

# Each process that runs tests has its own network, because the manifests fix the ports.
_NETWORK = f"127.0.{os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')}"
DRIVER_IP = f"{_NETWORK}.10"

_END_SECONDS = 10.0


@dataclass
class Kubelet:
    """Starts the containers of pods.

    Attributes:
        folder: Holds each pod's writable folder and log.
        command: Gives the start of a container's command, before its arguments, for a pod's folder.
        image: Gives the image's environment for a pod's folder.
        processes: The processes, by the pod's name.
    """

    folder: Path
    command: Callable[[Path], Sequence[str]]
    image: Callable[[Path], Mapping[str, str]]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(11))

    def start(self, pod: Pod) -> Callable[[], None]:
        """Start a pod, and return a function that ends it."""
        name = pod["metadata"]["name"]
        process = self.run(name, pod, {})
        self.processes[name] = process
        return lambda: _end(process)

    def run(self, name: str, pod: Pod, changes: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a pod's container under another name and with some variables changed."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        (container,) = pod["spec"]["containers"]
        environment = {**self.image(folder), **self.environment(name, pod), **changes}
        with self.log(name).open("wb") as log:
            return subprocess.Popen(
                [*self.command(folder), *container.get("command", []), *container.get("args", [])],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that its workers end with it
            )

    def log(self, name: str) -> Path:
        """The log file of a pod."""
        return self.folder / f"{name}.log"

    def environment(self, name: str, pod: Pod) -> dict[str, str]:
        """The variables of a pod's container, including those of config maps in deploy/."""
        (container,) = pod["spec"]["containers"]
        fields = {"metadata.name": name, "status.podIP": f"{_NETWORK}.{next(self._numbers)}"}
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                found |= named("ConfigMap", source["configMapRef"]["name"])["data"]
        for entry in container.get("env", []):
            reference = entry.get("valueFrom")
            found[entry["name"]] = fields[reference["fieldRef"]["fieldPath"]] if reference else entry.get("value", "")
        return found


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
