"""Fingerprints: short hashes that tell whether what a row was computed from has changed."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A part that is hashed as this text, not as the text's `repr`.

    For parts that were hashed by the `repr` of an object: the text is then written out where it is used, so that the
    object may change its name.

    Attributes:
        text: What is hashed.
    """

    text: str


def fingerprint(*parts: str | float | Verbatim | None) -> str:
    """A short hash of an ordered list of parts.

    Args:
        parts: What a result depends on. Each is written with its type and length, so that no two lists
            share their bytes.

    Returns:
        32 hexadecimal digits.

    Raises:
        TypeError: A part is of another type. A subclass is one, too: the `repr` of an enum's member, say, changes with
            the enum's name, and with it the fingerprints of all rows.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        text = _written(part).encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(text))
        digest.update(text)
    return digest.hexdigest()


def _written(part: str | float | Verbatim | None) -> str:
    if type(part) is Verbatim:
        return part.text
    if type(part) not in (str, int, float, type(None)):
        raise TypeError(f"a fingerprint is made of str, int, float, None and Verbatim, not of {type(part).__name__}")
    return repr(part)
