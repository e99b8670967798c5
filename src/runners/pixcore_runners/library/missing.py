"""Packages that only some methods of the library need."""

from importlib import import_module
from typing import Any

from pixcore import LibraryMissing


def needed(package: str) -> Any:  # noqa: ANN401 - a module
    """Import a package that pixcore does not depend on.

    Raises:
        LibraryMissing: It is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise LibraryMissing(f"{package} is not installed; install it: pip install {package}") from error
