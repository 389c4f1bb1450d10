"""The real Dockerfile, built and run on a machine without a container engine.

buildah builds it (in a chroot, no daemon), on a Debian that debootstrap makes, since not every machine reaches an image
registry. The image runs in a mount namespace, as a pod would: read-only root, a user other than root, no capability, no
way to new privileges. The network is this machine's.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from novoic_assets_tests import needs

REPOSITORY = Path(__file__).parents[2]
USER = 10001
WRITABLE = ("/tmp", "/var/lib/novoic")

_DEBIAN = "bookworm"
_BASE = "debian:bookworm-slim"
_MINUTES = 20.0  # for a step, on a slow network
# Like Debian's slim images: without manuals, also of packages that are installed later.
_WITHOUT = ("usr/share/man", "usr/share/doc", "usr/share/locale", "usr/share/info")

# Arguments: the root, the command's folder in it, a folder for each of WRITABLE, then the container's command.
_RUN = """
root=$1 work=$2 tmp=$3 scratch=$4
shift 4
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$tmp" "$root/tmp"
mount --bind "$scratch" "$root/var/lib/novoic"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind /etc/hosts "$root/etc/hosts"
exec {chroot} "$root" /usr/bin/setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs \
  --bounding-set=-all --inh-caps=-all /usr/bin/env --chdir="$work" "$@"
""".replace("{user}", str(USER)).replace("{chroot}", shutil.which("chroot") or "chroot")


def skip_where_no_image_can_be_built() -> None:
    """Skip the calling test if something is missing that builds or runs an image."""
    for name in ("buildah", "debootstrap", "unshare", "chroot"):
        needs.program(name)
    if platform.system() != "Linux" or os.geteuid() != 0:
        needs.skip("Linux and root", "to build an image without a container engine")
    if sys.version_info[:2] != (3, 11):
        needs.skip("Python 3.11", "which collects the packages of the image")


@dataclass(frozen=True)
class Image:
    """A built image.

    Attributes:
        root: Its files; a test may add mounted files.
        config: Its configuration, as in the OCI specification.
    """

    root: Path
    config: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of its containers."""
        return dict(entry.split("=", 1) for entry in self.config["Env"])

    def command(self, folder: Path) -> list[str]:
        """The command of a container with its writable folders below a folder; append the entrypoint's arguments."""
        folders = [folder / path.strip("/").replace("/", "-") for path in WRITABLE]
        for path in folders:
            path.mkdir(parents=True, exist_ok=True)
            os.chown(path, USER, USER)
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-euc", _RUN, "bash"]
        return [*unshare, str(self.root), self.config["WorkingDir"], *map(str, folders), *self.config["Entrypoint"]]

    def run(
        self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a container to its end; it writes below the folder."""
        return subprocess.run(
            [*self.command(folder), *arguments],
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=60 * _MINUTES,
        )


class Builder:
    """Builds images in a store below a folder."""

    def __init__(self, folder: Path) -> None:
        """Create a builder, which builds nothing yet.

        Args:
            folder: For the images and their parts.
        """
        self._folder = folder

    def buildah(self, *arguments: str | Path) -> str:
        """Run buildah."""
        store = ["--root", self._folder / "store", "--runroot", self._folder / "run"]
        return _call(["buildah", *store, *arguments])

    def build(self, context: Path, tag: str, *arguments: str | Path) -> Image:
        """Build a folder's Dockerfile, and mount the image."""
        options = ["--isolation", "chroot", "--pull-never", "--quiet", "--tag", tag]
        self.buildah("build", *options, *arguments, context)
        container = self.buildah("from", "--pull-never", tag)
        config = json.loads(self.buildah("inspect", "--type", "image", tag))["OCIv1"]["config"]
        return Image(Path(self.buildah("mount", container)), config)

    def project(self) -> Image:
        """Build this project's Dockerfile, as it is."""
        with ThreadPoolExecutor(2) as threads:  # one waits for the network while the other computes
            wheels = threads.submit(self._packages)
            threads.submit(self._base).result()
            mounts = [*_volume(wheels.result(), "/packages"), *_volume(self._pip(), "/etc/pip.conf")]
        return self.build(REPOSITORY, "novoic-assets:test", *mounts)

    def clear(self) -> None:
        """Unmount and remove everything: some gigabytes."""
        self.buildah("rm", "--all")
        self.buildah("rmi", "--all", "--force")
        layers = self._folder / "store" / "overlay"
        if layers.is_mount():  # buildah leaves it mounted
            _call(["umount", layers])
        shutil.rmtree(self._folder)

    def _base(self) -> None:
        """Build the image that the Dockerfile starts from."""
        root = self._folder / "debian"
        _call(["debootstrap", "--variant=minbase", _DEBIAN, root])
        for name in _WITHOUT:
            shutil.rmtree(root / name)
        excluded = "".join(f"path-exclude /{name}/*\n" for name in _WITHOUT)
        (root / "etc" / "dpkg" / "dpkg.cfg.d" / "slim").write_text(excluded)
        context = self._folder / "base"
        context.mkdir()
        _call(["tar", "--create", "--file", context / "debian.tar", "--directory", root, "--one-file-system", "."])
        shutil.rmtree(root)
        (context / "Dockerfile").write_text("FROM scratch\nADD debian.tar /\n")
        self.buildah("build", "--quiet", "--tag", _BASE, context)
        shutil.rmtree(context)

    def _packages(self) -> Path:
        """Download the pinned packages with this machine's settings, so the build needs none of them."""
        folder = self._folder / "packages"
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        pinned = ["--require-hashes", "--requirement", REPOSITORY / "requirements-kubernetes.txt"]
        _call([*download, *pinned])
        _call([*download, "setuptools", "wheel", "packaging"])  # pip needs them to make a wheel of a source archive
        return folder

    def _pip(self) -> Path:
        path = self._folder / "pip.conf"
        path.write_text("[global]\nno-index = true\nfind-links = /packages\ndisable-pip-version-check = true\n")
        return path


def _volume(path: Path, where: str) -> list[str]:
    return ["--volume", f"{path}:{where}:ro"]


def _call(command: Sequence[str | Path]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 * _MINUTES)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout.strip()
