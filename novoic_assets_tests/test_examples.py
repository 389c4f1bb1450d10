"""The examples in docstrings are true: each is run."""

import doctest
import importlib
from pathlib import Path

import pytest

import novoic_assets

PACKAGE = Path(novoic_assets.__file__).parent
EXAMPLES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text()
]


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("module", EXAMPLES)
def test_the_examples_of_a_module_are_true(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0
