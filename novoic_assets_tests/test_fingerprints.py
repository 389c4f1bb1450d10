"""Fingerprints hash plain values, whose text does not change when code is renamed."""

from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import pytest

from novoic_assets.fingerprints import Verbatim, fingerprint


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize("part", [Colour.RED, Number.ONE, True, np.float64(1), np.str_("a"), b"a", ["a"], ("a",)])
def test_a_part_whose_text_could_change_with_a_name_or_a_library_is_not_taken(part: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(part).__name__}"):
        fingerprint("a", part)


def test_a_verbatim_part_is_hashed_as_the_object_was_that_it_stands_for() -> None:
    # The fingerprint from the time when the second part was a member of an enum.
    before = "5499cf54f42e27bb1dbe9626b3d6dcd8"  # pragma: allowlist secret
    assert fingerprint("decoder", Verbatim("<Reason.NO_AUDIO: 'no_audio'>"), None, "audio/a.wav 1 etag") == before
    assert fingerprint(Verbatim("1")) == fingerprint(1)
    assert fingerprint(Verbatim("'a'")) == fingerprint("a") != fingerprint(Verbatim("a"))
