"""A source that is searched: pages of results are asked for, read, and dealt out by position."""

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
class _Asked:
    number: int
    url: str
    page: Future[bytes]


@frozen
class PagedSource:
    """The candidates of one search.

    Attributes:
        search: How its pages are asked for and read.
        keep_pages: The folder into which a page goes that cannot be read, for a bug report; None keeps none.
    """

    search: Search
    keep_pages: Path | None = None

    def candidates(self, piece: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[bytes]]:
        """See ``Source``."""
        size = self.search.size
        wanted = range(piece.start, min(piece.stop, self.search.limit))
        begun = (self._asked(piece, number, pages) for number in range(wanted.start // size, -(-wanted.stop // size)))
        coming: deque[_Asked] = deque()
        found = False
        try:
            while coming or (coming := deque(islice(begun, 1))):
                asked = coming[0]
                yield asked.page
                page = asked.page.result()
                results = self._read(asked, page)
                coming.popleft()
                if not results:
                    if found or self.search.empty_is_end:
                        return
                    raise self._changed(asked, page, "it holds no result")
                found = True
                # only now: before, nobody knew whether the results go on
                coming.extend(islice(begun, self.search.ahead - len(coming)))
                for position, result in enumerate(results, asked.number * size):
                    if result and position in wanted:
                        yield self._candidate(piece, position, result)
        finally:
            for asked in coming:
                asked.page.cancel()

    def _candidate(self, piece: Slice, position: int, result: Result) -> Candidate | Miss:
        key = CandidateKey(self.search.name, piece.query, position)
        candidate = Candidate(key, result.url, result.provenance)
        if piece.licenses and result.license not in piece.licenses.split(","):
            return Miss(candidate, MissReason.LICENSE, permanent=True, detail=result.license or "none is told")
        return candidate

    def _asked(self, piece: Slice, number: int, pages: Pages) -> _Asked:
        url = self.search.url(piece.query, piece.licenses, number)
        return _Asked(number, url, pages(url))

    def _read(self, asked: _Asked, page: bytes) -> Sequence[Result | None]:
        try:
            return self.search.read(page)[: self.search.size]
        except Overloaded as exc:
            raise SourceUnavailable(f"{self.search.name}: {exc}; try again later") from exc
        except Unreadable as exc:
            raise self._changed(asked, page, str(exc)) from exc

    def _changed(self, asked: _Asked, page: bytes, why: str) -> SourceChanged:
        said = f"{self.search.name} cannot be read any more: {why} ({asked.url})"
        if self.keep_pages is None:
            return SourceChanged(f"{said}; keep the page with --keep-pages DIR and report it")
        digest = hashlib.sha256(asked.url.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        kept = self.keep_pages / f"{self.search.name}-{digest}.page"
        try:
            self.keep_pages.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(page)
        except OSError as exc:
            return SourceChanged(f"{said}; the page could not be kept: {one_line(exc)}")
        return SourceChanged(f"{said}; report it with the page, which is in {kept}")
