"""Provide the commands that show the content of the store."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Column, Table

from novoic_assets.cli.console import OUT, JsonOption, StoreOption, print_json
from novoic_assets.errors import NovoicError
from novoic_assets.reasons import DESCRIPTIONS, Reason

if TYPE_CHECKING:
    from novoic_assets.storage.files import Storage
    from novoic_assets.storage.store_tables import StoreTables


def datasets(store: StoreOption, as_json: JsonOption = False) -> None:  # noqa: FBT002 - a flag
    """Show the published datasets."""
    _storage(store).require()
    if as_json:
        print_json(_published(store))
    else:
        show_datasets(store)


def quarantine(
    store: StoreOption,
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    as_list: Annotated[  # noqa: FBT002 - as above
        bool, typer.Option("--list", help="Name the sessions and lines; only for people who may identify patients.")
    ] = False,
) -> None:
    """Show refused inputs by stage and reason."""
    from novoic_assets.stages.quarantine import count_reasons, read_quarantine

    refused = read_quarantine(_tables(store))
    if as_list:
        rows = sorted(refused.to_pylist(), key=lambda row: (row["stage"], row["reason"], row["session"] or ""))
        columns = ["stage", "reason", "session", "line", "detail"]
    else:
        rows = [
            {"stage": stage, "reason": reason, "count": count, "meaning": DESCRIPTIONS[Reason(reason)]}
            for (stage, reason), count in count_reasons(refused).items()
        ]
        columns = ["stage", "reason", "count", "meaning"]
    if as_json:
        print_json(rows)
        return
    if not rows:
        OUT.print("Nothing is in quarantine.")
        return
    table = Table(*(Column(name, overflow="fold") for name in columns), box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    OUT.print(table)


def identify(
    pseudonym: Annotated[str, typer.Argument(help="Pseudonym of a patient or session.")], store: StoreOption
) -> None:
    """Show the patient or session behind a pseudonym; only for people who may identify patients."""
    from novoic_assets.training.pseudonyms import load_pseudonyms

    tables = _tables(store)
    transcripts = tables.transcripts.snapshot().select(["session", "patient"])
    audio = tables.audio_features.snapshot().select(["session"])
    patients = tables.patients.snapshot().select(["row", "patient"])
    found = load_pseudonyms(tables.storage).identify(
        pseudonym,
        {patient for table in (transcripts, patients) for patient in table["patient"].to_pylist() if patient},
        {session for table in (transcripts, audio) for session in table["session"].to_pylist()},
    )
    if not found:
        raise NovoicError("no patient or session of this store has that pseudonym")
    for kind, name in found.items():
        OUT.print(f"{kind} {name}", soft_wrap=True)


def show_datasets(store: str) -> None:
    """Print a table of the published datasets of a store."""
    table = Table("dataset", "version", "train", "test", "excluded", "quarantined", box=box.SIMPLE_HEAD, pad_edge=False)
    table.caption = "train, test: cases/controls"
    for name, content in _published(store).items():
        if content["version"] is None:
            table.add_row(name, "not published", "", "", "", "")
            continue
        counts, flow = content["counts"], content["flow"]
        table.add_row(
            name,
            content["version"],
            *(f"{counts[split]['cases']}/{counts[split]['controls']}" for split in ("train", "test")),
            str(sum(flow["excluded"].values())),
            str(sum(flow["quarantined"].values())),
        )
    OUT.print(table)


def _published(store: str) -> dict[str, Any]:
    from novoic_assets.training import publish
    from novoic_assets.training.cohorts import COHORTS

    storage = _storage(store)
    return {cohort.name: publish.current(storage, cohort.name) or {"version": None} for cohort in COHORTS}


def _storage(store: str) -> "Storage":
    from novoic_assets.storage.files import Storage

    return Storage(store, "NOVOIC_STORE")


def _tables(store: str) -> "StoreTables":
    from novoic_assets.storage.store_tables import StoreTables

    tables = StoreTables(_storage(store))
    if not tables.patients.exists():
        raise NovoicError("the store that NOVOIC_STORE names has no tables; run `novoic materialize` first")
    return tables
