"""The names of `from pixcore import …` are enough to write an adapter or run a chunk."""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import pixcore
import pixcore_runners.library

LIBRARY = {"Dataset", "Picture", "Report", "collect", "collect_async", "open"}


def stub_of(package: Any) -> ast.Module:  # noqa: ANN401 - a module
    """Return the parsed stub of a package."""
    return ast.parse(Path(package.__file__).with_suffix(".pyi").read_text())


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


def test_the_stub_names_what_the_package_offers() -> None:
    """Type checkers read the stub; a name that only it has would pass them and fail at runtime, or the reverse."""
    imports = [node for node in stub_of(pixcore).body if isinstance(node, ast.ImportFrom)]
    stubbed = {name.name: node.module for node in imports for name in node.names}
    assert {name for name, module in stubbed.items() if module == "pixcore_runners.library"} == LIBRARY
    assert stubbed.keys() - LIBRARY == {*pixcore.__all__}
    for name, module in stubbed.items():
        assert module
        assert hasattr(import_module(module), name), (module, name)


def test_the_stub_of_the_library_has_the_signatures_of_its_modules() -> None:
    """The stub repeats them, so both could drift apart."""
    for node in stub_of(pixcore_runners.library).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            source = ast.parse(inspect.getsource(getattr(pixcore_runners.library, node.name))).body[0]
            assert interface(source) == interface(node), node.name


def interface(node: ast.AST) -> Any:  # noqa: ANN401 - nested tuples
    """Return the names, parameters and types of a class or a function, without its private members."""
    if isinstance(node, ast.ClassDef):
        public = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AnnAssign))
        described = (interface(each) for each in public)
        return {each[0]: each for each in described if not each[0].startswith("_")}
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target), ast.unparse(node.annotation)
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    parameters = [(each.arg, plain(each.annotation)) for each in (*node.args.args, *node.args.kwonlyargs)]
    defaults = len(node.args.defaults), [each is not None for each in node.args.kw_defaults]
    return node.name, type(node).__name__, parameters, defaults, plain(node.returns)


def plain(annotation: ast.expr | None) -> str:
    """Return a type as text, without quotes, and with the names that the stub uses."""
    text = ast.unparse(annotation).strip("'") if annotation else ""
    names = {"Transform": "Callable[[Image], Any]", "TorchDataset": "Examples[tuple[Any, int]]"}
    for name, meant in names.items():
        text = text.replace(name, meant)
    return text
