"""Numbers in the environment."""

import pytest

from novoic_assets.errors import NovoicError
from novoic_assets.settings import whole_number


@pytest.mark.parametrize(("text", "number"), [("12", 12), ("0", 0), ("", 7), (None, 7)])
def test_a_number_is_taken_and_nothing_is_the_default(
    monkeypatch: pytest.MonkeyPatch, text: str | None, number: int
) -> None:
    if text is not None:
        monkeypatch.setenv("NOVOIC_NUMBER", text)
    assert whole_number("NOVOIC_NUMBER", 7) == number


@pytest.mark.parametrize("text", ["two", "-1", "1.5", "1e3", "٣", " 2"])
def test_what_is_no_number_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("NOVOIC_NUMBER", text)
    with pytest.raises(NovoicError, match="NOVOIC_NUMBER takes a whole number, 0 or more"):
        whole_number("NOVOIC_NUMBER", 7)


def test_a_number_may_have_a_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVOIC_NUMBER", "0")
    with pytest.raises(NovoicError, match="1 or more"):
        whole_number("NOVOIC_NUMBER", 7, least=1)
