"""The tree of errors decides about retries, so its shape is a promise."""

import inspect

import pytest

from pixcore import errors
from pixcore.errors import (
    ClaimLost,
    InvalidRequest,
    NoValidImages,
    PermanentError,
    PixcoreError,
    SourceUnavailable,
    StoreDenied,
    TransientError,
    one_line,
)

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
LEAVES = [kind for kind in TREE if kind not in {PixcoreError, TransientError, PermanentError}]


@pytest.mark.parametrize("leaf", LEAVES)
def test_each_error_is_transient_or_permanent_but_for_a_lost_claim(leaf: type[PixcoreError]) -> None:
    """An error on both branches would be retried and recorded as final at once."""
    branches = [branch for branch in (TransientError, PermanentError) if issubclass(leaf, branch)]
    assert issubclass(leaf, PixcoreError)
    assert len(branches) == (0 if leaf is ClaimLost else 1)


@pytest.mark.parametrize("kind", TREE)
def test_the_drawing_shows_every_error(kind: type[PixcoreError]) -> None:
    """The docstring is where a reader looks for what there is to catch."""
    assert f" {kind.__name__} " in " ".join((errors.__doc__ or "").split())


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [(SourceUnavailable, ConnectionError), (InvalidRequest, ValueError), (NoValidImages, ValueError)],
)
def test_some_are_what_callers_catch_already(kind: type[PixcoreError], builtin: type[Exception]) -> None:
    """Code written for the built-in errors must go on working."""
    assert issubclass(kind, builtin)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StoreDenied("wrong key;\n  check it\t"), "wrong key; check it"),
        (StoreDenied(), "StoreDenied"),
        (RuntimeError("two\nlines"), "RuntimeError: two lines"),
        (KeyError("k"), "KeyError: 'k'"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_an_error_fits_on_one_line(error: BaseException, line: str) -> None:
    """Log lines and status rows hold one line, and a foreign error means little without its type."""
    assert one_line(error) == line
