"""What has to be installed for some tests. A test is skipped where that is missing, and for no other reason."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

# The package of Debian that a program comes with.
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
    """Mark tests that run where all of some programs are installed: `@needs("java")`."""
    missing = [program for program in programs if find(program) is None]
    return pytest.mark.skipif(bool(missing), reason=_reason(missing))


def program(name: str) -> Path:
    """The file of a program; skips the test that asks where the program is not installed."""
    found = find(name)
    if found is None:
        pytest.skip(_reason([name]))
    return found


def skip(what: str, how: str) -> NoReturn:
    """Skip a test that needs something else than a program: what, and how to give it."""
    pytest.skip(f"needs {what} ({how})")


def find(program: str) -> Path | None:
    """The file of a program; None where it is not installed."""
    home = os.environ.get("JAVA_HOME")
    if program == "java" and home is not None:  # Spark then looks nowhere else
        program = str(Path(home, "bin", "java"))
    found = shutil.which(program)
    return None if found is None else Path(found)


def _reason(missing: list[str]) -> str:
    return f"needs {', '.join(missing)} (Debian: {' '.join(_PACKAGES[program] for program in missing)})"
