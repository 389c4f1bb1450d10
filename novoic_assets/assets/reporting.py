"""Report to Dagster from assets and checks: plain errors, column schemas, counts."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import dagster as dg
import pyarrow as pa

from novoic_assets.errors import NovoicError, type_and_place
from novoic_assets.features.family import Family
from novoic_assets.findings import Finding
from novoic_assets.stages.stage import StageReport

_Function = TypeVar("_Function", bound=Callable[..., Any])

TABLE_VERSIONS = "table versions"
OWNERS = ["team:speech"]
TAGS = {"novoic/personal_data": "true"}


def plain_errors(function: _Function) -> _Function:
    """Let an asset or a check fail with a message that quotes no data.

    A NovoicError's message is made to be shown. Any other exception may quote a path, an id or a word, so
    the failure reports its type and place instead.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function takes and returns
        try:
            return function(*args, **kwargs)
        except dg.Failure:
            raise
        except Exception as error:  # noqa: BLE001 - scrubbed, whatever it is
            message = _plain(error)
        # Raise outside the handler, so that the failure has no context, which Dagster would record. A context
        # manager would not work: an exception that it raises instead of another has the other as context.
        raise dg.Failure(message, allow_retries=False)

    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: ANN401 - as above
        try:
            yield from function(*args, **kwargs)
        except dg.Failure:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            message = _plain(error)
        else:
            return
        raise dg.Failure(message, allow_retries=False)

    return generator if inspect.isgeneratorfunction(function) else wrapper  # type: ignore[return-value]  # same signature


def _plain(error: Exception) -> str:
    return str(error) if isinstance(error, NovoicError) else f"unexpected {type_and_place(error)}; please report it"


def value_columns(prefix: str, families: Iterable[Family]) -> list[dg.TableColumn]:
    """Return a column for each value of some families, with its formula and unit from the catalogue."""
    return [
        dg.TableColumn(f"{prefix}{value.name}", "float", f"{value.formula} [{value.unit}]")
        for family in families
        for value in family.members
    ]


def table_metadata(schema: pa.Schema, rows: int, families: Iterable[Family] = ()) -> dict[str, Any]:
    """Return Dagster's row count and column schema of a table, including the values of families inside it."""
    columns = [dg.TableColumn(field.name, str(field.type)) for field in schema]
    columns += value_columns("values.", families)
    return {
        "dagster/row_count": rows,
        "dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns=columns)),
    }


def stage_result(
    report: StageReport, schema: pa.Schema, extra: Mapping[str, Any], families: Iterable[Family] = ()
) -> dg.MaterializeResult[None]:
    """Return the materialization result of an incremental stage."""
    return dg.MaterializeResult(
        metadata={
            **table_metadata(schema, sum(report.reasons.values()), families),
            "new": report.new,
            "changed": report.changed,
            "removed": report.removed,
            "unchanged": report.unchanged,
            "quarantined": report.quarantined,
            "reasons": dict(report.reasons),
            **({"internal errors": dict(report.details)} if report.details else {}),
            **_pace(report),
            TABLE_VERSIONS: dict(report.versions),
            **extra,
        },
        data_version=dg.DataVersion(report.data_version),
    )


def _pace(report: StageReport) -> dict[str, float]:
    """Return how much was computed, how long it took, and the rates."""
    pace = {"seconds of computing": round(report.seconds, 1)}
    computed = report.new + report.changed
    if computed and report.seconds:
        pace["sessions per second"] = round(computed / report.seconds, 3)
    if report.seconds_of_audio:
        pace["seconds of audio decoded"] = report.seconds_of_audio
        pace["times real time"] = round(report.seconds_of_audio / report.seconds, 1)
    return pace


def log_stage(context: dg.AssetExecutionContext, report: StageReport) -> None:
    """Write to the run's log what a stage did."""
    context.log.info(
        f"{report.new} new, {report.changed} changed, {report.removed} removed, {report.unchanged} unchanged"
    )
    if report.quarantined:
        codes = ", ".join(f"{reason} {count}" for reason, count in sorted(report.reasons.items()) if reason != "ok")
        context.log.warning(f"{report.quarantined} quarantined: {codes}")


def check_result(finding: Finding, asset: str) -> dg.AssetCheckResult:
    """Return a finding in the form that Dagster records."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=finding.name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.ERROR if finding.is_error else dg.AssetCheckSeverity.WARN,
        description=finding.description,
        metadata=dict(finding.counts),
    )
