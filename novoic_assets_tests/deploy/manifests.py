"""The manifests of `kubectl apply -k deploy/base`, and their validation against Kubernetes' schemas."""

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate.utils
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy" / "base"
# From the oldest version in the documentation to the newest with a schema.
VERSIONS = [
    version
    for version in kubernetes_validate.utils.all_versions()
    if tuple(map(int, version.split(".")[:2])) >= (1, 30)
]

Manifest = dict[str, Any]

_WITHOUT_NAMESPACE = {"Namespace"}


def load(path: Path) -> list[Manifest]:
    """The documents of a file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def kustomized(folder: Path = DEPLOY) -> list[Manifest]:
    """The manifests of a kustomization that only lists files, sets namespace and images, and adds labels.

    Raises:
        ValueError: The kustomization does more.
    """
    (kustomization,) = load(folder / "kustomization.yaml")
    if unknown := kustomization.keys() - {"apiVersion", "kind", "namespace", "labels", "resources", "images"}:
        raise ValueError(
            f"this function does not resolve these keys of the kustomization: {', '.join(sorted(unknown))}"
        )
    labels: dict[str, str] = {}
    for entry in kustomization["labels"]:
        if entry.keys() != {"pairs"}:
            raise ValueError("labels have other keys than pairs, which this function does not resolve")
        labels |= entry["pairs"]
    found = [copy.deepcopy(manifest) for name in kustomization["resources"] for manifest in load(folder / name)]
    for manifest in found:
        metadata = manifest["metadata"]
        metadata["labels"] = {**metadata.get("labels", {}), **labels}
        if manifest["kind"] not in _WITHOUT_NAMESPACE:
            metadata["namespace"] = kustomization["namespace"]
        for image in kustomization.get("images", []):
            _set_image(manifest, image["name"], f"{image['newName']}:{image['newTag']}")
    return found


def _set_image(part: Any, name: str, image: str) -> None:
    if isinstance(part, list):
        for item in part:
            _set_image(item, name, image)
    elif isinstance(part, dict):
        for container in [*part.get("containers", []), *part.get("initContainers", [])]:
            if container.get("image") == name:
                container["image"] = image
        for item in part.values():
            _set_image(item, name, image)


def named(kind: str, name: str) -> Manifest:
    """One of the project's manifests."""
    (found,) = [
        manifest for manifest in kustomized() if manifest["kind"] == kind and manifest["metadata"]["name"] == name
    ]
    return found


def spark_defaults() -> dict[str, str]:
    """The settings in the spark-defaults.conf of run pods."""
    lines = named("ConfigMap", "novoic-spark")["data"]["spark-defaults.conf"].splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


def validate(manifest: Manifest, versions: list[str] | None = None) -> None:
    """Validate a manifest against Kubernetes' schemas, and refuse unknown keys.

    Args:
        manifest: The manifest.
        versions: The versions of Kubernetes; all of `VERSIONS` if None.

    Raises:
        kubernetes_validate.ValidationError: The manifest is not valid.
    """
    for version in versions or VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)
