"""The errors a user may see.

Their messages are shown at the command line and in Dagster's log, so they say what is wrong and what
to do, and never quote a session id, a speaker id, a file name or a transcript word.
"""

import traceback
from pathlib import PurePath


class NovoicError(Exception):
    """Something that stops a run or a command, told in one line that is safe to show."""


class StorageError(NovoicError):
    """The raw folder or the store cannot be read or written."""


class MassRemovalError(NovoicError):
    """A listing lost so many known inputs that removing them needs somebody's word."""


def type_and_place(error: BaseException) -> str:
    """An exception's type and where it was raised; never its text, which may quote the input."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
