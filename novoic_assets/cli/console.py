"""Share options and printing between the commands."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.console import Console

from novoic_assets import progress
from novoic_assets.settings import VARIABLES, settings

# Names and messages are printed literally: `[red]` and `:cat:` have no meaning in them.
OUT: Final = Console(markup=False, emoji=False, highlight=False)
ERR: Final = Console(stderr=True, markup=False, emoji=False, highlight=False)

# The defaults are functions, so that an invalid setting fails the commands that use it, and not `--help`.
RawOption = Annotated[
    str,
    typer.Option(
        "--raw",
        default_factory=lambda: settings().raw,
        help=VARIABLES["raw"].help,
        show_default=VARIABLES["raw"].default,
    ),
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        default_factory=lambda: settings().store,
        help=VARIABLES["store"].help,
        show_default=VARIABLES["store"].default,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(content: object) -> None:
    """Print JSON on stdout, for other programs."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def progress_bar() -> Iterator[progress.Listener]:
    """Show a progress bar in a terminal while the context lasts.

    Yields:
        The listener to call with progress.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        yield show
