"""The checks of the stages before training: one step a stage, since each step costs time.

A dataset's checks run inside its asset, before the pointer to it is written (`assets/training.py`).
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from novoic_assets.assets.reporting import check_result, plain_errors
from novoic_assets.features import catalogue
from novoic_assets.resources.configured import FeatureSettings, Store
from novoic_assets.resources.tables import Table
from novoic_assets.sessions import findings


def _specs(checks: Mapping[str, tuple[str, ...]]) -> list[dg.AssetCheckSpec]:
    return [dg.AssetCheckSpec(name, asset=asset) for asset, names in checks.items() for name in names]


@dg.multi_asset_check(name="raw_checks", specs=_specs({"raw_metadata": ("patients_unique", "controls_unimpaired")}))
@plain_errors
def raw_checks(store: Store) -> Iterator[dg.AssetCheckResult]:
    """No patient has two valid rows, and no control looks like a case."""
    rows = store.tables.patients.snapshot().select()
    yield check_result(findings.patients_unique(rows), "raw_metadata")
    yield check_result(findings.controls_impaired(rows), "raw_metadata")


@dg.multi_asset_check(name="parsed_checks", specs=_specs({"parsed_transcripts": ("reconciled", "patient_speech")}))
@plain_errors
def parsed_checks(store: Store) -> Iterator[dg.AssetCheckResult]:
    """Every transcript is accounted for, and patients speak in them."""
    rows = store.tables.transcripts.snapshot().select(["session", "reason", "patient_words"])
    inputs = _sessions(store.tables.transcript_files)
    yield check_result(
        findings.reconciled(rows["session"].to_pylist(), inputs, rows["reason"].to_pylist()), "parsed_transcripts"
    )
    yield check_result(findings.without_patient_speech(rows), "parsed_transcripts")


@dg.multi_asset_check(
    name="feature_checks",
    specs=_specs(
        {
            "text_features": ("reconciled", "lengths", "finite"),
            "audio_features": ("reconciled", "lengths", "finite", "audible", "within_recording", "full_scale"),
        }
    ),
)
@plain_errors
def feature_checks(store: Store, settings: FeatureSettings) -> Iterator[dg.AssetCheckResult]:
    """Every session is accounted for, its values are whole, and its recording fits its transcript."""
    transcripts = _sessions(store.tables.transcripts)
    text = store.tables.text_features.snapshot().select(["session", "reason", "values"])
    text_widths = {family.name: len(family.value_names) for family in catalogue.text_families(settings.spacy_model)}
    for finding in (
        findings.reconciled(text["session"].to_pylist(), transcripts, text["reason"].to_pylist()),
        findings.wrong_lengths(text["values"], text_widths),
        findings.not_finite(text["values"]),
    ):
        yield check_result(finding, "text_features")

    audio = store.tables.audio_features.snapshot().select(["session", "reason", "scale", "overhang", "values"])
    audio_widths = {family.name: len(family.value_names) for family in catalogue.AUDIO_FAMILIES}
    inputs = [*_sessions(store.tables.audio_files), *transcripts]
    for finding in (
        findings.reconciled(audio["session"].to_pylist(), inputs, audio["reason"].to_pylist()),
        findings.wrong_lengths(audio["values"], audio_widths),
        findings.not_finite(audio["values"]),
        findings.inaudible(audio["values"]),
        findings.beyond_recording(audio["overhang"]),
        findings.rescaled(audio["scale"]),
    ):
        yield check_result(finding, "audio_features")


def _sessions(table: Table) -> list[str]:
    sessions: list[str] = table.snapshot().select(list({table.key, "session"}))["session"].to_pylist()
    return sessions
