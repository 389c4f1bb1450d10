"""Runs of `novoic materialize`, as whoever uses it starts them."""

import shutil
import sys
from collections.abc import Collection
from pathlib import Path

from benchmarks.common import ROOT, TWO_FAMILIES, WORKERS, Figures, require
from benchmarks.measure import Finished, child, run


def materialize(raw: Path, store: Path, folder: Path, interval: float = 0.5, families: str = TWO_FAMILIES) -> Finished:
    """Materialize everything.

    Args:
        raw: The raw folder.
        store: The store.
        folder: Where to run it, with the history of its runs; the repository's `dagster.yaml` is copied there.
        interval: Seconds between two looks at memory.
        families: The setting NOVOIC_FAMILIES.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")
    novoic = Path(sys.executable).parent / "novoic"
    command = [str(novoic), "materialize", "--raw", str(raw), "--store", str(store)]
    return run(
        command, folder=folder, env={"NOVOIC_WORKERS": str(WORKERS), "NOVOIC_FAMILIES": families}, interval=interval
    )


def check_outcome(store: Path, sessions: int, datasets: Collection[str] = ("ad_vs_hc",)) -> Figures:
    """What a store holds; every session is ok in every stage, and the datasets are published.

    Raises:
        BenchmarkError: They are not.
    """
    found = child("outcome", store=str(store))
    for name in ("transcripts", "text_features", "audio_features"):
        require(found["rows"][name] == {"ok": sessions}, f"{name} of {sessions} sessions: {found['rows'][name]}")
    for name in datasets:
        require(bool(found["datasets"][name]), f"{name} is not published")
    return found
