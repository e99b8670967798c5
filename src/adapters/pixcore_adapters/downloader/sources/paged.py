"""A source that is searched: fetches pages of results, parses them, and yields candidates by position."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from typing import TypeVar

from attrs import evolve, field, frozen

from pixcore.errors import PixcoreError, SourceChanged, SourceUnavailable, one_line
from pixcore.model.images import Candidate, CandidateKey, Miss, MissReason
from pixcore.model.requests import Slice
from pixcore.redaction import without_values
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.source import Pages
from pixcore_adapters.downloader.sources.cursors import Cursors
from pixcore_adapters.downloader.sources.page_errors import beyond, lacking, page_error, shown
from pixcore_adapters.downloader.sources.search import (
    Detail,
    Overloaded,
    PageAnswer,
    PageRequest,
    Refused,
    Result,
    ResultPage,
    Search,
    Unreadable,
)


@frozen
class _Page:
    """A page that is being fetched. ``is_remembered``: its cursor is of an earlier walk and may have expired."""

    slice_: Slice
    number: int
    cursor: str
    request: PageRequest
    body: Future[PageAnswer]
    is_remembered: bool = False


@frozen
class _Described:
    """A result whose description is being fetched."""

    detail: Detail
    page: _Page


T = TypeVar("T")

_GONE = frozenset({"http_404", "http_410"})

_Item = Future[PageAnswer] | tuple[int, ResultPage]


@frozen
class PagedSource:
    """Propose the candidates of one search.

    Attributes:
        search: Makes the requests for the pages and parses them.
        keep_pages: The folder where unreadable pages are saved for a bug report; None saves none.
        missing: The name of a required credential that is not set; ``""`` if none is missing.
    """

    search: Search
    keep_pages: Path | None = None
    missing: str = ""
    _cursors: Cursors = field(factory=Cursors, init=False, eq=False, repr=False)

    def candidates(self, slice_: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[PageAnswer]]:
        """See ``Source``."""
        about = self.search.about
        if self.missing:
            raise SourceChanged(lacking(about, self.missing))
        if slice_.start >= about.depth and about.credentials:
            raise SourceChanged(beyond(about, slice_.start))
        wanted = range(slice_.start, min(slice_.stop, about.depth))
        walk = self._by_cursor if about.by_cursor else self._by_number
        for item in walk(slice_, wanted, pages):
            if isinstance(item, Future):
                yield item
                continue
            number, page = item
            ranked = enumerate(page.results[: about.size], number * about.size)
            found = ((position, result) for position, result in ranked if result and position in wanted)
            for described in self._described(slice_, found, pages):
                yield described if isinstance(described, Future) else self._candidate(slice_, *described)
            if page.spent and (number + 1) * about.size < wanted.stop:
                message = f"{about.name}: its limit of requests is spent ({page.spent}); try again later"
                raise SourceUnavailable(one_line(PixcoreError(message)))

    def _described(
        self, slice_: Slice, found: Iterable[tuple[int, Result | Detail]], pages: Pages
    ) -> Generator[Future[PageAnswer] | tuple[int, Result]]:
        """Yield the results with their positions. Request the details of those that need it, each after its future."""
        pending: deque[tuple[int, Result | _Described]] = deque()
        started = (
            (position, result if isinstance(result, Result) else self._start_detail(slice_, position, result, pages))
            for position, result in found
        )
        try:
            while pending or (pending := deque(islice(started, max(1, self.search.about.limits.concurrent)))):
                position, result = pending[0]
                if isinstance(result, _Described):
                    yield result.page.body
                    described = self._read_detail(result)
                else:
                    described = result
                pending.popleft()
                pending.extend(islice(started, 1))
                if described:
                    yield position, described
        finally:
            for _, result in pending:
                if isinstance(result, _Described):
                    result.page.body.cancel()

    def _by_number(self, slice_: Slice, wanted: range, pages: Pages) -> Generator[_Item]:
        """Yield the pages that hold the wanted positions, each after its future."""
        about = self.search.about
        number, stop = wanted.start // about.size, -(-wanted.stop // about.size)
        pending: deque[_Page] = deque()
        found = False
        try:
            while pending or number < stop:
                if not pending:
                    pending.append(self._start(slice_, number, "", pages))
                    number += 1
                page = pending[0]
                yield page.body
                read = self._read(page)
                pending.popleft()
                if not read.results:
                    if found or about.empty_is_end:
                        return
                    raise self._changed(page, "it has no results")
                found = True
                if read.total is not None:
                    stop = min(stop, -(-read.total // about.size))
                # fetch ahead only after a page with results: the next pages may not exist
                while number < stop and len(pending) < about.ahead and not read.spent:
                    pending.append(self._start(slice_, number, "", pages))
                    number += 1
                yield page.number, read
        finally:
            for page in pending:
                page.body.cancel()

    def _by_cursor(self, slice_: Slice, wanted: range, pages: Pages) -> Generator[_Item]:
        """Yield the pages that hold the wanted positions, each after its future.

        The walk begins at the nearest page whose cursor an earlier walk of this process found. If that cursor has
        expired, it begins again at the first page.
        """
        about = self.search.about
        first, stop = wanted.start // about.size, -(-wanted.stop // about.size)
        if not len(wanted):
            return
        number, cursor = self._cursors.nearest(slice_, first)
        page: _Page | None = self._start(slice_, number, cursor, pages, is_remembered=number > 0)
        used = {cursor}
        try:
            while page:
                yield page.body
                try:
                    read = self._read(page)
                except SourceChanged:
                    if not page.is_remembered:
                        raise
                    first = max(first, page.number)
                    self._cursors.forget(slice_)
                    used = {""}
                    page = self._start(slice_, 0, "", pages)
                    continue
                if not (read.results or read.cursor or page.number or about.empty_is_end):
                    raise self._changed(page, "it has no results")
                if read.cursor and read.cursor in used:
                    raise self._changed(page, "its cursor repeats an earlier one, so its pages would never end")
                done, page = page, None
                if read.cursor and done.number + 1 < stop and not read.spent:
                    used.add(read.cursor)
                    self._cursors.keep(slice_, done.number + 1, read.cursor)
                    page = self._start(slice_, done.number + 1, read.cursor, pages)
                if done.number >= first:
                    yield done.number, read
        finally:
            if page:
                page.body.cancel()

    def _candidate(self, slice_: Slice, position: int, result: Result) -> Candidate | Miss:
        key = CandidateKey(self.search.about.name, slice_.query, position)
        candidate = Candidate(key, result.url, result.provenance, result.label, checksum=result.checksum)
        if slice_.licenses and result.license not in slice_.licenses.split(","):
            return Miss(candidate, MissReason.LICENSE, permanent=True, detail=result.license or "not stated")
        return candidate

    def _start(self, slice_: Slice, number: int, cursor: str, pages: Pages, *, is_remembered: bool = False) -> _Page:
        request = self.search.request(slice_.query, slice_.licenses, number, cursor)
        request = evolve(request, per_minute=self.search.about.limits.minute)
        return _Page(slice_, number, cursor, request, pages(request), is_remembered)

    def _start_detail(self, slice_: Slice, position: int, detail: Detail, pages: Pages) -> _Described:
        request = evolve(detail.request, per_minute=self.search.about.limits.minute)
        number = position // self.search.about.size
        return _Described(detail, _Page(slice_, number, "", request, pages(request)))

    def _read_detail(self, described: _Described) -> Result | None:
        """Return the described result; None if it has no image, or was withdrawn."""
        failure = described.page.body.exception()
        if isinstance(failure, FetchFailed) and failure.missed.reason in _GONE:
            return None
        return self._parsed(described.page, described.detail.read)

    def _read(self, page: _Page) -> ResultPage:
        return self._parsed(page, self.search.read)

    def _parsed(self, page: _Page, read: Callable[[PageAnswer], T]) -> T:
        """Parse a page, and translate the errors."""
        about = self.search.about
        try:
            return read(evolve(page.body.result(), query=page.slice_.query, number=page.number))
        except FetchFailed as failed:
            raise page_error(about, page.request, failed.missed) from failed
        except Overloaded as exc:
            raise SourceUnavailable(one_line(PixcoreError(f"{about.name}: {exc}; try again later"))) from exc
        except Refused as exc:
            raise SourceChanged(one_line(PixcoreError(f"{about.name} {exc}"))) from exc
        except Unreadable as exc:
            raise self._changed(page, str(exc)) from exc

    def _changed(self, page: _Page, reason: str) -> SourceChanged:
        """Return the error of an unreadable page. The page is saved if there is a folder for such pages."""
        name, query = self.search.about.name, page.slice_.query
        where = f"page {page.number + 1} for {query!r:.100} at {shown(page.request)}"
        message = one_line(PixcoreError(f"a page of {name} cannot be read: {reason} ({where})"))
        if self.keep_pages is None:
            return SourceChanged(f"{message}; save the page with --keep-pages DIR and report it")
        identity = f"{shown(page.request)}\n{query}\n{page.slice_.licenses}\n{page.number}"
        digest = hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        file = self.keep_pages / f"{name}-{digest}.page"
        try:
            self.keep_pages.mkdir(parents=True, exist_ok=True)
            file.write_bytes(without_values(page.body.result().body))  # it goes into a report
        except OSError as exc:
            return SourceChanged(f"{message}; the page could not be saved: {one_line(exc)}")
        return SourceChanged(f"{message}; report it with the page saved as {file}")
