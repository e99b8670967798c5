"""Adapters of other distributions, by entry point. They are looked for only under names that pixcore does not know.

What each group's entry points stand for is told in docs/extending.md.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from pixcore import InvalidRequest
from pixcore.errors import one_line

BLOB_STORES = "pixcore.blob_stores"
SOURCES = "pixcore.sources"
ARCHIVERS = "pixcore.archivers"

V = TypeVar("V")


def plugin(group: str, name: str) -> Callable[..., Any] | None:
    """What makes the adapter of that name; None where no installed distribution brings one.

    Raises:
        InvalidRequest: It cannot be loaded, or more than one distribution brings it.
    """
    match tuple(entry_points(group=group, name=name)):
        case ():
            return None
        case (only,):
            return _loaded(only)
        case several:
            raise InvalidRequest(
                f"{' and '.join(sorted(map(_distribution, several)))} each bring a {name!r} for {group}; uninstall all"
                " but one"
            )


def offered(group: str) -> tuple[str, ...]:
    """The names that installed distributions bring, in order; none is loaded."""
    return tuple(sorted(entry_points(group=group).names))


class Extended(Mapping[str, V]):
    """A mapping that looks further: what is not ``known`` is taken from ``find``, once, which may raise KeyError.

    Iterating gives what is known by then.
    """

    def __init__(self, known: Mapping[str, V], find: Callable[[str], V]) -> None:
        self._known, self._find = dict(known), find

    def __getitem__(self, name: str) -> V:
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _loaded(entry: EntryPoint) -> Callable[..., Any]:
    try:
        make: Callable[..., Any] = entry.load()
    except Exception as exc:  # what a stranger's module does while it is imported is its own affair
        raise InvalidRequest(
            f"{entry.name!r} of {_distribution(entry)} cannot be loaded: {one_line(exc)}; mend or uninstall that"
        ) from exc
    return make


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value
