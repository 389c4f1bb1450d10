"""Provide the commands that run the job in this process, and that write the sample corpus."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novoic_assets import progress
from novoic_assets.cli.console import ERR, OUT, RawOption, StoreOption, progress_bar
from novoic_assets.cli.history import open_instance
from novoic_assets.cli.store import show_datasets
from novoic_assets.errors import NovoicError

if TYPE_CHECKING:
    import dagster as dg

    from novoic_assets.synthetic.corpus import CorpusSettings


def demo(raw: RawOption, store: StoreOption) -> None:
    """Write the sample corpus if the raw folder has no data, materialize everything and show the datasets."""
    from novoic_assets.storage.files import Storage

    source = Storage(raw, "NOVOIC_RAW")
    if not source.has_folder(".") or source.stat("metadata.csv") is None:
        from novoic_assets.synthetic.corpus import CorpusSettings

        if source.is_remote:
            raise NovoicError("the bucket that NOVOIC_RAW names has no metadata.csv; the sample corpus needs a folder")
        _write_corpus(Path(raw), CorpusSettings())
    _materialize(raw, store, select=None, confirm_removal=False)
    show_datasets(store)


def materialize(
    raw: RawOption,
    store: StoreOption,
    select: Annotated[
        str | None, typer.Option(help="Assets, in Dagster's selection syntax, such as text_features or +ad_vs_hc.")
    ] = None,
    confirm_removal: Annotated[  # noqa: FBT002 - a flag of the command line
        bool, typer.Option("--confirm-removal", help="Remove sessions even if many are gone from the raw folder.")
    ] = False,
) -> None:
    """Compute what is new or changed in the raw folder, and publish the datasets."""
    _materialize(raw, store, select=select, confirm_removal=confirm_removal)
    show_datasets(store)


def synth(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; it must not hold sessions.")],
    sessions: Annotated[int, typer.Option(min=1, help="Number of sessions.")] = 72,
    minutes: Annotated[float, typer.Option(help="Mean minutes of a session.")] = 0.85,
    seed: Annotated[int, typer.Option(min=0, help="Random seed; equal seeds give equal corpora.")] = 0,
    sample_rate: Annotated[int, typer.Option(help="Samples per second.")] = 16_000,
    effect: Annotated[float, typer.Option(help="How much cases differ from controls; 0 means not at all.")] = 1.0,
) -> None:
    """Write a synthetic sample corpus."""
    from novoic_assets.synthetic.corpus import CorpusSettings

    _write_corpus(
        folder,
        CorpusSettings(sessions=sessions, minutes=minutes, seed=seed, sample_rate=sample_rate, effect=effect),
    )


def _write_corpus(folder: Path, settings: "CorpusSettings") -> None:
    from novoic_assets.synthetic.corpus import write_corpus

    with progress_bar() as show:
        summary = write_corpus(folder, settings, progress=lambda done, total: show("sample corpus", done, total))
    OUT.print(
        f"Wrote a synthetic corpus: {summary.patients} patients, {summary.sessions} sessions,"
        f" {summary.seconds / 60:.0f} minutes."
    )


def _materialize(raw: str, store: str, *, select: str | None, confirm_removal: bool) -> None:
    # Dagster and its libraries warn on stderr about their own future versions. No user of this command can act on that.
    warnings.filterwarnings("ignore")
    import dagster as dg

    from novoic_assets.assets.raw import RAW_NAMES
    from novoic_assets.definitions import MATERIALIZE_ALL, defs

    job = defs.resolve_job_def(MATERIALIZE_ALL)
    selection = None
    if select is not None:
        try:
            selection = sorted(dg.AssetSelection.from_string(select).resolve(defs.resolve_asset_graph()))
        except dg.DagsterError:
            selection = []
        if not selection:
            raise NovoicError(
                "--select names no asset; `dagster asset list -m novoic_assets.definitions` lists all assets"
            )
    chosen = {key.to_user_string() for key in selection} if selection is not None else set(RAW_NAMES)
    run_config = {
        "resources": {"raw": {"config": {"root": raw}}, "store": {"config": {"root": store}}},
        "ops": {name: {"config": {"confirm_removal": confirm_removal}} for name in RAW_NAMES if name in chosen},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    with open_instance() as instance, progress_bar() as show, progress.listening(show):
        result = job.execute_in_process(
            run_config=run_config, instance=instance, asset_selection=selection, raise_on_error=False
        )
    for evaluation in result.get_asset_check_evaluations():
        if not evaluation.passed:
            kind = "warning" if evaluation.severity == dg.AssetCheckSeverity.WARN else "error"
            ERR.print(
                f"{kind}: {evaluation.asset_key.to_user_string()}: {evaluation.description}",
                style="yellow" if kind == "warning" else "red",
                soft_wrap=True,
            )
    if not result.success:
        raise NovoicError("; ".join(_failures(result)) or "the run failed")


def _failures(result: "dg.ExecuteInProcessResult") -> list[str]:
    steps: dict[str, list[str]] = {}  # by message: several steps may fail for one reason
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            steps.setdefault((failure and failure.description) or "failed", []).append(str(event.step_key))
    return [f"{', '.join(names)}: {message}" for message, names in steps.items()]
