"""Fingerprints: short hashes that tell whether what a row was computed from has changed."""

import hashlib


def fingerprint(*parts: str | float | None) -> str:
    """A short hash of an ordered list of parts.

    Args:
        parts: What a result depends on. Each is written with its type and length, so that no two lists
            share their bytes.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        text = repr(part).encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(text))
        digest.update(text)
    return digest.hexdigest()
