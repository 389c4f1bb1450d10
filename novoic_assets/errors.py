"""Errors that a user may see.

The command line and Dagster's log show their messages. So a message says what is wrong and what to do, and never quotes
a session id, a speaker id, a file name or a transcript word.
"""

import traceback
from pathlib import PurePath


class NovoicError(Exception):
    """A run or a command cannot go on; the message is one line that is safe to show."""


class SettingError(NovoicError):
    """A setting cannot be read, or takes something else."""


class ModelError(NovoicError):
    """A model that families need is missing, or cannot be used."""


class StorageError(NovoicError):
    """The raw folder or the store cannot be read or written."""


class MassRemovalError(NovoicError):
    """A listing lost so many known inputs that a person must confirm their removal."""


def type_and_place(error: BaseException) -> str:
    """Describe an exception by its type and place.

    Args:
        error: The exception. Its text is left out, as it may quote the input.

    Returns:
        The type and, if the exception was raised, the file and line, such as `ValueError at parsing.py:12`.

    >>> type_and_place(ValueError("a secret"))
    'ValueError'
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
