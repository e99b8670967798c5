"""Read JSON responses of APIs. A value of an unexpected type counts as absent."""

import json
from collections.abc import Callable, Mapping, Sequence

from pixcore.redaction import without_values
from pixcore_adapters.downloader.sources.search import Result, Unreadable

_SHOWN = 200
_MAX_TEXT = 2000  # characters of a text in a row
_MAX_URL = 8000


def document(page: bytes) -> Mapping[str, object]:
    """Parse a page as a JSON object.

    Raises:
        Unreadable: The page is not a JSON object.
    """
    try:
        value = json.loads(page)
    except (ValueError, RecursionError) as exc:
        raise Unreadable(f"it is not JSON; {_beginning(page)}") from exc
    if not isinstance(value, dict):
        raise Unreadable(f"it is not a JSON object; {_beginning(page)}")
    return value


def _beginning(page: bytes) -> str:
    """Return how a page begins, for a message. Credentials are masked first, because a cut one would not be found."""
    return f"it begins with {without_values(page[: 10 * _SHOWN])[:_SHOWN]!r}"


def mapping(value: object) -> Mapping[str, object]:
    """Return the value if it is a JSON object, else an empty mapping."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[object] | None:
    """Return the value if it is a JSON array, else None."""
    return value if isinstance(value, list) else None


def results(
    value: object,
    result: Callable[[Mapping[str, object]], Result | None],
    *,
    array: str = "results",
    reason: str,
    none: str = "none of its results has an image URL",
) -> Sequence[Result | None]:
    """Return what ``result`` makes of each object of an array, in order.

    Raises:
        Unreadable: The page has no such ``array``, for the ``reason`` that it gives; or, with ``none`` as the message,
            no object is a result.
    """
    found = items(value)
    if found is None:
        raise Unreadable(f"it has no list of {array}; {reason or 'it gives no reason'}")
    made = [result(mapping(each)) for each in found]
    if made and not any(made):
        raise Unreadable(none)
    return made


def address(value: object) -> str:
    """Return a URL without surrounding spaces; ``""`` for a value that is not text or longer than 8,000 characters."""
    return value.strip() if isinstance(value, str) and len(value) <= _MAX_URL else ""


def text(value: object) -> str:
    """Return a text on one line, without lone surrogates, at most 2,000 characters; ``""`` if it is not text."""
    if not isinstance(value, str):
        return ""
    return " ".join(value.encode("utf-8", "replace").decode().split())[:_MAX_TEXT]
