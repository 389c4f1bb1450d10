"""A package outside the project adds to each seam by installation alone: pip installs it, and the command finds it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from novoic_assets.training.load import load_dataset
from novoic_assets_tests.lab import Lab
from novoic_assets_tests.sessions.formats.lines import LINES

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:there are no numbers")]

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "lab-additions"
version = "1.0"
[project.entry-points."novoic_assets.transcript_formats"]
lines = "lab_additions.lines:LINES"
[project.entry-points."novoic_assets.families"]
peak = "lab_additions.families:PEAK"
letters = "lab_additions.families:LETTERS"
[project.entry-points."novoic_assets.dataset_files"]
card = "lab_additions.card:CARD"
"""

FAMILIES = '''
import numpy as np
from novoic_assets.features.audio.family import AudioFamily
from novoic_assets.features.family import SPEAKERS, Batches, Cost, Value
from novoic_assets.features.text.session import TextFamily


class Peak:
    """The largest sample of each speaker's frames."""

    def __init__(self, analysis):
        self.peak = np.zeros(len(SPEAKERS))

    def add(self, block):
        frames = np.lib.stride_tricks.sliding_window_view(np.abs(block.samples), 400)[::160]
        own = np.where(block.masks, frames.max(axis=1), 0).max(axis=1)
        self.peak = np.maximum(self.peak, own)

    def values(self, speaker):
        return [float(self.peak[SPEAKERS.index(speaker)])]


def start(device):
    assert device == "cpu"

    def letters(sessions):
        assert len(sessions) == 8  # all of this corpus
        return [
            {speaker: [sum(map(len, session.words(speaker)))] for speaker in SPEAKERS} for session in sessions
        ]

    return letters


PEAK = AudioFamily(
    name="peak", version="1", description="The largest sample.", accumulator=Peak, cost=Cost(second=1e-5),
    members=(Value(name="peak", unit="1", formula="max |x|", source="count"),),
)
LETTERS = TextFamily(
    name="letters", version="1", description="Letters.", batches=Batches(sessions=64, start=start),
    members=(
        Value(name="n_letters", unit="letters", formula="letters of all words", source="count"),
    ),
)
'''

CARD = """
from novoic_assets.training.files.entry import DatasetFiles

CARD = DatasetFiles("card", lambda published: {"card.md": f"# {published.name}, {len(published.arrays['y'])}".encode()})
"""


def materialize(lab: Lab, site: Path | None = None) -> str:
    """Run the command in a process of its own; what it printed."""
    paths = [*([str(site)] if site else []), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", "from novoic_assets.cli import main; main()", "materialize"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "NOVOIC_RAW": str(lab.raw),
            "NOVOIC_STORE": str(lab.store),
        },
        cwd=lab.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def folders(lab: Lab, dataset: str) -> dict[str, Path]:
    """The folders of a dataset's versions."""
    return {path.parent.name: path.parent for path in lab.store.glob(f"training_data/{dataset}/*/manifest.json")}


def test_a_package_adds_a_format_two_families_and_a_file_by_installation_alone(lab: Lab, tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    (source / "lab_additions").mkdir(parents=True)
    for name, content in {
        "pyproject.toml": PROJECT,
        "lab_additions/__init__.py": "",
        "lab_additions/lines.py": LINES,
        "lab_additions/families.py": FAMILIES,
        "lab_additions/card.py": CARD,
    }.items():
        (source / name).write_text(content)
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", str(site), str(source)], check=True)

    lab.fill(8)
    (lab.raw / "text" / "S1.xml").unlink()
    (lab.raw / "text" / "S1.lines").write_text("0 0.5 investigator well ?\n0.6 1.8 patient the boy is falling .")
    materialize(lab)
    before = folders(lab, "ad_vs_hc")
    assert len(load_dataset("ad_vs_hc", lab.store).y) == 7  # without S1, whose transcript is in a format of nobody's
    assert not list(lab.store.glob("training_data/*/*/card.md"))

    materialize(lab, site)
    data = load_dataset("ad_vs_hc", lab.store)
    assert len(data.y) == 8
    assert data.audio_names[-1] == "peak"
    assert data.text_names[-1] == "n_letters"
    assert np.isfinite(data.X_audio[:, -1]).all()
    assert min(data.X_text[:, -1].tolist()) == len("theboyisfalling.")  # 8 sessions at once, or there were none

    after = folders(lab, "ad_vs_hc")
    assert len(after) == 2
    assert before.keys() < after.keys()
    cards = {version: (folder / "card.md").read_text() for version, folder in after.items()}
    assert cards == {version: f"# ad_vs_hc, {7 if version in before else 8}" for version in after}
    for name in ("ad_mci_vs_hc", "ad_vs_hc_under_60"):
        pointer = json.loads((lab.store / "training_data" / name / "current.json").read_text())
        assert (folders(lab, name)[pointer["version"]] / "card.md").exists()
