"""Settings that are numbers, read from the environment."""

import os

from novoic_assets.errors import NovoicError


def whole_number(name: str, default: int, least: int = 0) -> int:
    """The number that an environment variable gives.

    Args:
        name: The variable.
        default: The number where it is not set, or empty.
        least: The least number that is allowed.

    Raises:
        NovoicError: It gives no such number.
    """
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise NovoicError(f"{name} takes a whole number, {least} or more")
    return int(text)
