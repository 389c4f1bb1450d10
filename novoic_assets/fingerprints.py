"""Fingerprints: short hashes that show whether the inputs of a row have changed."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A part whose text is hashed as it is, without `repr`.

    Use it where older fingerprints hash the `repr` of an object. The calling code writes that text out, so the object
    can be renamed without changing fingerprints.

    Attributes:
        text: The text to hash.
    """

    text: str


def fingerprint(*parts: str | float | Verbatim | None) -> str:
    """Hash an ordered list of parts.

    Args:
        parts: Everything a result depends on. Each part is hashed with its type and length, so different lists never
            hash the same bytes.

    Returns:
        32 hexadecimal digits.

    Raises:
        TypeError: A part has another type. Subclasses are refused too. For example, the `repr` of an enum member
            contains the name of the enum, so renaming the enum would change the fingerprints of all rows.

    >>> fingerprint("mfcc", 3, 0.5, None)[:8]
    '63b3e0b6'
    >>> fingerprint("1") == fingerprint(1)
    False
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
        raise TypeError(f"a fingerprint takes str, int, float, None and Verbatim, not {type(part).__name__}")
    return repr(part)
