"""Outcomes of checks, independent of Dagster."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        name: The check's name.
        passed: Whether the check passed.
        is_error: Whether a failure is an error rather than a warning.
        description: The outcome in one sentence, without ids.
        counts: The numbers behind the outcome, by name.
    """

    name: str
    passed: bool
    is_error: bool
    description: str
    counts: Mapping[str, int] = field(default_factory=dict)
