"""Define the assets of the training stage: one for each cohort."""

import base64
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import dagster as dg
import numpy as np

from novoic_assets import markdown
from novoic_assets.assets.features import audio_features, text_features
from novoic_assets.assets.raw import raw_metadata
from novoic_assets.assets.reporting import (
    OWNERS,
    TABLE_VERSIONS,
    TAGS,
    check_result,
    plain_errors,
    value_columns,
)
from novoic_assets.errors import NovoicError
from novoic_assets.features.family import SCHEMA_VERSION
from novoic_assets.features.modalities import MODALITIES
from novoic_assets.reasons import OK
from novoic_assets.resources.configured import FeatureSettingsResource, PublishingResource, StoreResource
from novoic_assets.training.cohorts import COHORTS, Cohort, Patient
from novoic_assets.training.dataset import Dataset, assemble
from novoic_assets.training.findings import ERROR_CHECKS, WARNING_CHECKS
from novoic_assets.training.members import Sources
from novoic_assets.training.picture import dataset_picture
from novoic_assets.training.pseudonyms import load_pseudonyms
from novoic_assets.training.publish import publish_dataset

# A daily run brings every dataset up to date; one missed run is a warning, two are a failure.
FRESHNESS: Final = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=26), fail_window=timedelta(hours=50))

Yielded = dg.MaterializeResult[None] | dg.AssetCheckResult


def read_sources(store: StoreResource, settings: FeatureSettingsResource) -> tuple[Sources, dict[str, int]]:
    """Read the sources of datasets, and return them with the versions of their tables.

    Raises:
        StorageError: The store cannot be read.
        NovoicError: The spaCy model is not installed or has no vectors.
    """
    tables = store.tables
    patients = tables.patients.snapshot()
    features = {modality: getattr(tables, modality.stage).snapshot() for modality in MODALITIES}
    rows = patients.select().to_pylist()
    sources = Sources(
        patients={
            row["patient"]: Patient(
                row["patient"], row["age"], row["gender"], row["mmse"], row["ad_status"], row["split"]
            )
            for row in rows
            if row["reason"] == OK
        },
        refused_patients=frozenset(row["patient"] for row in rows if row["reason"] != OK and row["patient"]),
        tables={modality.name: table.select(modality.columns) for modality, table in features.items()},
        families={modality.name: getattr(settings, f"{modality.name}_families") for modality in MODALITIES},
    )
    versions = {modality.stage: table.version for modality, table in features.items()}
    return sources, {"patients": patients.version, **versions}


def training_asset(cohort: Cohort) -> dg.AssetsDefinition:
    """Return the asset of a cohort's dataset, with its checks."""

    @dg.asset(
        name=cohort.name,
        description=f"{cohort.description} Fixed-length arrays; read them with `load_dataset({cohort.name!r})`.",
        group_name="training",
        deps=[raw_metadata, text_features, audio_features],
        kinds={"numpy", "parquet"},
        owners=OWNERS,
        tags=TAGS,
        code_version=SCHEMA_VERSION,
        freshness_policy=FRESHNESS,
        check_specs=[dg.AssetCheckSpec(name, asset=cohort.name) for name in (*ERROR_CHECKS, *WARNING_CHECKS)],
    )
    @plain_errors
    def dataset(
        context: dg.AssetExecutionContext,
        store: StoreResource,
        settings: FeatureSettingsResource,
        publishing: PublishingResource,
    ) -> Iterator[Yielded]:
        yield from _publish(context, cohort, store, settings, publishing)

    return dataset


def _publish(
    context: dg.AssetExecutionContext,
    cohort: Cohort,
    store: StoreResource,
    settings: FeatureSettingsResource,
    publishing: PublishingResource,
) -> Iterator[Yielded]:
    sources, tables = read_sources(store, settings)
    storage = store.storage
    pseudonyms = load_pseudonyms(storage)
    made = assemble(cohort, sources, pseudonyms, publishing.covariate_names)
    publication = publish_dataset(storage, made, tables=tables, settings={"pseudonym_key": pseudonyms.key_id})
    for finding in publication.findings:
        yield check_result(finding, cohort.name)
    if publication.failed:
        raise NovoicError(f"the version was not published; failed checks: {', '.join(publication.failed)}")
    if publication.version is None:
        context.log.warning("the cohort is empty: nothing is published")
    else:
        context.log.info(f"version {publication.version} is {'new' if publication.is_new else 'unchanged'}")
    yield dg.MaterializeResult(
        metadata=_metadata(made, publication.version, tables),
        data_version=dg.DataVersion(publication.version or "empty"),
    )


def _metadata(made: Dataset, version: str | None, tables: Mapping[str, int]) -> dict[str, dg.MetadataValue | int | str]:
    flow = made.flow
    lines = [("in", flow.sessions), ("included", flow.included)]
    lines += [(f"excluded: {why}", count) for why, count in sorted(flow.excluded.items())]
    lines += [(f"quarantined: {why}", count) for why, count in sorted(flow.quarantined.items())]
    counts = [(split, row["cases"], row["controls"]) for split, row in made.counts().items()]
    metadata: dict[str, dg.MetadataValue | int | str] = {
        "dagster/row_count": flow.included,
        "flow": dg.MetadataValue.md(markdown.table(("", "sessions"), lines)),
        "classes": dg.MetadataValue.md(markdown.table(("split", "cases", "controls"), counts)),
        TABLE_VERSIONS: dg.MetadataValue.json(dict(tables)),
    }
    if version is not None:
        columns = [
            dg.TableColumn(name, f"{_type_name(array.dtype)}{list(array.shape[1:]) or ''}")
            for name, array in sorted(made.arrays.items())
            if array.ndim and len(array) == flow.included
        ]
        for modality in MODALITIES:
            columns += value_columns(f"{modality.name} ", made.families[modality.name])
        picture = base64.b64encode(dataset_picture(made)).decode()
        metadata |= {
            "dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns=columns)),
            "version": version,
            "inputs digest": made.inputs,
            "picture": dg.MetadataValue.md(f"![classes by split, age by class](data:image/png;base64,{picture})"),
        }
    return metadata


def _type_name(dtype: np.dtype[Any]) -> str:
    # NumPy's name of a string type includes its width in bits, as in str96.
    return "str" if dtype.kind == "U" else dtype.name


TRAINING_ASSETS = [training_asset(cohort) for cohort in COHORTS]
