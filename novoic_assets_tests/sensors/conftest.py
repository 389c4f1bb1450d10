"""Fixtures of the sensors' tests."""

from pathlib import Path

import pytest

from novoic_assets_tests.conftest import KEY
from novoic_assets_tests.lab import Lab
from novoic_assets_tests.sensors.automated import CANARY, SESSIONS, Automated, history


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled lab after the sensor's first run, with the history of that run."""
    folder = tmp_path_factory.mktemp("template")
    lab = Lab(folder / "lab")
    for index in range(SESSIONS):
        patient = f"{CANARY}P{index}"
        lab.add_patient(patient, mmse=27, ad_status=index % 2, split="test" if index // 2 % 2 else "train")
        lab.add_session(f"{CANARY}S{index}", patient, words=f"the boy number {index} .", seed=index)
    with pytest.MonkeyPatch.context() as patch, history(folder / "history") as instance:
        patch.setenv("NOVOIC_PSEUDONYM_KEY", KEY)
        automated = Automated(lab, instance)
        automated.age()
        run = automated.run()
        assert run.success, run.failures()
        assert "nothing is new" in automated.skips()
    return folder
