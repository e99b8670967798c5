"""Pages of results become candidates: each position once, no unneeded request, and every error names its page."""

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from apis import PagesInMemory
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import SourceChanged, SourceUnavailable
from pixcore.model.images import Candidate, CandidateKey, Miss, MissReason, Provenance
from pixcore.model.requests import Slice
from pixcore_adapters.downloader.sources.page_requests import PageRequests
from pixcore_adapters.downloader.sources.paged import PagedSource
from pixcore_adapters.downloader.sources.search import (
    About,
    Credential,
    Overloaded,
    PageAnswer,
    PageRequest,
    Result,
    ResultPage,
    Unreadable,
)

if TYPE_CHECKING:
    from pixcore_adapters.downloader.fetch.fetcher import Fetcher


@frozen
class MadeUpSearch:
    """A search whose pages are JSON lists of URLs, with null for a result without an image."""

    size: int = 3
    limit: int = 1_000
    ahead: int = 2
    empty_is_end: bool = True

    @property
    def about(self) -> About:
        """See ``Search``."""
        terms = ("free", "https://made.example/terms", "in memory")
        return About("made", self.size, self.limit, *terms, ahead=self.ahead, empty_is_end=self.empty_is_end)

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:
        """See ``Search``."""
        assert not cursor
        return PageRequest(f"http://made.example/{query}/{licenses}/{page}")

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``."""
        page = answer.body
        if page == b"busy":
            raise Overloaded("too many readers")
        try:
            urls = json.loads(page)
        except ValueError as exc:
            raise Unreadable("it is no list") from exc
        results = [url and Result(url, Provenance(title=f"title of {url}"), url.partition(":")[0]) for url in urls]
        return ResultPage(results)


def pages_of(results: Sequence[str | None], size: int = 3) -> PagesInMemory:
    """Return pages with these results."""

    def written(url: str) -> bytes:
        number = int(url.rpartition("/")[2])
        return json.dumps(results[number * size : (number + 1) * size]).encode()

    return PagesInMemory(written)


def same_page(page: bytes) -> PagesInMemory:
    """Return the same page for every request."""
    return PagesInMemory(lambda _: page)


def slice_of(start: int, stop: int, licenses: str = "") -> Slice:
    """Return a slice of the results."""
    return Slice("made", "q", start, stop, licenses=licenses)


def read(source: PagedSource, part: Slice, pages: PagesInMemory) -> list[Candidate | Miss]:
    """Return all that the source proposes for the slice."""
    return list(pages.read(source.candidates(part, pages)))


def positions(items: Sequence[Candidate | Miss]) -> list[int]:
    """Return the candidates' positions."""
    return [item.key.position for item in items if isinstance(item, Candidate)]


def numbers(requested: Sequence[str]) -> list[int]:
    """Return the page numbers in these URLs."""
    return [int(url.rpartition("/")[2]) for url in requested]


def urls(count: int) -> list[str | None]:
    """Return this many results."""
    return [f"by:{n}" for n in range(count)]


def test_a_candidate_has_the_values_of_its_result() -> None:
    """A candidate's key holds its position, so that a retry gives the same one."""
    first, last = read(PagedSource(MadeUpSearch()), slice_of(4, 6), pages_of(urls(9)))
    assert first == Candidate(CandidateKey("made", "q", 4), "by:4", Provenance(title="title of by:4"))
    assert isinstance(last, Candidate)
    assert last.key.position == 5


# -- positions and pages ---------------------------------------------------------------------------------------------


@given(
    results=st.lists(st.booleans(), max_size=40),
    size=st.integers(1, 7),
    ahead=st.integers(0, 4),
    cuts=st.lists(st.integers(1, 59), max_size=4),
)
def test_adjacent_slices_give_each_position_once(results: list[bool], size: int, ahead: int, cuts: list[int]) -> None:
    """Adjacent slices give each position once, also within a page, and request no page in vain."""
    # whether a page without URLs is the end depends on the search
    page_results = [f"by:{n}" if exists else None for n, exists in enumerate(results)]
    source = PagedSource(MadeUpSearch(size=size, ahead=ahead))
    borders = sorted({0, *cuts, 60})
    found: list[int] = []
    for start, stop in pairwise(borders):
        pages = pages_of(page_results, size)
        found += positions(read(source, slice_of(start, stop), pages))
        requested = numbers(pages.requests)
        past_the_end = max(start // size, -(-len(page_results) // size))
        assert requested == list(range(start // size, start // size + len(requested)))
        assert requested[-1] <= min((stop - 1) // size, past_the_end + max(ahead, 1) - 1)
    assert found == [n for n, exists in enumerate(results) if exists]


def test_no_page_is_requested_before_it_is_needed() -> None:
    """The first page is requested alone, then up to `ahead` pages. Unneeded ones are cancelled."""
    pages = pages_of(urls(90))
    items = pages.read(PagedSource(MadeUpSearch(ahead=2)).candidates(slice_of(0, 90), pages))
    assert pages.requests == []
    assert next(items)
    assert numbers(pages.requests) == [0, 1, 2]
    for _ in range(3):
        next(items)
    assert numbers(pages.requests) == [0, 1, 2, 3]
    items.close()
    assert numbers(pages.dropped()) == [2, 3]


def test_pages_requested_ahead_are_cancelled_at_the_end() -> None:
    """Pages requested ahead are cancelled at the end of the results."""
    pages = pages_of(urls(5))
    assert len(read(PagedSource(MadeUpSearch(ahead=4)), slice_of(0, 90), pages)) == 5
    assert (numbers(pages.requests), numbers(pages.dropped())) == ([0, 1, 2, 3, 4, 5], [3, 4, 5])


def test_no_page_is_requested_beyond_the_limit() -> None:
    """No page beyond the limit is requested: sources answer with an error or repeat the last page."""
    pages = pages_of(urls(90))
    items = read(PagedSource(MadeUpSearch(limit=10)), slice_of(4, 90), pages)
    assert positions(items) == [4, 5, 6, 7, 8, 9]
    assert numbers(pages.requests) == [1, 2, 3]
    assert read(PagedSource(MadeUpSearch(limit=10)), slice_of(12, 90), pages) == []


def test_results_beyond_a_pages_size_are_dropped() -> None:
    """Results beyond a page's size are dropped; they would take the positions of the next page."""
    items = read(PagedSource(MadeUpSearch(ahead=0)), slice_of(0, 9), same_page(b'["by:0", "by:1", "by:2", "by:3"]'))
    assert positions(items) == list(range(9))


def test_other_licences_are_misses() -> None:
    """The licence stated for an image is checked, whatever the source's filter. An unstated one is not allowed."""
    results = ["by:0", "by-sa:1", "", ":3", "cc0:4"]
    items = read(
        PagedSource(MadeUpSearch(size=5)), slice_of(0, 5, "by,cc0"), pages_of([url or None for url in results], 5)
    )
    assert [
        (item.candidate.url, item.reason, item.permanent, item.detail) if isinstance(item, Miss) else item.url
        for item in items
    ] == [
        "by:0",
        ("by-sa:1", MissReason.LICENSE, True, "by-sa"),
        (":3", MissReason.LICENSE, True, "not stated"),
        "cc0:4",
    ]


# -- pages that are not pages of results -----------------------------------------------------------------------------


def test_an_overloaded_source_is_worth_asking_again() -> None:
    """An overloaded source raises SourceUnavailable, not SourceChanged."""
    with pytest.raises(SourceUnavailable, match="made: too many readers; try again later"):
        read(PagedSource(MadeUpSearch()), slice_of(0, 3), same_page(b"busy"))


def test_an_empty_page_is_the_end_or_a_change() -> None:
    """An empty first page is the end or SourceChanged, as the search says. A later one is the end."""
    strict = PagedSource(MadeUpSearch(empty_is_end=False))
    assert read(PagedSource(MadeUpSearch()), slice_of(0, 9), pages_of([])) == []
    assert len(read(strict, slice_of(0, 9), pages_of(urls(3)))) == 3
    with pytest.raises(SourceChanged, match="it has no results"):
        read(strict, slice_of(3, 9), pages_of(urls(3)))


def test_an_unreadable_page_is_named() -> None:
    """The error names the unreadable page and how to save it."""
    with pytest.raises(SourceChanged) as raised:
        read(PagedSource(MadeUpSearch()), slice_of(0, 3), same_page(b"<html>"))
    assert str(raised.value) == (
        "a page of made cannot be read: it is no list (page 1 for 'q' at http://made.example/q//0); save the page with"
        " --keep-pages DIR and report it"
    )


def test_results_before_an_unreadable_page_are_yielded() -> None:
    """The results before an unreadable page are yielded, as when a consent page comes later."""
    pages = PagesInMemory(lambda url: b'["by:0"]' if url.endswith("/0") else b"<html>")
    items = pages.read(PagedSource(MadeUpSearch()).candidates(slice_of(0, 9), pages))
    assert isinstance(next(items), Candidate)
    with pytest.raises(SourceChanged):
        next(items)


@pytest.mark.parametrize(
    ("page", "strict"), [(b"<html>consent</html>", False), (b"[]", True)], ids=["unreadable", "empty"]
)
def test_an_unreadable_page_is_kept(tmp_path: Path, page: bytes, strict: bool) -> None:
    """The page is saved unchanged and the error names the file. No query leads out of the folder."""
    folder = tmp_path / "new" / "pages"
    source = PagedSource(MadeUpSearch(empty_is_end=not strict), keep_pages=folder)
    messages = []
    for _ in range(2):
        with pytest.raises(SourceChanged) as raised:
            read(source, Slice("made", "../../q\0\ud800", 0, 3), same_page(page))
        messages.append(str(raised.value))
    (kept,) = tmp_path.rglob("*.page")
    assert kept.parent == folder
    assert kept.read_bytes() == page
    assert messages[0].endswith(f"report it with the page saved as {kept}")
    assert messages[0] == messages[1]


def test_a_page_that_cannot_be_kept_hides_no_error(tmp_path: Path) -> None:
    """If the page cannot be saved, the error still says why the source failed."""
    (tmp_path / "file").write_text("")
    source = PagedSource(MadeUpSearch(), keep_pages=tmp_path / "file")
    with pytest.raises(SourceChanged, match=r"it is no list .*; the page could not be saved: FileExistsError"):
        read(source, slice_of(0, 3), same_page(b"<html>"))


def test_a_worker_without_the_key_ends_the_source_with_the_remedy() -> None:
    """The machine that plans may have the key and a worker not; the other sources of the chunk go on."""

    class Keyed(MadeUpSearch):
        @property
        def about(self) -> About:
            return evolve(super().about, credentials=(Credential("MADE_KEY", "https://made.example/keys"),))

    with pytest.raises(
        SourceChanged, match=r"made needs MADE_KEY, which is not set; get a key at https://made\.example/keys"
    ):
        read(PagedSource(Keyed(), missing="MADE_KEY"), slice_of(0, 3), pages_of([]))


# -- limits by the minute --------------------------------------------------------------------------------------------


def test_requests_of_all_chunks_keep_to_the_limit_of_a_minute() -> None:
    """The fourth request of a minute waits until the first one is a minute old; another host need not wait."""
    now, naps = [100.0], list[float]()

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        now[0] += seconds

    @frozen
    class Instant:
        async def page(self, request: PageRequest, _max_bytes: int) -> PageAnswer:
            return PageAnswer(request.url.encode())

    requests = PageRequests(clock=lambda: now[0], sleep=sleep)
    fetcher = cast("Fetcher", Instant())
    for seconds in (0, 10, 10, 10):
        now[0] += seconds
        asyncio.run(requests.page(fetcher, PageRequest("http://made.example/q", per_minute=3), 9))
    asyncio.run(requests.page(fetcher, PageRequest("http://other.example/q", per_minute=3), 9))
    assert naps == [30.0]
