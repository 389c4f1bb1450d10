"""Runs of `novoic materialize`, as whoever uses it starts them."""

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
        folder: Where to run it, with the history of its runs; the repository's `dagster.yaml` is copied there.
        families: The setting NOVOIC_FAMILIES; empty for all.
        workers: The setting NOVOIC_WORKERS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")
    novoic = Path(sys.executable).parent / "novoic"
    # Its own modules first: `benchmarks` holds a family, and a checkout may not be the one that is installed.
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return run(
        [str(novoic), "materialize", "--raw", str(raw), "--store", str(store)],
        folder=folder,
        env={"NOVOIC_WORKERS": str(workers), "NOVOIC_FAMILIES": families, "PYTHONPATH": path},
    )


def parse(raw: Path, folder: Path) -> dict[str, str]:
    """Materialize what features are computed from: the raw assets and the parsed transcripts.

    Args:
        raw: The raw folder.
        folder: Where the store and the history of runs go.

    Returns:
        The roots `raw` and `store`.
    """
    shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")
    places = {"raw": str(raw), "store": str(folder / "store")}
    names = ["raw_metadata", "raw_transcripts", "raw_audio", "parsed_transcripts"]
    child("first_stages", **places, history=str(folder), names=names)
    return places


def check_outcome(store: Path, sessions: int, *, published: bool = True) -> Figures:
    """What a store holds.

    Args:
        store: The store.
        sessions: How many sessions have to be ok in every stage.
        published: Whether `ad_vs_hc` has to be published; a handful of sessions may not have all its classes.

    Raises:
        BenchmarkError: They are not.
    """
    found = child("outcome", store=str(store))
    for name in ("transcripts", "text_features", "audio_features"):
        require(found["rows"][name] == {"ok": sessions}, f"{name} of {sessions} sessions: {found['rows'][name]}")
    require(bool(found["datasets"]["ad_vs_hc"]) or not published, "ad_vs_hc is not published")
    return found
