"""A source that is searched: fetches pages of results, parses them, and yields candidates by position."""

import hashlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from itertools import islice
from pathlib import Path

from attrs import frozen

from pixcore.errors import SourceChanged, SourceUnavailable, one_line
from pixcore.model.images import Candidate, CandidateKey, Miss, MissReason
from pixcore.model.requests import Slice
from pixcore_adapters.downloader.source import Pages
from pixcore_adapters.downloader.sources.search import Overloaded, Result, Search, Unreadable


@frozen
class _Page:
    """A page that is being fetched."""

    number: int
    url: str
    body: Future[bytes]


@frozen
class PagedSource:
    """Propose the candidates of one search.

    Attributes:
        search: Gives the URLs of the pages and parses them.
        keep_pages: The folder where unreadable pages are saved for a bug report; None saves none.
    """

    search: Search
    keep_pages: Path | None = None

    def candidates(self, slice_: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[bytes]]:
        """See ``Source``."""
        size = self.search.size
        wanted = range(slice_.start, min(slice_.stop, self.search.limit))
        numbers = range(wanted.start // size, -(-wanted.stop // size))
        started = (self._start(slice_, number, pages) for number in numbers)
        pending: deque[_Page] = deque()
        found = False
        try:
            while pending or (pending := deque(islice(started, 1))):
                page = pending[0]
                yield page.body
                results = self._read(page)
                pending.popleft()
                if not results:
                    if found or self.search.empty_is_end:
                        return
                    raise self._changed(page, "it has no results")
                found = True
                # fetch ahead only after a page with results: the next pages may not exist
                pending.extend(islice(started, self.search.ahead - len(pending)))
                for position, result in enumerate(results, page.number * size):
                    if result and position in wanted:
                        yield self._candidate(slice_, position, result)
        finally:
            for page in pending:
                page.body.cancel()

    def _candidate(self, slice_: Slice, position: int, result: Result) -> Candidate | Miss:
        key = CandidateKey(self.search.name, slice_.query, position)
        candidate = Candidate(key, result.url, result.provenance)
        if slice_.licenses and result.license not in slice_.licenses.split(","):
            return Miss(candidate, MissReason.LICENSE, permanent=True, detail=result.license or "not stated")
        return candidate

    def _start(self, slice_: Slice, number: int, pages: Pages) -> _Page:
        url = self.search.url(slice_.query, slice_.licenses, number)
        return _Page(number, url, pages(url))

    def _read(self, page: _Page) -> Sequence[Result | None]:
        try:
            return self.search.read(page.body.result())[: self.search.size]
        except Overloaded as exc:
            raise SourceUnavailable(f"{self.search.name}: {exc}; try again later") from exc
        except Unreadable as exc:
            raise self._changed(page, str(exc)) from exc

    def _changed(self, page: _Page, reason: str) -> SourceChanged:
        message = f"a page of {self.search.name} cannot be read: {reason} ({page.url})"
        if self.keep_pages is None:
            return SourceChanged(f"{message}; save the page with --keep-pages DIR and report it")
        digest = hashlib.sha256(page.url.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        file = self.keep_pages / f"{self.search.name}-{digest}.page"
        try:
            self.keep_pages.mkdir(parents=True, exist_ok=True)
            file.write_bytes(page.body.result())
        except OSError as exc:
            return SourceChanged(f"{message}; the page could not be saved: {one_line(exc)}")
        return SourceChanged(f"{message}; report it with the page saved as {file}")
