"""Check the stages before training, in one step for each stage, since each step costs time.

A dataset's checks run inside its asset, before its pointer is written (`assets/training.py`).
"""

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg
import pyarrow as pa

from novoic_assets.assets.reporting import TABLE_VERSIONS, check_result, plain_errors
from novoic_assets.findings import Finding
from novoic_assets.resources.configured import FeatureSettingsResource, StoreResource
from novoic_assets.stages import findings
from novoic_assets.storage.tables import Table


def _specs(checks: Mapping[str, tuple[str, ...]]) -> list[dg.AssetCheckSpec]:
    return [dg.AssetCheckSpec(name, asset=asset) for asset, names in checks.items() for name in names]


# All checks can be subset: a run of text_features alone runs its checks and not those of audio_features.


@dg.multi_asset_check(
    name="raw_checks",
    specs=_specs({"raw_metadata": ("patients_unique", "controls_unimpaired")}),
    can_subset=True,
)
@plain_errors
def raw_checks(context: dg.AssetCheckExecutionContext, store: StoreResource) -> Iterator[dg.AssetCheckResult]:
    """No patient has two valid rows, and no control has the MMSE of a case."""
    rows = store.tables.patients.snapshot().select()
    yield from _selected(context, "raw_metadata", [findings.patients_unique(rows), findings.controls_impaired(rows)])


@dg.multi_asset_check(
    name="parsed_checks",
    specs=_specs({"parsed_transcripts": ("reconciled", "patient_speech")}),
    can_subset=True,
)
@plain_errors
def parsed_checks(context: dg.AssetCheckExecutionContext, store: StoreResource) -> Iterator[dg.AssetCheckResult]:
    """Every transcript has a row, and the patient speaks in it."""
    versions = _versions(context, "parsed_transcripts")
    tables = store.tables
    rows = _read(tables.transcripts, versions, ["session", "reason", "patient_words"])
    inputs = _sessions(tables.transcript_files, versions)
    yield from _selected(
        context,
        "parsed_transcripts",
        [
            findings.reconciled(rows["session"].to_pylist(), inputs, rows["reason"].to_pylist()),
            findings.without_patient_speech(rows),
        ],
    )


@dg.multi_asset_check(
    name="feature_checks",
    specs=_specs(
        {
            "text_features": ("reconciled", "lengths", "finite"),
            "audio_features": ("reconciled", "lengths", "finite", "audible", "within_recording", "full_scale"),
        }
    ),
    can_subset=True,
)
@plain_errors
def feature_checks(
    context: dg.AssetCheckExecutionContext, store: StoreResource, settings: FeatureSettingsResource
) -> Iterator[dg.AssetCheckResult]:
    """Every session has a row, its values are complete, and its recording fits its transcript."""
    selected = {key.asset_key.to_user_string() for key in context.selected_asset_check_keys}
    if "text_features" in selected:
        yield from _selected(context, "text_features", _text_findings(context, store, settings))
    if "audio_features" in selected:
        yield from _selected(context, "audio_features", _audio_findings(context, store, settings))


def _text_findings(
    context: dg.AssetCheckExecutionContext, store: StoreResource, settings: FeatureSettingsResource
) -> list[Finding]:
    versions = _versions(context, "text_features")
    text = _read(store.tables.text_features, versions, ["session", "reason", "values"])
    inputs = _sessions(store.tables.transcripts, versions)
    widths = {family.name: len(family.members) for family in settings.text_families}
    return [
        findings.reconciled(text["session"].to_pylist(), inputs, text["reason"].to_pylist()),
        findings.wrong_lengths(text["values"], widths),
        findings.not_finite(text["values"]),
    ]


def _audio_findings(
    context: dg.AssetCheckExecutionContext, store: StoreResource, settings: FeatureSettingsResource
) -> list[Finding]:
    versions = _versions(context, "audio_features")
    audio = _read(store.tables.audio_features, versions, ["session", "reason", "scale", "overhang", "values"])
    inputs = [*_sessions(store.tables.audio_files, versions), *_sessions(store.tables.transcripts, versions)]
    widths = {family.name: len(family.members) for family in settings.audio_families}
    return [
        findings.reconciled(audio["session"].to_pylist(), inputs, audio["reason"].to_pylist()),
        findings.wrong_lengths(audio["values"], widths),
        findings.not_finite(audio["values"]),
        findings.inaudible(audio["values"]),
        findings.beyond_recording(audio["overhang"]),
        findings.rescaled(audio["scale"]),
    ]


def _selected(
    context: dg.AssetCheckExecutionContext, asset: str, found: Iterable[Finding]
) -> Iterator[dg.AssetCheckResult]:
    for finding in found:
        if dg.AssetCheckKey(dg.AssetKey(asset), finding.name) in context.selected_asset_check_keys:
            yield check_result(finding, asset)


def _versions(context: dg.AssetCheckExecutionContext, asset: str) -> Mapping[str, int]:
    """Return the table versions that the asset read and wrote in this run; empty if the run did not materialize it.

    Another run may have changed the tables since, so the checks judge the versions of this run.
    """
    event = context.instance.get_latest_materialization_event(dg.AssetKey(asset))
    if event is None or event.run_id != context.run.run_id or event.asset_materialization is None:
        return {}
    versions = event.asset_materialization.metadata[TABLE_VERSIONS].value
    return versions if isinstance(versions, dict) else {}


def _read(table: Table, versions: Mapping[str, int], columns: list[str]) -> pa.Table:
    return table.snapshot(versions.get(table.name)).select(columns)


def _sessions(table: Table, versions: Mapping[str, int]) -> list[str]:
    sessions: list[str] = _read(table, versions, list({table.key, "session"}))["session"].to_pylist()
    return sessions
