"""An API's answer in JSON: whatever stands where something else was expected counts as not there."""

import json
from collections.abc import Mapping, Sequence

from pixcore_adapters.downloader.sources.search import Unreadable

_SHOWN = 200
_LONGEST = 2000  # characters of a text that goes into a row
_LONGEST_URL = 8000


def document(page: bytes) -> Mapping[str, object]:
    """Read the page.

    Raises:
        Unreadable: It is no JSON object.
    """
    try:
        value = json.loads(page)
    except (ValueError, RecursionError) as exc:
        raise Unreadable(f"it is no JSON but begins with {page[:_SHOWN]!r}") from exc
    if not isinstance(value, dict):
        raise Unreadable(f"it is no JSON object but begins with {page[:_SHOWN]!r}")
    return value


def mapping(value: object) -> Mapping[str, object]:
    """Give an object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[object] | None:
    """Give a list, or None."""
    return value if isinstance(value, list) else None


def address(value: object) -> str:
    """Give a URL as it stands; ``""`` for anything else and for what is too long to be asked for."""
    return value.strip() if isinstance(value, str) and len(value) <= _LONGEST_URL else ""


def text(value: object) -> str:
    """Give a string on one line, without what no file could hold; ``""`` for anything else."""
    if not isinstance(value, str):
        return ""
    return " ".join(value.encode("utf-8", "replace").decode().split())[:_LONGEST]
