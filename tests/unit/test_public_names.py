"""The names that `from pixcore import …` gives: enough for whoever writes an adapter or starts a chunk."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

import pixcore


def mentioned(kind: object) -> Iterator[type]:
    """The classes of the core in a type, however deep inside it."""
    if isinstance(kind, type) and kind.__module__.startswith("pixcore."):
        yield kind
    for part in get_args(kind):
        for one in part if isinstance(part, list) else [part]:  # the arguments of a callable are a list
            yield from mentioned(one)


def signatures(public: Any) -> Iterator[Any]:  # noqa: ANN401 - a class, a function or a type
    """The public name itself, and, of a class, its methods and properties."""
    if not inspect.isclass(public) and not inspect.isfunction(public):
        return
    yield public
    for name, member in vars(public).items():
        function = getattr(getattr(member, "fget", member), "__func__", getattr(member, "fget", member))
        if inspect.isfunction(function) and (name == "__init__" or not name.startswith("_")):
            yield function


def test_what_a_public_name_takes_or_gives_is_public() -> None:
    """Nobody can annotate, build or match a value whose class has to be looked for in the core's modules."""
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


def test_every_public_name_says_what_it_is() -> None:
    """To `help()`, in its own words: not in those of a class that it inherits from."""
    undocumented = [
        name
        for name in pixcore.__all__
        if isinstance(kind := getattr(pixcore, name), type) and not (vars(kind).get("__doc__") or "").strip()
    ]
    assert undocumented == []


def test_a_name_that_is_none_is_refused_as_everywhere() -> None:
    """`hasattr` and a wrong import get the answer of any module, for what its modules import for themselves, too."""
    with pytest.raises(AttributeError, match="module 'pixcore' has no attribute 'Path'"):
        _ = pixcore.Path
    with pytest.raises(ImportError, match="cannot import name 'Path' from 'pixcore'"):
        from pixcore import Path  # noqa: F401, PLC0415 - it is the import that is looked at
