"""Read a list with one JSON value a line: an object, or a URL as a string."""

import json
from collections.abc import Iterator

from pixcore_adapters.downloader.lists.faults import FaultReason, Junk, shown
from pixcore_adapters.downloader.lists.text import Lines

JsonRow = tuple[int, str | dict[str, object]] | Junk


def rows(lines: Lines) -> Iterator[JsonRow]:
    """Yield the number and the value of each line that is not blank."""
    for line in lines:
        if isinstance(line, Junk):
            yield line
        elif not line.isspace():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                yield Junk(lines.number, FaultReason.NOT_JSON, shown(line))
            else:
                yield row(lines.number, value, line)


def row(number: int, value: object, line: str) -> JsonRow:
    """Return a value as the row of that number, or junk if it is neither a string nor an object."""
    if isinstance(value, str | dict):
        return number, value
    reason = FaultReason.NOT_TEXT if isinstance(value, list) else FaultReason.NOT_A_URL
    return Junk(number, reason, shown(line))
