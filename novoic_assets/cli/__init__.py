"""Provide the `novoic` command: Dagster's job, the sample corpus and the store's contents in a terminal.

The command adds no logic: a run is the same job that Dagster's own commands and its UI start. Each module holds the
commands of one subject. Heavy imports stay inside the commands, so that `novoic --help` answers at once.
"""

import sys

import typer

from novoic_assets.cli import catalogue, history, runs, store
from novoic_assets.cli.console import ERR
from novoic_assets.errors import NovoicError, type_and_place

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for _command in (
    runs.demo,
    runs.materialize,
    runs.synth,
    store.datasets,
    store.quarantine,
    store.identify,
    catalogue.features,
    catalogue.settings,
    history.purge_history,
):
    app.command()(_command)


def main() -> None:
    """Run a command; a failure prints one line on stderr and exits with 1."""
    try:
        app()
    except NovoicError as error:
        _fail(str(error))
    except Exception as error:  # noqa: BLE001 - its text may quote the data, so print only type and place
        _fail(f"unexpected {type_and_place(error)}; please report it")


def _fail(message: str) -> None:
    ERR.print(f"novoic: {message}", style="red", soft_wrap=True)
    sys.exit(1)
