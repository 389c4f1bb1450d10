"""Programs that some tests need. A test is skipped only if something that it needs is missing."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

# The Debian package of each program.
_PACKAGES = {
    "buildah": "buildah",
    "chroot": "coreutils",
    "chromium": "chromium",
    "debootstrap": "debootstrap",
    "espeak-ng": "espeak-ng",
    "git": "git",
    "java": "openjdk-17-jre-headless",
    "postgres": "postgresql",
    "unshare": "util-linux",
}


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip tests if a program is not installed, as in `@needs("java")`."""
    missing = [program for program in programs if find(program) is None]
    return pytest.mark.skipif(bool(missing), reason=_reason(missing))


def program(name: str) -> Path:
    """Return the file of a program; skip the calling test if the program is not installed."""
    found = find(name)
    if found is None:
        pytest.skip(_reason([name]))
    return found


def skip(what: str, how: str) -> NoReturn:
    """Skip a test that needs something other than a program.

    Args:
        what: What the test needs.
        how: How to provide it.
    """
    pytest.skip(f"needs {what} ({how})")


def find(program: str) -> Path | None:
    """Return the file of a program; None if it is not installed."""
    home = os.environ.get("JAVA_HOME")
    if program == "java" and home is not None:  # if JAVA_HOME is set, Spark looks only there
        program = str(Path(home, "bin", "java"))
    found = shutil.which(program)
    return None if found is None else Path(found)


def _reason(missing: list[str]) -> str:
    return f"needs {', '.join(missing)} (Debian: {' '.join(_PACKAGES[program] for program in missing)})"
