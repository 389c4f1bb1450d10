"""Extensions: objects that installed packages add through entry points, and settings by name."""

import functools
import importlib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from novoic_assets.errors import NovoicError, type_and_place


@functools.cache
def added(group: str, kind: type | tuple[type, ...], items: tuple[str, ...] = (), setting: str = "") -> tuple[Any, ...]:
    """Load the objects that installed packages and a setting add.

    Args:
        group: The group of entry points, such as `novoic_assets.families`.
        kind: The class, or classes, that each object must be an instance of.
        items: Further objects, each as `package.module:object`.
        setting: Name of the setting that gave the further objects; error messages name it.

    Returns:
        The objects of the entry points, sorted by the entry points' names, then the further objects. They are loaded
        once in each process.

    Raises:
        NovoicError: An object cannot be imported, or has another class.
    """
    found: list[tuple[str, Callable[[], object]]] = [
        *(
            (f"the entry point {point.name} of {group}", point.load)
            for point in sorted(entry_points(group=group), key=lambda point: point.name)
        ),
        *((f"{item} of {setting}", functools.partial(_object, item)) for item in items),
    ]
    return tuple(_loaded(what, load, kind) for what, load in found)


def _loaded(what: str, load: Callable[[], object], kind: type | tuple[type, ...]) -> object:
    failure, advice, entry = "", "", None
    try:
        entry = load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing another package's module may raise anything
        failure = type_and_place(error)
        advice = "install its package" if isinstance(error, ImportError) else "fix its package"
    # Raise outside the handler: a chained exception would show its text, which may quote anything.
    if failure:
        raise NovoicError(f"{what} cannot be imported ({failure}); {advice}, or remove it")
    if not isinstance(entry, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise NovoicError(f"{what} is not an object of {' or '.join(each.__name__ for each in kinds)}")
    return entry


def _object(item: str) -> object:
    module, _, name = item.partition(":")
    return getattr(importlib.import_module(module), name)
