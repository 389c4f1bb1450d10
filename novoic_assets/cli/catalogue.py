"""Provide the commands that list the computed values and the settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.padding import Padding

from novoic_assets import markdown
from novoic_assets.cli.console import OUT, JsonOption, print_json
from novoic_assets.errors import NovoicError
from novoic_assets.settings import S3_VARIABLES, VARIABLES, Variable
from novoic_assets.settings import settings as read_settings

IntoOption = Annotated[Path | None, typer.Option(help="Write tables in Markdown into this page, between its marks.")]


def features(as_json: JsonOption = False, into: IntoOption = None) -> None:  # noqa: FBT002 - a flag
    """Show every computed value: its formula, its unit, what makes it NaN, and its caveats."""
    from novoic_assets.features import describe
    from novoic_assets.resources.configured import FeatureSettingsResource

    chosen = FeatureSettingsResource()
    families = [*chosen.text_families, *chosen.audio_families]
    if as_json:
        print_json(describe.to_json(families))
        return
    if into is not None:
        _rewrite(into, lambda page: describe.with_tables(page, families), "the catalogue")
        return
    for family in families:
        OUT.print(f"\n{family.name}: {family.description} ({', '.join(family.speakers)})", style="bold")
        for entry in describe.entries(family):
            facts = {"typical": entry.typical, "NaN": entry.undefined, "needs": entry.least, "flags": entry.flags}
            details = "; ".join(f"{what} {fact}" for what, fact in facts.items() if fact)
            OUT.print(f"  {entry.names.replace('`', '')} [{entry.unit}]", style="cyan")
            OUT.print(Padding(f"{entry.formula} ({entry.source})", (0, 0, 0, 6)))
            if details:
                OUT.print(Padding(details, (0, 0, 0, 6)), style="dim")
    OUT.print("\nFlags: L grows with length, G depends on gain. Any value is NaN where its speaker says nothing.")


def settings(as_json: JsonOption = False, into: IntoOption = None) -> None:  # noqa: FBT002 - a flag
    """Show every setting: its meaning, the values it takes, its default and its value in the environment."""
    if into is not None:
        _rewrite(into, with_settings, "the settings and the S3 settings")
        return
    variables = (*_OWN_VARIABLES, *S3_VARIABLES)
    if as_json:
        print_json([_plain(variable) for variable in variables])
    else:
        for setting in map(_plain, variables):
            value, default = setting["value"], setting["default"]
            state = (
                f"set to {value}"
                if value and not setting["secret"]
                else value or (f"default {default}" if default else "not set")
            )
            OUT.print(f"\n{', '.join(setting['names'])}: {state}", style="cyan" if value else None)
            OUT.print(Padding(f"{setting['meaning']} Takes {setting['takes']}.", (0, 0, 0, 6)))
    read_settings()  # after the list, which shows the value; an error of a setting does not


def _plain(variable: Variable) -> dict[str, Any]:
    return {
        "names": list(variable.names),
        "value": variable.shown(),
        "secret": variable.is_secret,
        "default": variable.default or None,
        "takes": variable.takes.replace("`", ""),
        "meaning": variable.meaning.replace("`", ""),
    }


def with_settings(page: str) -> str:
    """Return a Markdown page with the two tables of settings, each between its marks.

    Raises:
        ValueError: The page does not have the marks.
    """
    page = markdown.replace_part(page, "settings", _table(_OWN_VARIABLES))
    return markdown.replace_part(page, "S3 settings", _table(S3_VARIABLES))


_OWN_VARIABLES = tuple(variable for variable in VARIABLES.values() if variable not in S3_VARIABLES)


def _table(variables: tuple[Variable, ...]) -> str:
    rows = (
        (
            ", ".join(f"`{name}`" for name in variable.names),
            f"`{variable.default}`" if variable.default else "",
            variable.takes,
            variable.meaning,
        )
        for variable in variables
    )
    return markdown.table(("variable", "default", "takes", "meaning"), rows)


def _rewrite(into: Path, change: Callable[[str], str], parts: str) -> None:
    try:
        into.write_text(change(into.read_text("utf-8")), "utf-8")
    except (OSError, ValueError):
        raise NovoicError(
            f"--into cannot rewrite this page; name a readable UTF-8 page that has the marks of {parts}"
        ) from None
