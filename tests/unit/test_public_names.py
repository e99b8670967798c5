"""The names that `from pixcore import …` gives: enough for whoever writes an adapter or starts a chunk."""

import inspect
import subprocess
import sys
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


def imported_by(program: str) -> set[str]:
    """The modules that a fresh process has imported at the end of the program."""
    program += "\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    )


def test_a_module_is_imported_when_a_name_of_it_is_asked_for() -> None:
    """Whoever catches an error of the core does not wait for its pipeline."""
    before = imported_by("import pixcore")
    after = imported_by("from pixcore import InvalidRequest")
    assert {name for name in before if name.startswith("pixcore.")} == set()
    assert after - before == {"pixcore.errors"}


def test_a_decoder_child_starts_without_the_pipeline() -> None:
    """There is one for every core, and each would take a quarter longer to be ready."""
    there = imported_by("import pixcore_adapters.validator.child")
    assert there >= {"pixcore.model.quality", "PIL", "numpy"}
    assert there & {"pixcore.chunk.pipeline", "pixcore.chunk.events", "tenacity", "asyncio"} == set()


def test_the_names_are_there_to_be_found() -> None:
    """In an interpreter's completion and in `help()`, before any of them was used."""
    program = "import pixcore; missing = {*pixcore.__all__} - {*dir(pixcore)}; assert not missing, missing"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_name_that_is_none_is_refused_as_everywhere() -> None:
    """`hasattr` and a wrong import get the answer of any module, for what its modules import for themselves, too."""
    with pytest.raises(AttributeError, match="module 'pixcore' has no attribute 'Path'"):
        _ = pixcore.Path
    with pytest.raises(ImportError, match="cannot import name 'Path' from 'pixcore'"):
        from pixcore import Path  # noqa: F401, PLC0415 - it is the import that is looked at
