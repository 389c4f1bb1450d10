"""The report: a JSON with each part's last results, and the page and pictures made from it."""

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.common import WORKERS, Figures
from benchmarks.measure import machine, now
from benchmarks.part import Part, Target, table
from benchmarks.plots import save

_NAME: Final = "performance"
_INTRODUCTION: Final = (
    "# Performance\n\n`python -m benchmarks` writes this page; `performance.json` has all figures and versions. 1 MB"
    " is 1,000,000 bytes. Unless a section says otherwise, a _run_ is `novoic materialize` with NOVOIC_WORKERS="
    f"{WORKERS} and two families, `word_vector` and `mfcc`, in which the platform's own cost shows. _Workers_ counts"
    " worker processes; with 0 the command did the work itself. _Linked_ recordings are hard links to few files, so"
    " the disk is hardly read."
)


class Report:
    """The results of all parts.

    Attributes:
        folder: The folder of the page, the JSON and the pictures.
    """

    def __init__(self, folder: Path, parts: tuple[Part, ...]) -> None:
        self.folder = folder
        self._parts = parts
        self._path = folder / f"{_NAME}.json"
        self._results: dict[str, Any] = json.loads(self._path.read_text("utf-8")) if self._path.exists() else {}

    def is_full(self, part: Part) -> bool:
        """Whether the part has a result of the full form, which the short form must not replace."""
        return part.name in self._results and not self._results[part.name]["short"]

    def add(self, part: Part, figures: Figures, *, short: bool, seconds: float, load: float) -> None:
        """Replace a part's last result, and write everything.

        Args:
            part: The part.
            figures: Its measurements.
            short: Whether they are of the short form.
            seconds: How long measuring took.
            load: How many processes wanted a core, on average of the minute before; a busy machine distorts figures.
        """
        self._results[part.name] = {
            "measured": now(),
            "short": short,
            "took_s": round(seconds, 1),
            "load": round(load, 1),
            "machine": machine(),
            "figures": _rounded(figures),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._results, indent=1, sort_keys=True) + "\n", "utf-8")
        self.write()

    def write(self) -> None:
        """Write the page and the pictures from the results."""
        (self.folder / f"{_NAME}.md").write_text(self.markdown(), "utf-8")
        for part, result in self._measured():
            for name, drawn in part.plots(result["figures"]).items():
                save(drawn, self.folder / f"{_NAME}-{name}.svg")

    def markdown(self) -> str:
        """Return the page."""
        measured = self._measured()
        machines = list(dict.fromkeys(_describe(result["machine"]) for _, result in measured))
        sections = [
            _INTRODUCTION,
            "## Targets\n\n" + self._targets(),
            "## Machines\n\n" + "\n".join(f"{number}. {machine}" for number, machine in enumerate(machines, 1)),
        ]
        for part, result in measured:
            machine = machines.index(_describe(result["machine"])) + 1
            load = f", load {result['load']:g} before" if "load" in result else ""
            text = f"## {part.title}\n\n_{result['measured'][:10]}, machine {machine}{load}._"
            if result["short"]:
                text += " _Short form: sizes are small, so start-up dominates._"
            text += f"\n\n{part.markdown(result['figures'])}"
            for name in part.plots(result["figures"]):
                text += f"\n\n![{part.title}]({_NAME}-{name}.svg)"
            sections.append(text)
        return "\n\n".join(sections) + "\n"

    def _measured(self) -> list[tuple[Part, Any]]:
        return [(part, self._results[part.name]) for part in self._parts if part.name in self._results]

    def _targets(self) -> str:
        rows = []
        for part in self._parts:
            for target in part.targets:
                limit = f"{'at least' if target.at_least else 'at most'} {_number(target.limit, target.unit)}"
                rows.append((target.text, limit, self._reached(part, target)))
        return table(("", "target", "reached"), rows)

    def _reached(self, part: Part, target: Target) -> str:
        result = self._results.get(part.name)
        value = target.reached(result["figures"]) if result else None
        if result is None or value is None:
            return "not measured"
        text = _number(value, target.unit)
        if result["short"]:
            return f"{text} (short form)"
        return text if target.is_met(result["figures"]) else f"**{text}, not reached**"


def _describe(machine: Figures) -> str:
    system = machine["os"].partition(",")[0]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:g} GB of memory, {system},"
        f" Python {machine['python']}"
    )


def _number(value: float, unit: str) -> str:
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.6f}"
    return f"{digits.rstrip('0') if '.' in digits else digits} {unit}".strip()


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Round every number to six significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
