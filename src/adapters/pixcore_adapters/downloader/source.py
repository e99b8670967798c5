"""Source: what the web downloader asks for candidates. Internal to it, and no sixth port."""

from collections.abc import Generator
from concurrent.futures import Future
from typing import Protocol

from pixcore.model.images import Candidate, Miss
from pixcore.model.requests import Slice


class Pages(Protocol):
    """Starts fetching a page, over the same connections and at the same pace as the images, and gives its future."""

    def __call__(self, url: str) -> Future[bytes]:
        """Start; the future's result raises InvalidRequest, SourceUnavailable or SourceChanged.

        Cancelling the future cancels the fetch; the end of the download does it too.
        """
        ...


class Source(Protocol):
    """One place on the web, or one kind of list, that proposes candidates."""

    def candidates(self, piece: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[bytes]]:
        """Yield the slice's candidates by rising position, lazily; a Miss for one that can never be fetched.

        A source that waits for a page yields its future, and is asked for more when that is done: nobody else has to
        wait meanwhile.

        Raises:
            SourceUnavailable: It cannot be reached; worth asking again.
            SourceChanged: It answers in a form that cannot be read.
        """
        ...
