"""Read a list of one URL a line."""

from collections.abc import Iterator

from pixcore_adapters.downloader.lists.faults import FaultReason, Junk, shown
from pixcore_adapters.downloader.lists.text import Lines


def rows(lines: Lines) -> Iterator[tuple[int, str] | Junk]:
    """Yield the number and the URL of each line that is not blank."""
    for line in lines:
        if isinstance(line, Junk):
            yield line
        elif url := line.strip():
            if "\t" in url:
                yield Junk(lines.number, FaultReason.TAB, shown(url))
            else:
                yield lines.number, url
