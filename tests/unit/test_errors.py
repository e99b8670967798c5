"""The tree of errors decides about retries, so its shape is guaranteed."""

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

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BaseException)]
LEAVES = [kind for kind in TREE if kind not in {PixcoreError, TransientError, PermanentError}]


@pytest.mark.parametrize("leaf", LEAVES)
def test_each_error_but_claim_lost_is_either_transient_or_permanent(leaf: type[PixcoreError]) -> None:
    """An error that is both would be retried and recorded as final at the same time."""
    branches = [branch for branch in (TransientError, PermanentError) if issubclass(leaf, branch)]
    assert issubclass(leaf, PixcoreError)
    assert len(branches) == (0 if leaf is ClaimLost else 1)


@pytest.mark.parametrize("kind", TREE)
def test_the_docstring_lists_every_error(kind: type[PixcoreError]) -> None:
    """Users look in the docstring for the errors that they can catch."""
    assert f" {kind.__name__} " in " ".join((errors.__doc__ or "").split())


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [(SourceUnavailable, ConnectionError), (InvalidRequest, ValueError), (NoValidImages, ValueError)],
)
def test_some_errors_are_also_builtin_ones(kind: type[PixcoreError], builtin: type[Exception]) -> None:
    """Code that catches the built-in errors must catch these as well."""
    assert issubclass(kind, builtin)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StoreDenied("wrong key;\n  check it\t"), "wrong key; check it"),
        (StoreDenied(), "StoreDenied"),
        (RuntimeError("two\nlines"), "RuntimeError: two lines"),
        (KeyError("k"), "KeyError: 'k'"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (PixcoreError(f"{'z' * 70_000} is odd; mend it"), f"{'z' * 1000} […] {'z' * 984} is odd; mend it"),
    ],
)
def test_an_error_fits_on_one_line(error: BaseException, line: str) -> None:
    """Log lines and status rows have one line, and an error of other code is unclear without its type."""
    assert one_line(error) == line
