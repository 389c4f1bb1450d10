"""What a check found, apart from Dagster."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        name: The check's name.
        passed: Whether all was well.
        is_error: Whether a failure is an error; else it is a warning.
        description: What was found, in a sentence without ids.
        counts: The numbers behind it.
    """

    name: str
    passed: bool
    is_error: bool
    description: str
    counts: Mapping[str, int] = field(default_factory=dict)
