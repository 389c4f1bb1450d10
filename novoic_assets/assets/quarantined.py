"""Define the quarantine asset: a view of what the stages refused."""

import dagster as dg

from novoic_assets import markdown
from novoic_assets.assets.features import audio_features, text_features
from novoic_assets.assets.parsed import parsed_transcripts
from novoic_assets.assets.raw import raw_metadata
from novoic_assets.assets.reporting import OWNERS, TABLE_VERSIONS, TAGS, plain_errors, table_metadata
from novoic_assets.fingerprints import fingerprint
from novoic_assets.reasons import DESCRIPTIONS, Reason, first_code
from novoic_assets.resources.configured import StoreResource
from novoic_assets.stages.quarantine import QUARANTINE, count_reasons, read_quarantine


@dg.asset(
    group_name="training",
    deps=[raw_metadata, parsed_transcripts, text_features, audio_features],
    kinds={"deltalake"},
    owners=OWNERS,
    tags=TAGS,
    code_version="1",
)
@plain_errors
def quarantine(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult[None]:
    """What the stages refused, counted by stage and reason; `novoic quarantine --list` names the sessions."""
    tables = store.tables
    # Note the versions before reading the tables: rows that another run commits meanwhile then count as not seen.
    stages = (tables.patients, tables.transcripts, tables.text_features, tables.audio_features)
    versions = {table.name: table.snapshot().version for table in stages}
    refused = read_quarantine(tables)
    counts = count_reasons(refused)
    if counts:
        context.log.warning(f"{refused.num_rows} inputs are in quarantine")
    rows = [(stage, reason, count, DESCRIPTIONS[Reason(reason)]) for (stage, reason), count in counts.items()]
    return dg.MaterializeResult(
        metadata={
            **table_metadata(QUARANTINE, refused.num_rows),
            "reasons": dg.MetadataValue.md(markdown.table(("stage", "reason", "count", "meaning"), rows)),
            TABLE_VERSIONS: versions,
        },
        data_version=dg.DataVersion(
            fingerprint(*(repr({**row, "reason": first_code(row["reason"])}) for row in refused.to_pylist()))
        ),
    )
