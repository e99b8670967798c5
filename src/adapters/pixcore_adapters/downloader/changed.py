"""What a source that has changed means to those beside it."""

from collections.abc import Generator, Iterable
from contextlib import closing
from typing import TypeVar

from pixcore.errors import SourceChanged

T = TypeVar("T")


def past_changed(streams: Iterable[Generator[T]], *, delivered: bool) -> Generator[T]:
    """Yield the streams' items in turn; one that raises SourceChanged ends, and the next goes on.

    Raises:
        SourceChanged: The last that was met, if no stream gave anything and nothing was ``delivered`` before.
    """
    changed: SourceChanged | None = None
    for stream in streams:
        try:
            with closing(stream):
                for item in stream:
                    delivered = True
                    yield item
        except SourceChanged as error:
            changed = error
    if changed and not delivered:
        raise changed
