"""The report: a JSON that keeps each part's last results, and a page and pictures made from it."""

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.common import Figures, note
from benchmarks.measure import machine, now
from benchmarks.part import Part, Target, table
from benchmarks.plots import save

_NAME: Final = "performance"
_INTRODUCTION: Final = (
    "# Performance\n\nMeasured by `python -m benchmarks`; `performance.json` has all figures. 1 MB is 1,000,000 bytes."
    " Where it is not said otherwise, the families are `word_vector` and `mfcc` alone."
)
_LARGEST_PICTURE: Final = 100_000  # bytes


class Report:
    """Results of all parts, in a folder.

    Attributes:
        folder: Where the page, the JSON and the pictures are.
    """

    def __init__(self, folder: Path, parts: tuple[Part, ...]) -> None:
        self.folder = folder
        self._parts = parts
        self._path = folder / f"{_NAME}.json"
        self._results: dict[str, Any] = json.loads(self._path.read_text("utf-8")) if self._path.exists() else {}

    def is_full(self, part: Part) -> bool:
        """Whether there is a result of the full form, which one of the short form must not replace."""
        return part.name in self._results and not self._results[part.name]["short"]

    def add(self, part: Part, figures: Figures, *, short: bool, seconds: float) -> None:
        """Put a part's result in the place of its last one, and write everything."""
        self._results[part.name] = {
            "measured": now(),
            "short": short,
            "took_s": round(seconds, 1),
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
                path = self.folder / f"{_NAME}-{name}.svg"
                save(drawn, path)
                if path.stat().st_size > _LARGEST_PICTURE:
                    note(f"{path.name} is larger than {_LARGEST_PICTURE:,} bytes")

    def markdown(self) -> str:
        """The page."""
        sections = [
            _INTRODUCTION,
            self._machines(),
            "## Targets\n\n" + self._targets(),
        ]
        for part, result in self._measured():
            text = f"## {part.title}\n\n"
            if result["short"]:
                text += "_Short form: sizes are small, and start-up is most of it._\n\n"
            text += part.markdown(result["figures"])
            for name in part.plots(result["figures"]):
                text += f"\n\n![{part.title}]({_NAME}-{name}.svg)"
            sections.append(text)
        return "\n\n".join(sections) + "\n"

    def _measured(self) -> list[tuple[Part, Any]]:
        return [(part, self._results[part.name]) for part in self._parts if part.name in self._results]

    def _machines(self) -> str:
        by_machine: dict[str, list[tuple[Part, Any]]] = {}
        for part, result in self._measured():
            by_machine.setdefault(json.dumps(result["machine"], sort_keys=True), []).append((part, result))
        texts = []
        for described, measured in by_machine.items():
            one = json.loads(described)
            packages = ", ".join(f"{name} {version}" for name, version in one["packages"].items())
            days = sorted({result["measured"][:10] for _, result in measured})
            parts = "" if len(by_machine) == 1 else f" ({', '.join(part.name for part, _ in measured)})"
            texts.append(
                f"{' to '.join(dict.fromkeys((days[0], days[-1])))}{parts}: {one['cpu']}, {one['cores']} cores,"
                f" {one['memory_gb']:g} GB of memory; {one['os']}; Python {one['python']}; {packages}."
            )
        return "## Machine\n\n" + "\n\n".join(texts)

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


def _number(value: float, unit: str) -> str:
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.6f}"
    return f"{digits.rstrip('0') if '.' in digits else digits} {unit}".strip()


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """The same with six significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
