"""Pages of results become candidates: each position once, no page asked for in vain, and no error without its page."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from apis import Paper
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import SourceChanged, SourceUnavailable
from pixcore.model.images import Candidate, CandidateKey, Miss, MissReason, Provenance
from pixcore.model.requests import Slice
from pixcore_adapters.downloader.sources.paged import PagedSource
from pixcore_adapters.downloader.sources.search import Overloaded, Result, Unreadable


@frozen
class Made:
    """A search whose pages are JSON lists of addresses, null for what is no image."""

    name: str = "made"
    size: int = 3
    limit: int = 1_000
    licenses: frozenset[str] = frozenset({"by", "cc0"})
    ahead: int = 2
    empty_is_end: bool = True

    def url(self, query: str, licenses: str, page: int) -> str:
        """See ``Search``."""
        return f"http://made.example/{query}/{licenses}/{page}"

    def read(self, page: bytes) -> Sequence[Result | None]:
        """See ``Search``."""
        if page == b"busy":
            raise Overloaded("too many readers")
        try:
            urls = json.loads(page)
        except ValueError as exc:
            raise Unreadable("it is no list") from exc
        return [url and Result(url, Provenance(title=f"title of {url}"), url.partition(":")[0]) for url in urls]


def paper(results: Sequence[str | None], size: int = 3) -> Paper:
    """Print the results on pages."""

    def written(url: str) -> bytes:
        number = int(url.rpartition("/")[2])
        return json.dumps(results[number * size : (number + 1) * size]).encode()

    return Paper(written)


def these(page: bytes) -> Paper:
    """Give the same page whatever is asked for."""
    return Paper(lambda _: page)


def piece(start: int, stop: int, licenses: str = "") -> Slice:
    """A slice of the results."""
    return Slice("made", "q", start, stop, licenses=licenses)


def read(source: PagedSource, part: Slice, pages: Paper) -> list[Candidate | Miss]:
    """What the source proposes for all of the slice."""
    return list(pages.read(source.candidates(part, pages)))


def positions(items: Sequence[Candidate | Miss]) -> list[int]:
    """Where the candidates stand."""
    return [item.key.position for item in items if isinstance(item, Candidate)]


def numbers(asked: Sequence[str]) -> list[int]:
    """Which pages these addresses are."""
    return [int(url.rpartition("/")[2]) for url in asked]


def urls(count: int) -> list[str | None]:
    """So many results."""
    return [f"by:{n}" for n in range(count)]


def test_a_candidate_is_as_its_result_says() -> None:
    """Its key is its place, so that a second try finds the same."""
    first, last = read(PagedSource(Made()), piece(4, 6), paper(urls(9)))
    assert first == Candidate(CandidateKey("made", "q", 4), "by:4", Provenance(title="title of by:4"))
    assert isinstance(last, Candidate)
    assert last.key.position == 5


# -- which positions, and which pages --------------------------------------------------------------------------------


@given(
    results=st.lists(st.booleans(), max_size=40),
    size=st.integers(1, 7),
    ahead=st.integers(0, 4),
    cuts=st.lists(st.integers(1, 59), max_size=4),
)
def test_adjacent_slices_give_each_position_once(results: list[bool], size: int, ahead: int, cuts: list[int]) -> None:
    """Chunks share out a lane anywhere, in the middle of pages too; no page is asked for in vain."""
    # a page without one address is for each search to judge
    shown = [f"by:{n}" if there else None for n, there in enumerate(results)]
    source = PagedSource(Made(size=size, ahead=ahead))
    borders = sorted({0, *cuts, 60})
    found: list[int] = []
    for start, stop in pairwise(borders):
        pages = paper(shown, size)
        found += positions(read(source, piece(start, stop), pages))
        asked = numbers(pages.asked)
        past_the_end = max(start // size, -(-len(shown) // size))
        assert asked == list(range(start // size, start // size + len(asked)))
        assert asked[-1] <= min((stop - 1) // size, past_the_end + max(ahead, 1) - 1)
    assert found == [n for n, there in enumerate(results) if there]


def test_nothing_is_asked_for_before_it_is_needed() -> None:
    """The first page alone, then as many as may be ahead; what was not needed in the end is dropped."""
    pages = paper(urls(90))
    items = pages.read(PagedSource(Made(ahead=2)).candidates(piece(0, 90), pages))
    assert pages.asked == []
    assert next(items)
    assert numbers(pages.asked) == [0, 1, 2]
    for _ in range(3):
        next(items)
    assert numbers(pages.asked) == [0, 1, 2, 3]
    items.close()
    assert numbers(pages.dropped()) == [2, 3]


def test_what_was_asked_ahead_is_dropped_at_the_end_of_the_results() -> None:
    """It would keep the fetcher busy with pages of nothing."""
    pages = paper(urls(5))
    assert len(read(PagedSource(Made(ahead=4)), piece(0, 90), pages)) == 5
    assert (numbers(pages.asked), numbers(pages.dropped())) == ([0, 1, 2, 3, 4, 5], [3, 4, 5])


def test_nothing_is_asked_for_beyond_the_limit() -> None:
    """Sources answer such a page with an error, or the last one once more."""
    pages = paper(urls(90))
    items = read(PagedSource(Made(limit=10)), piece(4, 90), pages)
    assert positions(items) == [4, 5, 6, 7, 8, 9]
    assert numbers(pages.asked) == [1, 2, 3]
    assert read(PagedSource(Made(limit=10)), piece(12, 90), pages) == []


def test_results_beyond_a_pages_size_are_dropped() -> None:
    """They would take the places of the next page's."""
    items = read(PagedSource(Made(ahead=0)), piece(0, 9), these(b'["by:0", "by:1", "by:2", "by:3"]'))
    assert positions(items) == list(range(9))


def test_other_licences_are_misses() -> None:
    """The source's own filter is a wish; what it states of each image counts. Nothing stated is not allowed."""
    results = ["by:0", "by-sa:1", "", ":3", "cc0:4"]
    items = read(PagedSource(Made(size=5)), piece(0, 5, "by,cc0"), paper([url or None for url in results], 5))
    assert [
        (item.candidate.url, item.reason, item.permanent, item.detail) if isinstance(item, Miss) else item.url
        for item in items
    ] == [
        "by:0",
        ("by-sa:1", MissReason.LICENSE, True, "by-sa"),
        (":3", MissReason.LICENSE, True, "not stated"),
        "cc0:4",
    ]


# -- pages that are no pages of results ------------------------------------------------------------------------------


def test_an_overloaded_source_is_worth_asking_again() -> None:
    """It has not changed."""
    with pytest.raises(SourceUnavailable, match="made: too many readers; try again later"):
        read(PagedSource(Made()), piece(0, 3), these(b"busy"))


def test_an_empty_page_is_the_end_or_a_change() -> None:
    """No engine answers a sensible query with nothing; but after results, nothing more is no surprise."""
    strict = PagedSource(Made(empty_is_end=False))
    assert read(PagedSource(Made()), piece(0, 9), paper([])) == []
    assert len(read(strict, piece(0, 9), paper(urls(3)))) == 3
    with pytest.raises(SourceChanged, match="it has no results"):
        read(strict, piece(3, 9), paper(urls(3)))


def test_an_unreadable_page_is_named() -> None:
    """Whoever reads the error can look at the page, and learns how to keep it."""
    with pytest.raises(SourceChanged) as raised:
        read(PagedSource(Made()), piece(0, 3), these(b"<html>"))
    assert str(raised.value) == (
        "a page of made cannot be read: it is no list (http://made.example/q//0); save the page with --keep-pages DIR"
        " and report it"
    )


def test_what_came_before_an_unreadable_page_counts() -> None:
    """A consent page may come in the middle."""
    pages = Paper(lambda url: b'["by:0"]' if url.endswith("/0") else b"<html>")
    items = pages.read(PagedSource(Made()).candidates(piece(0, 9), pages))
    assert isinstance(next(items), Candidate)
    with pytest.raises(SourceChanged):
        next(items)


@pytest.mark.parametrize(
    ("page", "strict"), [(b"<html>consent</html>", False), (b"[]", True)], ids=["unreadable", "empty"]
)
def test_an_unreadable_page_is_kept(tmp_path: Path, page: bytes, strict: bool) -> None:
    """As it came, in a file that the error names; a query that looks like a path does not lead out of the folder."""
    folder = tmp_path / "new" / "pages"
    source = PagedSource(Made(empty_is_end=not strict), keep_pages=folder)
    said = []
    for _ in range(2):
        with pytest.raises(SourceChanged) as raised:
            read(source, Slice("made", "../../q\0\ud800", 0, 3), these(page))
        said.append(str(raised.value))
    (kept,) = tmp_path.rglob("*.page")
    assert kept.parent == folder
    assert kept.read_bytes() == page
    assert said[0].endswith(f"report it with the page saved as {kept}")
    assert said[0] == said[1]


def test_a_page_that_cannot_be_kept_hides_no_error(tmp_path: Path) -> None:
    """What went wrong first counts."""
    (tmp_path / "file").write_text("")
    source = PagedSource(Made(), keep_pages=tmp_path / "file")
    with pytest.raises(SourceChanged, match=r"it is no list .*; the page could not be saved: FileExistsError"):
        read(source, piece(0, 3), these(b"<html>"))
