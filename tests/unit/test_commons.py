"""Wikimedia Commons: requests follow the API's documentation, and responses are checked. A loopback server responds."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from apis import CommonsApi, answer, body, commons_entry, pictures, query
from attrs import evolve
from hostile import Site, policy, status
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import SourceChanged, SourceUnavailable
from pixcore.model.images import Download, Miss, MissReason, Provenance
from pixcore.model.requests import Slice
from pixcore_adapters.downloader.sources.commons import Commons, CommonsCategory, CommonsDepicts
from pixcore_adapters.downloader.sources.paged import PagedSource
from pixcore_adapters.downloader.sources.search import (
    Overloaded,
    PageAnswer,
    Refused,
    Result,
    Unreadable,
)
from pixcore_adapters.downloader.web import WebDownloader

PATH = "/w/api.php"
NAMES = [
    "query",
    "pages",
    "index",
    "imageinfo",
    "url",
    "extmetadata",
    "Artist",
    "value",
    "batchcomplete",
    "error",
    "code",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
)


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site without pages."""
    with Site() as site:
        yield site


def api(site: Site, count: int) -> CommonsApi:
    """Serve the API on the site with this many files. Every third is CC0."""
    licences = [{"License": "cc0", "LicenseShortName": "CC0"} if n % 3 == 0 else {} for n in range(count)]
    entries = [commons_entry(url, n, **licences[n]) for n, url in enumerate(pictures(site, count))]
    site.routes[PATH] = found = CommonsApi(entries)
    return found


def downloader(site: Site) -> WebDownloader:
    """Return the downloader that users get, except for the API's URL."""
    return WebDownloader({"commons": PagedSource(Commons(api=site.url(PATH)))}, policy(site))


def slice_of(start: int, stop: int, licenses: str = "") -> Slice:
    """Return a slice of the results for red pandas."""
    return Slice("commons", "red panda", start, stop, licenses=licenses)


def positions(items: list[Download | Miss]) -> list[int]:
    """Return the items' positions in their source."""
    return [item.candidate.key.position for item in items]


def read(*files: object) -> list[Result | None]:
    """Parse a page of these files."""
    page = json.dumps({"batchcomplete": True, "query": {"pages": files}}).encode()
    return list(Commons().read(PageAnswer(page)).results)


def read_one(**metadata: object) -> Result:
    """Parse a page of one file with this metadata."""
    (result,) = read(commons_entry("https://a.example/1.jpg", **metadata) | {"index": 1})
    assert result
    return result


# -- requests and parsing --------------------------------------------------------------------------------------------


def test_a_request_follows_the_documentation() -> None:
    """A request asks for images only, with just the metadata that a row needs, in format version 2."""
    assert query(Commons().request("C&A = 100%|größe\ud800", "by,cc0", 3, "").url) == {
        "action": "query",
        "format": "json",
        "formatversion": "2",
        "maxlag": "5",
        "generator": "search",
        "gsrsearch": "C&A = 100%|größe? filetype:bitmap",
        "gsrnamespace": "6",
        "gsrlimit": "50",
        "gsroffset": "150",
        "prop": "imageinfo",
        "iiprop": "url|sha1|mime|extmetadata",
        "iiextmetadatafilter": "Artist|License|LicenseShortName|LicenseUrl|ObjectName",
    }


def test_public_domain_is_filtered_by_the_api() -> None:
    """Public domain is filtered by the API: it is rare, and most pages would be fetched for nothing."""
    for licenses in ("cc0", "cc0,pdm"):
        assert (
            query(Commons().request("cat", licenses, 0, "").url)["gsrsearch"]
            == "cat filetype:bitmap haslicense:unrestricted"
        )


def test_categories_and_items_are_exact_queries() -> None:
    """A category is listed and continued; an item of Wikidata is searched for in the structured data."""
    first = query(CommonsCategory().request("Red pandas|x", "", 0, "").url)
    assert (first["generator"], first["gcmtitle"], first["gcmtype"]) == (
        "categorymembers",
        "Category:Red pandas|x",
        "file",
    )
    assert "gcmcontinue" not in first
    second = query(CommonsCategory().request("Red pandas|x", "", 1, "file|41|7").url)
    assert second == first | {"gcmcontinue": "file|41|7"}
    item = query(CommonsDepicts().request("Q41960", "", 2, "").url)
    assert (item["gsrsearch"], item["gsroffset"]) == ("haswbstatement:P180=Q41960 filetype:bitmap", "100")


def test_a_category_without_files_is_named_with_the_remedy() -> None:
    """A category that does not exist looks like an empty one, so the user must check its name."""
    with pytest.raises(Refused, match=r"has no files in the category 'Red pandsa'; check its name at https://"):
        CommonsCategory().read(PageAnswer(b'{"batchcomplete":true}', query="Red pandsa"))


def test_files_of_a_category_that_are_no_pictures_keep_their_position() -> None:
    """Sounds, videos, documents and drawings are in categories, too."""
    files = [commons_entry(f"https://a.example/{n}", n) for n in range(4)]
    for file, kind in zip(files, ("image/jpeg", "application/ogg", "image/svg+xml", "image/png"), strict=True):
        file["imageinfo"][0] |= {"mime": kind, "sha1": "a" * 40}
    page = {"continue": {"gcmcontinue": "file|42|8"}, "query": {"pages": files}}
    found = CommonsCategory().read(PageAnswer(json.dumps(page).encode()))
    assert found.cursor == "file|42|8"
    assert [result and (result.url, result.checksum) for result in found.results] == [
        ("https://a.example/0", "sha1:" + "a" * 40),
        None,
        None,
        ("https://a.example/3", "sha1:" + "a" * 40),
    ]


def test_a_file_keeps_all_of_its_provenance() -> None:
    """A file keeps creator, licence and page, which a user who publishes the dataset must name."""
    (result,) = read(commons_entry("https://upload.example/1.jpg", 7) | {"index": 1})
    assert result == Result(
        "https://upload.example/1.jpg",
        Provenance(
            page_url="https://commons.wikimedia.org/wiki/File:Red_panda_7.jpg",
            title="Red panda 7",
            creator="Ada",
            license="CC BY-SA 4.0",
            license_url="https://creativecommons.org/licenses/by-sa/4.0",
        ),
        "by-sa",
    )


def test_missing_metadata_is_empty() -> None:
    """Missing metadata is empty; without an object name, the title is the file's name."""
    nothing = dict.fromkeys(["ObjectName", "Artist", "License", "LicenseShortName", "LicenseUrl"])
    result = read_one(**nothing)
    page = "https://commons.wikimedia.org/wiki/File:Red_panda_0.jpg"
    assert (result.provenance, result.license) == (Provenance(page_url=page, title="Red panda 0.jpg"), "")
    assert read_one(**{name: {"odd": 1} for name in nothing}).provenance == result.provenance


@pytest.mark.parametrize(
    ("html", "creator"),
    [
        ("Ada", "Ada"),
        ('<a href="//x" class="extiw">Ada &amp; Bo</a> (<a href="//y">talk</a>)', "Ada & Bo (talk)"),
        ("<div>Ada<br />\n Lovelace</div>", "Ada Lovelace"),
        ("<style data-x>.a>b{color:red}</style><bdi>Ada</bdi>", "Ada"),
        ("a < b", "a < b"),
        ("<![junk[ Ada", ""),
    ],
)
def test_a_creator_is_plain_text(html: str, creator: str) -> None:
    """A creator's HTML becomes plain text."""
    assert read_one(Artist=html).provenance.creator == creator


@given(st.text(st.sampled_from("<>!-[]?/&#;=\"' aAscriptyle\n"), max_size=60))
def test_no_markup_breaks_the_reader(html: str) -> None:
    """Any markup can be parsed, because anybody may edit it."""
    creator = read_one(Artist=html).provenance.creator
    assert creator == " ".join(creator.split())


@pytest.mark.parametrize(
    ("license", "slug"),
    [
        ("cc-by-sa-4.0", "by-sa"),
        ("cc-by-sa-3.0-de", "by-sa"),
        ("cc-by-2.0", "by"),
        ("CC-BY-4.0", "by"),
        ("cc-by-nc-nd-2.0", "by-nc-nd"),
        ("cc0", "cc0"),
        ("cc-zero", "cc0"),
        ("pd", "pdm"),
        ("pd-old-100", "pdm"),
        ("cc-pd-mark", "pdm"),
        ("cc-byte", ""),
        ("gfdl", ""),
        ("cc-sa-1.0", ""),
        ("", ""),
    ],
)
def test_licences_have_slugs(license: str, slug: str) -> None:  # noqa: A002 - the word for it
    """`--license by` means any version and country of it. An unknown licence is not allowed."""
    assert read_one(License=license).license == slug


def test_files_come_by_rank_and_gaps_stay() -> None:
    """Files are ordered by index. A gap or a file without an image keeps its position."""
    files = [commons_entry(f"https://a.example/{n}.jpg", n) | {"index": 101 + n} for n in (5, 0, 2, 3)]
    del files[2]["imageinfo"]
    files[3]["imageinfo"] = []
    assert [result and result.url for result in read(*files)] == [
        "https://a.example/0.jpg",
        None,
        None,
        None,
        None,
        "https://a.example/5.jpg",
    ]


def test_an_answer_without_a_query_is_the_end() -> None:
    """A response without `query` means that there are no more results."""
    assert Commons().read(PageAnswer(b'{"batchcomplete":true}')).results == []


UNREADABLE = {
    "web page": b"<!doctype html><title>Wikimedia Error</title>",
    "cut": b'{"batchcomplete":true,"query":{"pages":[{"pageid":1,',
    "nothing": b"{}",
    "older format": b'{"batchcomplete":"","query":{"pages":{"7":{"index":1}}}}',
    "no index": b'{"query":{"pages":[{"pageid":1,"imageinfo":[{"url":"https://a.example/1.jpg"}]}]}}',
    "no image": b'{"query":{"pages":[{"pageid":1,"index":1}]}}',
    "refusal": b'{"error":{"code":"badvalue","info":"Unrecognized value","docref":"See"}}',
    "odd refusal": b'{"error":[]}',
}


@pytest.mark.parametrize("page", UNREADABLE.values(), ids=UNREADABLE)
def test_a_page_without_results_is_unreadable(page: bytes) -> None:
    """A page without any readable result is unreadable; it is not the end of the results."""
    with pytest.raises(Unreadable):
        Commons().read(PageAnswer(page))


@pytest.mark.parametrize("code", ["maxlag", "ratelimited", "cirrussearch-too-busy-error"])
def test_an_overloaded_api_has_not_changed(code: str) -> None:
    """An overloaded API raises Overloaded, although its status is 200."""
    error = {"error": {"code": code, "info": "Waiting for 10.0.0.1: 7 seconds lagged", "lag": 7}}
    with pytest.raises(Overloaded, match=f"{code}: Waiting for 10.0.0.1: 7 seconds lagged"):
        Commons().read(PageAnswer(json.dumps(error).encode()))


@given(JSON)
def test_no_answer_breaks_the_reader(value: object) -> None:
    """Any response gives results, Unreadable or Overloaded, and never another exception."""
    try:
        results = Commons().read(PageAnswer(json.dumps(value).encode())).results
    except (Unreadable, Overloaded):
        return
    assert all(result is None or result.url for result in results)


# -- the whole source, over loopback ---------------------------------------------------------------------------------


def test_pages_to_the_last_one(site: Site, tmp_path: Path) -> None:
    """All pages are fetched once, one at a time, and the results are complete and in order."""
    found = api(site, 107)
    items = list(downloader(site).download([slice_of(0, 10_000)], tmp_path))
    assert positions(items) == list(range(107))
    assert [item.path.read_bytes() for item in items if isinstance(item, Download)] == [body(n) for n in range(107)]
    assert found.pages == [0, 1, 2, 3]
    assert items[106].candidate.provenance.title == "Red panda 106"


def test_slices_share_a_page(site: Site, tmp_path: Path) -> None:
    """A slice may begin and end in the middle of a page."""
    found = api(site, 107)
    first = list(downloader(site).download([slice_of(0, 63)], tmp_path))
    second = list(downloader(site).download([slice_of(63, 107)], tmp_path))
    assert (positions(first), positions(second)) == (list(range(63)), list(range(63, 107)))
    assert found.pages == [0, 1, 1, 2]


@pytest.mark.parametrize(("count", "start"), [(0, 0), (30, 70)], ids=["empty", "beyond"])
def test_a_keyword_without_results(site: Site, tmp_path: Path, count: int, start: int) -> None:
    """A keyword without results is no error and takes one request."""
    found = api(site, count)
    assert list(downloader(site).download([slice_of(start, 240)], tmp_path)) == []
    assert found.pages == [start // 50]


def test_the_last_results_that_are_shown(site: Site, tmp_path: Path) -> None:
    """Nothing is requested beyond the search's limit of ten thousand results."""
    found = api(site, 0)
    assert list(downloader(site).download([slice_of(9_990, 10_000)], tmp_path)) == []
    assert list(downloader(site).download([slice_of(10_000, 10_100)], tmp_path)) == []
    assert found.pages == [199]


def test_other_licences_are_misses(site: Site, tmp_path: Path) -> None:
    """Results with other licences are permanent misses and keep their positions."""
    api(site, 6)
    items = list(downloader(site).download([slice_of(0, 50, "by,cc0")], tmp_path))
    assert [item.reason if isinstance(item, Miss) else item.candidate.provenance.license for item in items] == [
        "CC0",
        "license_not_allowed",
        "license_not_allowed",
    ] * 2


def test_an_overloaded_api_is_worth_asking_again(site: Site, tmp_path: Path) -> None:
    """An overloaded API raises SourceUnavailable, after the earlier results."""
    found = api(site, 70)
    lagged = {"error": {"code": "maxlag", "info": "Waiting for a database: 9 seconds lagged"}}
    found.instead[1] = answer(lagged, Retry_After=5, MediaWiki_API_Error="maxlag")
    items = downloader(site).download([slice_of(0, 70)], tmp_path)
    assert positions([next(items) for _ in range(51)]) == list(range(51))  # the last one is the miss that names it
    with pytest.raises(SourceUnavailable, match=r"commons: maxlag: .*; try again later"):
        next(items)


def test_a_change_ends_the_source_and_its_page_is_kept(site: Site, tmp_path: Path) -> None:
    """An unreadable page ends the source. It is saved, and the error names it if there was no result."""
    found = api(site, 70)
    found.instead[1] = status(200, b"<!doctype html>", Content_Type="text/html")
    into, kept = tmp_path / "into", tmp_path / "kept"
    into.mkdir()
    source = PagedSource(Commons(api=site.url(PATH)), keep_pages=kept)
    keeping = evolve(downloader(site), sources={"commons": source})
    items = list(keeping.download([slice_of(0, 70)], into))
    assert positions(items) == list(range(51))
    assert isinstance(items[50], Miss)
    assert items[50].reason == MissReason.CHANGED
    with pytest.raises(SourceChanged, match=r"a page of commons cannot be read: it is not JSON; .* page saved as "):
        list(keeping.download([slice_of(50, 70)], into))
    assert [path.read_bytes() for path in kept.iterdir()] == [b"<!doctype html>"]
