"""The `novoic` command: Dagster's job, the sample corpus and the store's contents, for a terminal.

It adds no logic of its own: a run is the same job that Dagster's own commands and its UI start. Heavy
imports stay inside the commands, so that `novoic --help` answers at once.
"""

import fcntl
import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from novoic_assets import progress
from novoic_assets.errors import NovoicError
from novoic_assets.storage.files import Storage

if TYPE_CHECKING:
    import dagster as dg

    from novoic_assets.storage.store_tables import StoreTables

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
# Names and messages are printed as they are: `[red]` in one is no markup, and `:cat:` no cat.
_out = Console(markup=False, emoji=False, highlight=False)
_err = Console(stderr=True, markup=False, emoji=False, highlight=False)

RawOption = Annotated[
    str, typer.Option("--raw", envvar="NOVOIC_RAW", help="Folder of the raw sessions, or s3://bucket/prefix.")
]
StoreOption = Annotated[
    str, typer.Option("--store", envvar="NOVOIC_STORE", help="Folder of tables and datasets, or s3://bucket/prefix.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run a command; a failure is one line on stderr and a non-zero exit."""
    try:
        app()
    except NovoicError as error:
        _fail(str(error))
    except Exception as error:  # noqa: BLE001 - its text may quote the data: type and place must do
        from novoic_assets.errors import type_and_place

        _fail(f"unexpected {type_and_place(error)}; please report it")


def _fail(message: str) -> None:
    _err.print(f"novoic: {message}", style="red", soft_wrap=True)
    sys.exit(1)


@app.command()
def demo(raw: RawOption = "data", store: StoreOption = "store") -> None:
    """Make the sample corpus if there is none, materialize everything and show the datasets."""
    source = Storage(raw, "NOVOIC_RAW")
    if not source.has_folder(".") or source.stat("metadata.csv") is None:
        from novoic_assets.synthetic.corpus import CorpusSettings

        if source.is_remote:
            raise NovoicError("the bucket that NOVOIC_RAW names has no metadata.csv; the sample corpus needs a folder")
        _write_corpus(Path(raw), CorpusSettings())
    _materialize(raw, store, select=None, confirm_removal=False)
    _show_datasets(Storage(store, "NOVOIC_STORE"))


@app.command()
def materialize(
    raw: RawOption = "data",
    store: StoreOption = "store",
    select: Annotated[
        str | None, typer.Option(help="Assets, in Dagster's selection syntax, such as text_features or +ad_vs_hc.")
    ] = None,
    confirm_removal: Annotated[  # noqa: FBT002 - a flag of the command line
        bool, typer.Option("--confirm-removal", help="The raw folder has lost many sessions, and that is meant.")
    ] = False,
) -> None:
    """Compute what is new or changed in the raw folder, and publish the datasets."""
    _materialize(raw, store, select=select, confirm_removal=confirm_removal)
    _show_datasets(Storage(store, "NOVOIC_STORE"))


@app.command()
def synth(
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must not hold sessions.")],
    sessions: Annotated[int, typer.Option(min=1, help="Number of sessions.")] = 72,
    minutes: Annotated[float, typer.Option(help="Mean minutes of a session.")] = 0.85,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal corpora.")] = 0,
    sample_rate: Annotated[int, typer.Option(help="Samples per second.")] = 16_000,
    effect: Annotated[float, typer.Option(help="How much cases differ from controls; 0: not at all.")] = 1.0,
) -> None:
    """Write a synthetic sample corpus."""
    from novoic_assets.synthetic.corpus import CorpusSettings

    _write_corpus(
        folder,
        CorpusSettings(sessions=sessions, minutes=minutes, seed=seed, sample_rate=sample_rate, effect=effect),
    )


@app.command()
def datasets(store: StoreOption = "store", as_json: JsonOption = False) -> None:  # noqa: FBT002 - a flag
    """Show the published datasets."""
    storage = Storage(store, "NOVOIC_STORE")
    storage.require()
    if as_json:
        sys.stdout.write(json.dumps(_published(storage), indent=2) + "\n")
    else:
        _show_datasets(storage)


@app.command()
def quarantine(
    store: StoreOption = "store",
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    as_list: Annotated[  # noqa: FBT002 - as above
        bool, typer.Option("--list", help="Name the sessions and lines: for those who may identify patients.")
    ] = False,
) -> None:
    """Show what was refused, by stage and reason."""
    from novoic_assets.reasons import DESCRIPTIONS, Reason
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
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    if not rows:
        _out.print("Nothing is in quarantine.")
        return
    table = Table(*(Column(name, overflow="fold") for name in columns), box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    _out.print(table)


@app.command()
def identify(
    pseudonym: Annotated[str, typer.Argument(help="Pseudonym of a patient or session.")], store: StoreOption = "store"
) -> None:
    """Tell whose pseudonym it is: for those who may identify patients."""
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
        _out.print(f"{kind} {name}", soft_wrap=True)


@app.command()
def features(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    into: Annotated[
        Path | None, typer.Option(help="Write tables in Markdown into this page, between its marks.")
    ] = None,
) -> None:
    """Show every value that is computed: what it is, its unit, what makes it NaN, and what to mind."""
    from novoic_assets.features import describe
    from novoic_assets.resources.configured import FeatureSettingsResource

    settings = FeatureSettingsResource()
    families = [*settings.text_families, *settings.audio_families]
    if as_json:
        sys.stdout.write(json.dumps(describe.to_json(families), indent=2, ensure_ascii=False) + "\n")
        return
    if into is not None:
        try:
            into.write_text(describe.with_tables(into.read_text("utf-8"), families), "utf-8")
        except (OSError, ValueError):
            raise NovoicError("--into takes a page that has the two marks of the catalogue") from None
        return
    for family in families:
        _out.print(f"\n{family.name}: {family.description} ({', '.join(family.speakers)})", style="bold")
        for entry in describe.entries(family):
            facts = {"typical": entry.typical, "NaN": entry.undefined, "needs": entry.least, "flags": entry.flags}
            told = "; ".join(f"{what} {fact}" for what, fact in facts.items() if fact)
            _out.print(f"  {entry.names.replace('`', '')} [{entry.unit}]", style="cyan")
            _out.print(Padding(f"{entry.formula} ({entry.source})", (0, 0, 0, 6)))
            if told:
                _out.print(Padding(told, (0, 0, 0, 6)), style="dim")
    _out.print("\nFlags: L grows with length, G depends on gain. Any value is NaN where its speaker says nothing.")


@app.command("purge-history")
def purge_history(
    older_than_days: Annotated[int, typer.Option(min=1, help="Runs that ended more than so many days ago.")] = 90,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Delete old runs and their events from Dagster's history, but no asset's or check's latest."""
    warnings.filterwarnings("ignore")
    from novoic_assets.cli.history import purge
    from novoic_assets.definitions import defs

    if not (os.environ.get("DAGSTER_HOME") or Path("dagster.yaml").exists()):
        raise NovoicError("there is no history here; go where dagster.yaml is, or set DAGSTER_HOME")
    before = datetime.now(UTC) - timedelta(days=older_than_days)
    with _instance() as instance:
        done = purge(instance, before, defs.resolve_asset_graph().asset_check_keys, dry=dry_run)
    _out.print(
        f"{'Would delete' if dry_run else 'Deleted'} {done.deleted} runs that ended more than {older_than_days} days"
        f" ago; {done.kept} more hold the latest of an asset or a check and stay.",
        soft_wrap=True,
    )


def _write_corpus(folder: Path, settings: Any) -> None:  # noqa: ANN401 - CorpusSettings, imported where it is used
    from novoic_assets.synthetic.corpus import write_corpus

    with _progress_bar() as show:
        summary = write_corpus(folder, settings, progress=lambda done, total: show("sample corpus", done, total))
    _out.print(
        f"Wrote a synthetic corpus: {summary.patients} patients, {summary.sessions} sessions,"
        f" {summary.seconds / 60:.0f} minutes."
    )


def _materialize(raw: str, store: str, *, select: str | None, confirm_removal: bool) -> None:
    # Dagster and its libraries warn of their own futures on stderr; nobody at a terminal can act on it.
    warnings.filterwarnings("ignore")
    import dagster as dg

    from novoic_assets.definitions import MATERIALIZE_ALL, defs

    job = defs.resolve_job_def(MATERIALIZE_ALL)
    selection = None
    if select is not None:
        try:
            selection = sorted(dg.AssetSelection.from_string(select).resolve(defs.resolve_asset_graph()))
        except dg.DagsterError:
            selection = []
        if not selection:
            raise NovoicError("--select names no asset; `dagster asset list -m novoic_assets.definitions` shows them")
    raw_assets = ("raw_metadata", "raw_transcripts", "raw_audio")
    chosen = {key.to_user_string() for key in selection} if selection is not None else set(raw_assets)
    run_config = {
        "resources": {"raw": {"config": {"root": raw}}, "store": {"config": {"root": store}}},
        "ops": {name: {"config": {"confirm_removal": confirm_removal}} for name in raw_assets if name in chosen},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    with _instance() as instance, _progress_bar() as show, progress.listening(show):
        result = job.execute_in_process(
            run_config=run_config, instance=instance, asset_selection=selection, raise_on_error=False
        )
    for evaluation in result.get_asset_check_evaluations():
        if not evaluation.passed:
            kind = "warning" if evaluation.severity == dg.AssetCheckSeverity.WARN else "error"
            _err.print(
                f"{kind}: {evaluation.asset_key.to_user_string()}: {evaluation.description}",
                style="yellow" if kind == "warning" else "red",
                soft_wrap=True,
            )
    if not result.success:
        raise NovoicError("; ".join(_failures(result)) or "the run failed")


def _failures(result: "dg.ExecuteInProcessResult") -> list[str]:
    messages = []
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            messages.append(f"{event.step_key}: {failure.description if failure else 'failed'}")
    return messages


@contextmanager
def _instance() -> "Iterator[dg.DagsterInstance]":
    """The instance that `dagster dev` uses when it is started here, so that its UI shows the run."""
    import dagster as dg

    if home := os.environ.get("DAGSTER_HOME"):
        with _alone_in(home):
            opened = dg.DagsterInstance.get()
    elif Path("dagster.yaml").exists():
        with _alone_in("."):
            opened = dg.DagsterInstance.from_config(".")
    else:
        opened = dg.DagsterInstance.ephemeral()
    with opened as instance:
        yield instance


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Keep other commands out of a folder: two that make Dagster's tables there at once fail, one or both."""
    try:
        file = os.open(folder, os.O_RDONLY)
    except OSError:  # of which Dagster says what is wrong with it
        yield
        return
    try:
        with suppress(OSError):  # there are disks without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


@contextmanager
def _progress_bar() -> Iterator[progress.Listener]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        yield show


def _tables(store: str) -> "StoreTables":
    from novoic_assets.storage.store_tables import StoreTables

    tables = StoreTables(Storage(store, "NOVOIC_STORE"))
    if not tables.patients.exists():
        raise NovoicError("the store that NOVOIC_STORE names has no tables; run `novoic materialize` first")
    return tables


def _published(storage: Storage) -> dict[str, Any]:
    from novoic_assets.training import publish
    from novoic_assets.training.cohorts import COHORTS

    return {cohort.name: publish.current(storage, cohort.name) or {"version": None} for cohort in COHORTS}


def _show_datasets(storage: Storage) -> None:
    table = Table("dataset", "version", "train", "test", "excluded", "quarantined", box=box.SIMPLE_HEAD, pad_edge=False)
    table.caption = "train, test: cases/controls"
    for name, content in _published(storage).items():
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
    _out.print(table)
