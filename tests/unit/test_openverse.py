"""Openverse: requests follow the API's documentation, and responses are checked. A loopback server responds."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from apis import OpenverseApi, answer, body, openverse_entry, pictures, query
from attrs import evolve
from hostile import Answer, Client, Site, policy, silent, status
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import SourceChanged, SourceUnavailable
from pixcore.model.images import Download, Miss, MissReason, Provenance
from pixcore.model.requests import Slice
from pixcore_adapters.downloader.sources.openverse import Openverse
from pixcore_adapters.downloader.sources.paged import PagedSource
from pixcore_adapters.downloader.sources.search import PageAnswer, Unreadable
from pixcore_adapters.downloader.web import WebDownloader

PATH = "/v1/images/"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["results", "url", "license", "title"]), inner),
)


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site without pages."""
    with Site() as site:
        yield site


def api(site: Site, count: int) -> OpenverseApi:
    """Serve the API on the site with this many results. Every third is CC0."""
    urls = pictures(site, count)
    entries = [openverse_entry(url, n, license="by-sa" if n % 3 else "cc0") for n, url in enumerate(urls)]
    site.routes[PATH] = found = OpenverseApi(entries)
    return found


def downloader(site: Site) -> WebDownloader:
    """Return the downloader that users get, except for the API's URL."""
    search = Openverse(api=site.url(PATH))
    return WebDownloader({"openverse": PagedSource(search), "other": PagedSource(search)}, policy(site))


def slice_of(start: int, stop: int, licenses: str = "") -> Slice:
    """Return a slice of the results for red pandas."""
    return Slice("openverse", "red panda", start, stop, licenses=licenses)


def positions(items: list[Download | Miss]) -> list[int]:
    """Return the items' positions in their source."""
    return [item.candidate.key.position for item in items]


# -- requests and parsing --------------------------------------------------------------------------------------------


def test_a_request_follows_the_documentation() -> None:
    """Pages count from 1, and a keyword is quoted."""
    search = Openverse()
    url = search.request("C&A = 100%+ größe?\ud800", "", 0, "").url
    assert urlsplit(url)._replace(query="").geturl() == "https://api.openverse.org/v1/images/"
    assert query(url) == {"q": "C&A = 100%+ größe??", "page": "1", "page_size": "20"}
    assert query(search.request("cat", "by,sampling+", 11, "").url) == {
        "q": "cat",
        "page": "12",
        "page_size": "20",
        "license": "by,sampling+",
    }


def test_a_result_keeps_all_of_its_provenance() -> None:
    """A result keeps creator, licence and page, which a user who publishes the dataset must name."""
    (result,) = (
        Openverse()
        .read(PageAnswer(json.dumps({"results": [openverse_entry("https://a.example/1.jpg", 7)]}).encode()))
        .results
    )
    assert result
    assert (result.url, result.license) == ("https://a.example/1.jpg", "by-sa")
    assert result.provenance == Provenance(
        page_url="https://photos.example/7",
        title="Red panda 7",
        creator="Ada",
        license="CC BY-SA 4.0",
        license_url="https://creativecommons.org/licenses/by-sa/4.0/",
    )


@pytest.mark.parametrize(
    ("slug", "version", "name"),
    [
        ("cc0", "1.0", "CC0 1.0"),
        ("pdm", "1.0", "Public Domain Mark 1.0"),
        ("by-nc-nd", "2.0", "CC BY-NC-ND 2.0"),
        ("BY", None, "CC BY"),
        ("sampling+", "1.0", "CC SAMPLING+ 1.0"),
        (None, "4.0", "4.0"),
        (None, None, ""),
    ],
)
def test_licences_read_as_people_write_them(slug: str | None, version: str | None, name: str) -> None:
    """A row has the licence's usual name, "CC BY 2.0", not the slug."""
    entry = openverse_entry("https://a.example/1.jpg", license=slug, license_version=version)
    (result,) = Openverse().read(PageAnswer(json.dumps({"results": [entry]}).encode())).results
    assert result
    assert result.provenance.license == name
    assert result.license == (slug or "").lower()


def test_null_and_unexpected_values_are_empty() -> None:
    """Null and values of other types are empty; no row holds "None"."""
    bare = {"url": " https://a.example/1.jpg ", "title": None, "creator": 7, "license_url": ["x"]}
    odd = {"url": "https://a.example/2.jpg", "title": "two\n lines\ud800", "foreign_landing_url": {}}
    first, second = Openverse().read(PageAnswer(json.dumps({"results": [bare, odd]}).encode())).results
    assert first
    assert (first.url, first.provenance) == ("https://a.example/1.jpg", Provenance())
    assert second
    assert second.provenance == Provenance(title="two lines?")


def test_a_result_without_an_image_keeps_its_position() -> None:
    """A result without an image keeps its position, so that later ones do not shift."""
    entries = [openverse_entry("https://a.example/0.jpg"), {}, "junk", openverse_entry("https://a.example/3.jpg")]
    entries += [openverse_entry("https://a.example/" + "x" * 8000)]
    results = Openverse().read(PageAnswer(json.dumps({"results": entries}).encode())).results
    assert [result and result.url for result in results] == [
        "https://a.example/0.jpg",
        None,
        None,
        "https://a.example/3.jpg",
        None,
    ]


UNREADABLE = {
    "web page": b"<!doctype html><title>Before you continue</title>",
    "cut": json.dumps({"results": [openverse_entry("https://a.example/1.jpg")]}).encode()[:-9],
    "list": b"[]",
    "deep": b"[" * 100_000,
    "not UTF-8": b"\xff\xfe\xfd",
    "no results": b'{"detail": "Authentication credentials were not provided."}',
    "renamed": b'{"results": [{"image_url": "https://a.example/1.jpg"}]}',
}


@pytest.mark.parametrize("page", UNREADABLE.values(), ids=UNREADABLE)
def test_a_page_without_results_is_unreadable(page: bytes) -> None:
    """A page without any readable result is unreadable; it is not the end of the results."""
    with pytest.raises(Unreadable):
        Openverse().read(PageAnswer(page))


@given(JSON)
def test_no_answer_breaks_the_reader(value: object) -> None:
    """Any response gives results or Unreadable, and never another exception."""
    try:
        results = Openverse().read(PageAnswer(json.dumps(value).encode())).results
    except Unreadable:
        return
    assert all(result is None or result.url for result in results)


# -- the whole source, over loopback ---------------------------------------------------------------------------------


def test_pages_to_the_last_one(site: Site, tmp_path: Path) -> None:
    """All pages are fetched once, and the results are complete and in order."""
    found = api(site, 45)
    items = list(downloader(site).download([slice_of(0, 240)], tmp_path))
    assert positions(items) == list(range(45))
    assert [item.path.read_bytes() for item in items if isinstance(item, Download)] == [body(n) for n in range(45)]
    assert found.pages == [0, 1, 2]
    assert items[44].candidate.provenance.title == "Red panda 44"


def test_slices_share_a_page(site: Site, tmp_path: Path) -> None:
    """A slice may begin and end in the middle of a page."""
    found = api(site, 45)
    first = list(downloader(site).download([slice_of(0, 27)], tmp_path))
    second = list(downloader(site).download([slice_of(27, 45)], tmp_path))
    assert (positions(first), positions(second)) == (list(range(27)), list(range(27, 45)))
    assert found.pages == [0, 1, 1, 2]


@pytest.mark.parametrize(("count", "start"), [(0, 0), (30, 40), (40, 40)], ids=["empty", "beyond", "just beyond"])
def test_a_keyword_without_results(site: Site, tmp_path: Path, count: int, start: int) -> None:
    """A keyword without results is no error and takes one request."""
    found = api(site, count)
    assert list(downloader(site).download([slice_of(start, 240)], tmp_path)) == []
    assert found.pages == [start // 20]


def test_licences_are_requested_and_checked(site: Site, tmp_path: Path) -> None:
    """Licences are filtered by the API and checked again; another licence is a permanent miss."""
    found = api(site, 9)
    items = list(downloader(site).download([slice_of(0, 20, "by,cc0")], tmp_path))
    assert found.requests[0]["license"] == "by,cc0"
    assert [item.candidate.provenance.title for item in items] == ["Red panda 0", "Red panda 3", "Red panda 6"]
    found.instead[0] = answer({"results": found.entries})
    items = list(downloader(site).download([slice_of(0, 20, "by,cc0")], tmp_path))
    assert [item.reason if isinstance(item, Miss) else "" for item in items[:3]] == ["", *["license_not_allowed"] * 2]


def test_an_image_of_an_earlier_page_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    """A URL that an earlier page had is not fetched again: results move between pages, and sources overlap."""
    found = api(site, 22)
    found.entries = [*found.entries[:20], *found.entries[19:]]
    slices = [slice_of(0, 240), evolve(slice_of(0, 240), source="other")]
    items = list(downloader(site).download(slices, tmp_path))
    missed = {(item.candidate.key.position, item.reason, item.permanent) for item in items if isinstance(item, Miss)}
    assert missed == {(n, "repeated_url", True) for n in range(23)}
    assert (len(items), site.paths().count("/19.jpg")) == (46, 1)


BROKEN = {
    "web page": status(200, b"<!doctype html>", Content_Type="text/html"),
    "cut": status(200, b'{"result_count": 45, "results": [{"id": "4b'),
    "refused": answer({"detail": "Ensure this value is less than or equal to 20."}, 401),
    "not found": status(404),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_changed_source_ends_and_others_continue(site: Site, tmp_path: Path, broken: Answer) -> None:
    """An unreadable page ends one source, and the others continue; alone, it raises SourceChanged."""
    found = api(site, 45)
    found.instead[1] = broken
    with Site() as second:
        urls = pictures(second, 3)
        second.routes[PATH] = OpenverseApi([openverse_entry(url, n) for n, url in enumerate(urls)])
        other = PagedSource(Openverse(api=second.url(PATH)))
        sources = {"openverse": PagedSource(Openverse(api=site.url(PATH))), "other": other}
        both = WebDownloader(sources, policy(site, private_hosts={site.host, second.host}))
        items = list(both.download([slice_of(0, 45), evolve(slice_of(0, 45), source="other")], tmp_path))
    assert positions(items) == [*range(20), 20, 0, 1, 2]
    assert [item.reason for item in items if isinstance(item, Miss)] == [MissReason.CHANGED]
    with pytest.raises(SourceChanged):
        list(downloader(site).download([slice_of(20, 45)], tmp_path))


def test_too_many_requests(site: Site, tmp_path: Path) -> None:
    """A wait of more than a minute raises SourceUnavailable, without further requests."""
    found = api(site, 45)
    found.instead[1] = answer({"detail": "Request was throttled."}, 429, Retry_After="3600")
    with pytest.raises(
        SourceUnavailable, match=r"openverse: its limit of requests is spent .http_429.; try again later"
    ):
        list(downloader(site).download([slice_of(0, 45)], tmp_path))
    assert found.pages == [0, 1]


def test_an_exhausted_limit_of_a_day_is_an_error(site: Site, tmp_path: Path) -> None:
    """After the last request of the day, nothing more is requested, and the error names the wait."""
    found = api(site, 45)
    found.headers = lambda: {
        "X_RateLimit_Limit_anon_burst": "20/min",
        "X_RateLimit_Available_anon_burst": 18,
        "X_RateLimit_Limit_anon_sustained": "200/day",
        "X_RateLimit_Available_anon_sustained": 2 - len(found.pages),
    }
    with Site() as elsewhere:
        host = f"localhost:{elsewhere.port}"  # limits are by host, whatever the port
        urls = [url.replace(elsewhere.host, host) for url in pictures(elsewhere, 45)]
        found.entries = [openverse_entry(url, n) for n, url in enumerate(urls)]
        both = evolve(downloader(site), policy=policy(site, private_hosts={site.host, host}))
        items = both.download([slice_of(0, 45)], tmp_path)
        delivered = [next(items) for _ in range(40)]
        assert next(items).candidate.key.position == 40  # the miss that names the source
        with pytest.raises(SourceUnavailable, match="the rate limit 200/day is exhausted for at most 86400 seconds"):
            next(items)
    assert [item.path.read_bytes() for item in delivered if isinstance(item, Download)] == [body(n) for n in range(40)]
    assert found.pages == [0, 1]


def test_stop_while_a_page_hangs(site: Site, tmp_path: Path) -> None:
    """Ctrl-C ends the download while a page hangs; it does not wait for the deadline."""
    requested = threading.Event()

    async def hang(client: Client) -> bool:
        requested.set()
        return await silent()(client)

    api(site, 45).instead[0] = hang
    patient = evolve(downloader(site), policy=policy(site, seconds=600.0))

    def waiting() -> None:
        if requested.is_set():
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(patient.download([slice_of(0, 45)], tmp_path, waiting=waiting))
    assert time.monotonic() - began < 10


def test_closing_while_a_page_is_on_its_way(site: Site, tmp_path: Path) -> None:
    """Closing early cancels the page that is being fetched ahead."""
    api(site, 45).instead[1] = silent()
    before = set(threading.enumerate())
    items = downloader(site).download([slice_of(0, 45)], tmp_path)
    assert positions([next(items)]) == [0]
    items.close()
    assert not set(threading.enumerate()) - before
