"""A table of adapters by name. Built-in ones are imported on use; other names are looked up as entry points."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from operator import attrgetter
from typing import Any

from attrs import frozen

from pixcore import InvalidRequest
from pixcore_runners.registry.plugins import offered, plugin


@frozen
class Builtin:
    """One adapter of pixcore.

    Attributes:
        target: The callable that makes it, as ``module:attribute``, in the form of an entry point.
        extra: The extra of pixcore that installs the packages it needs; empty if it needs none.
        form: The form of its URL; empty if users write its name.
    """

    target: str
    extra: str = ""
    form: str = ""

    def load(self) -> Callable[..., Any]:
        """Import the callable.

        Raises:
            InvalidRequest: A package of the extra is not installed.
        """
        module, _, attribute = self.target.partition(":")
        with needing(self.extra):
            make: Callable[..., Any] = attrgetter(attribute)(import_module(module))
        return make


@frozen
class Table:
    """The adapters of one kind. All of them, built-in or not, are made by the same call.

    Attributes:
        builtin: The adapters of pixcore by name. Plug-ins cannot replace them.
        group: The group of entry points under which other distributions register theirs; empty if they cannot.
    """

    builtin: Mapping[str, Builtin]
    group: str = ""

    def __contains__(self, name: object) -> bool:
        return name in self.builtin or name in self._plugins()

    def __iter__(self) -> Iterator[str]:
        """Yield the built-in names in the order of the table, then the names of plug-ins in alphabetical order."""
        return iter(dict.fromkeys((*self.builtin, *self._plugins())))

    def forms(self) -> list[str]:
        """Return how users write each adapter of a kind that is named by URLs, in the order of iteration."""
        return [self.builtin[name].form if name in self.builtin else f"{name}:" for name in self]

    def find(self, name: str) -> Callable[..., Any] | None:
        """Return the callable that makes the adapter, or None if there is no adapter of that name.

        Raises:
            InvalidRequest: It cannot be imported, or more than one distribution registers the name.
        """
        if name in self.builtin:
            return self.builtin[name].load()
        return plugin(self.group, name) if self.group else None

    def _plugins(self) -> tuple[str, ...]:
        return offered(self.group) if self.group else ()


@contextmanager
def needing(extra: str) -> Generator[None]:
    """Name the extra to install if an import inside the block finds a package missing.

    Raises:
        InvalidRequest: A package is not installed. Without an ``extra``, the original error is raised.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        if not extra:
            raise
        raise InvalidRequest(f"{exc.name} is not installed; pip install 'pixcore[{extra}]'") from exc
