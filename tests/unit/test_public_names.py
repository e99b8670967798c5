"""The names of `from pixcore import …` are enough to write an adapter or run a chunk."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

import pixcore


def mentioned(kind: object) -> Iterator[type]:
    """Yield the classes of the core in a type, at any depth."""
    if isinstance(kind, type) and kind.__module__.startswith("pixcore."):
        yield kind
    for part in get_args(kind):
        for one in part if isinstance(part, list) else [part]:  # the arguments of a callable are a list
            yield from mentioned(one)


def signatures(public: Any) -> Iterator[Any]:  # noqa: ANN401 - a class, a function or a type
    """Yield a public class or function, and the methods and properties of a class."""
    if not inspect.isclass(public) and not inspect.isfunction(public):
        return
    yield public
    for name, member in vars(public).items():
        function = getattr(getattr(member, "fget", member), "__func__", getattr(member, "fget", member))
        if inspect.isfunction(function) and (name == "__init__" or not name.startswith("_")):
            yield function


def test_types_in_public_signatures_are_public() -> None:
    """Users need these classes to annotate, create or match values without importing modules of the core."""
    public = [getattr(pixcore, name) for name in pixcore.__all__]
    needed = {
        kind
        for name in public
        for signature in signatures(name)
        for hint in get_type_hints(signature).values()
        for kind in mentioned(hint)
    }
    assert len(needed) > 30
    assert sorted(kind.__name__ for kind in needed if kind.__name__ not in pixcore.__all__) == []


def test_every_public_class_has_a_docstring() -> None:
    """A docstring that is inherited from a base class would mislead a reader of `help()`."""
    undocumented = [
        name
        for name in pixcore.__all__
        if isinstance(kind := getattr(pixcore, name), type) and not (vars(kind).get("__doc__") or "").strip()
    ]
    assert undocumented == []


def test_an_unknown_name_is_refused_as_in_any_module() -> None:
    """`hasattr` and imports must behave as usual, also for names that the modules themselves import."""
    with pytest.raises(AttributeError, match="module 'pixcore' has no attribute 'Path'"):
        _ = pixcore.Path
    with pytest.raises(ImportError, match="cannot import name 'Path' from 'pixcore'"):
        from pixcore import Path  # noqa: F401, PLC0415 - the test checks this import
