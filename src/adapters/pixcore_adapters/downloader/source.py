"""Source: proposes candidates to the web downloader. It is internal to that downloader, not a port of the core."""

from collections.abc import Generator
from concurrent.futures import Future
from typing import Protocol

from pixcore.model.images import Candidate, Miss
from pixcore.model.requests import Slice
from pixcore_adapters.downloader.fetch.pages import PageAnswer, PageRequest


class Pages(Protocol):
    """Fetch pages over the same connections, and within the same rate limits, as the images."""

    def __call__(self, request: PageRequest) -> Future[PageAnswer]:
        """Start to fetch a page and return a future of its answer, whose body has at most 20 MiB.

        The future's ``result`` raises FetchFailed; see ``Fetcher.page``.
        Cancelling the future cancels the fetch. The end of the download cancels all of them.
        """
        ...


class Source(Protocol):
    """A place on the web, or a kind of list, that proposes candidates."""

    def candidates(self, slice_: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[PageAnswer]]:
        """Yield the slice's candidates lazily, in ascending order of position.

        At most one item a position of ``[slice_.start, slice_.stop)``: a ``Candidate``, or a ``Miss`` for one that can
        never be fetched. Positions may be missing, and the source may end early. Every key holds the slice's source and
        query.

        Between them, a source yields the future of each page that it waits for. It is resumed only when that future is
        done, so that downloads continue meanwhile.

        The caller may close the generator at any time; it then cancels the futures that it holds.

        Raises:
            SourceUnavailable: The source cannot be reached; a later call may succeed.
            SourceChanged: The source's response cannot be parsed.
            InvalidRequest: The source cannot be used as configured.
        """
        ...
