"""Run `novoic materialize` as its users do."""

import os
import shutil
import sys
from pathlib import Path

from benchmarks.common import ROOT, TWO_FAMILIES, WORKERS, Figures, require
from benchmarks.measure import Finished, child, run


def materialize(
    raw: Path, store: Path, folder: Path, *, families: str = TWO_FAMILIES, workers: int = WORKERS
) -> Finished:
    """Materialize everything.

    Args:
        raw: The raw folder.
        store: The store.
        folder: The working folder, which gets the repository's `dagster.yaml` and the history of runs.
        families: The setting NOVOIC_FAMILIES; empty for all.
        workers: The setting NOVOIC_WORKERS.

    Returns:
        The time and memory of the run.

    Raises:
        BenchmarkError: The run failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")
    novoic = Path(sys.executable).parent / "novoic"
    # This repository comes first on the path: `benchmarks` holds a family, and another checkout may be installed.
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return run(
        [str(novoic), "materialize", "--raw", str(raw), "--store", str(store)],
        folder=folder,
        env={"NOVOIC_WORKERS": str(workers), "NOVOIC_FAMILIES": families, "PYTHONPATH": path},
    )


def parse(raw: Path, folder: Path) -> dict[str, str]:
    """Materialize the inputs of the features: the raw assets and the parsed transcripts.

    Args:
        raw: The raw folder.
        folder: The folder for the store and the history of runs.

    Returns:
        The roots `raw` and `store`.
    """
    shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")
    places = {"raw": str(raw), "store": str(folder / "store")}
    names = ["raw_metadata", "raw_transcripts", "raw_audio", "parsed_transcripts"]
    child("first_stages", **places, history=str(folder), names=names)
    return places


def check_outcome(store: Path, sessions: int, *, published: bool = True) -> Figures:
    """Check and return the content of a store.

    Args:
        store: The store.
        sessions: How many sessions must be ok in every stage.
        published: Whether `ad_vs_hc` must be published; a handful of sessions may lack one of its classes.

    Raises:
        BenchmarkError: Sessions are missing or not ok, or the dataset is not published.
    """
    found = child("outcome", store=str(store))
    for name in ("transcripts", "text_features", "audio_features"):
        require(found["rows"][name] == {"ok": sessions}, f"{name} of {sessions} sessions: {found['rows'][name]}")
    require(bool(found["datasets"]["ad_vs_hc"]) or not published, "ad_vs_hc is not published")
    return found
