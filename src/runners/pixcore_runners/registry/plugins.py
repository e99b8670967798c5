"""Adapters of other distributions, found by entry point. docs/extending.md describes the groups."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pixcore import InvalidRequest
from pixcore.errors import one_line


def plugin(group: str, name: str) -> Callable[..., Any] | None:
    """Return the callable that makes the adapter of that name, or None if no installed distribution registers it.

    Raises:
        InvalidRequest: It cannot be loaded, or more than one distribution registers it.
    """
    match tuple(entry_points(group=group, name=name)):
        case ():
            return None
        case (only,):
            return _loaded(only)
        case several:
            raise InvalidRequest(
                f"{' and '.join(sorted(map(_distribution, several)))} each register {name!r} as one of {group};"
                " uninstall all but one"
            )


def offered(group: str) -> tuple[str, ...]:
    """Return the names that installed distributions register, in alphabetical order, without loading any."""
    return tuple(sorted(entry_points(group=group).names))


def _loaded(entry: EntryPoint) -> Callable[..., Any]:
    try:
        make: Callable[..., Any] = entry.load()
    except Exception as exc:  # importing another distribution's module may raise anything
        raise InvalidRequest(
            f"{entry.name!r} of {_distribution(entry)} cannot be loaded: {one_line(exc)}; repair or uninstall"
            f" {_distribution(entry)}"
        ) from exc
    return make


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value
