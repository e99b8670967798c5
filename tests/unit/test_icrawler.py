"""Search engines through icrawler: the requests, the parsing of pages, and what must never happen."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import frozen
from engine_pages import (
    CONSENT,
    NO_SCRIPT,
    Found,
    Page,
    baidu,
    baidu_items,
    baidu_page,
    bing,
    bing_links,
    bing_page,
    ciphered,
    engine,
    google,
    google_page,
    results_of,
)
from hostile import PICTURE, Naps, Site, in_turn, picture, policy, status
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import InvalidRequest, SourceChanged, SourceUnavailable
from pixcore.model.images import Download, Miss, MissReason, Provenance
from pixcore.model.requests import Slice
from pixcore_adapters.downloader import web
from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.sources.icrawler import Baidu, Bing, Google
from pixcore_adapters.downloader.sources.paged import PagedSource
from pixcore_adapters.downloader.sources.search import PageAnswer, Result, Unreadable
from pixcore_adapters.downloader.web import WebDownloader

KEYWORD = "red panda"


@frozen
class Kind:
    """An engine: its search, and the pages that it responds with."""

    search: type[Bing | Google | Baidu]
    path: str
    word: str
    start: str
    starts: tuple[str, str, str]
    write: Callable[[Sequence[Found]], bytes]
    serve: Callable[[Sequence[Found]], Page]


KINDS = {
    "bing": Kind(Bing, "/images/async", "q", "first", ("1", "21", "41"), bing_page, bing),
    "google": Kind(Google, "/search", "q", "start", ("0", "100", "200"), google_page, google),
    "baidu": Kind(Baidu, "/search/acjson", "word", "pn", ("0", "30", "60"), baidu_page, baidu),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Return each engine in turn."""
    return KINDS[request.param]


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site without pages."""
    with Site() as site:
        yield site


def hosted(site: Site, count: int) -> list[Found]:
    """Serve this many distinct pictures on the site."""
    site.routes |= {f"/{n}.jpg": picture(PICTURE + n.to_bytes(2)) for n in range(count)}
    return results_of(site.url(f"/{n}.jpg") for n in range(count))


def items(site: Site, kind: Kind, into: Path, start: int = 0, stop: int = 1000) -> list[Download | Miss]:
    """Download a slice with the real downloader."""
    search = kind.search(site.url(""))
    downloader = WebDownloader({search.about.name: PagedSource(search)}, policy(site))
    into.mkdir(exist_ok=True)
    return list(downloader.download([Slice(search.about.name, KEYWORD, start, stop)], into))


def urls(taken: Sequence[Download | Miss]) -> list[str]:
    """Return the URLs of the downloads."""
    return [item.candidate.url for item in taken if isinstance(item, Download)]


def requested(site: Site, kind: Kind) -> list[str]:
    """Return the offsets of the requested pages, in order."""
    return [parse_qs(urlsplit(path).query)[kind.start][0] for path in site.paths() if path.startswith(f"{kind.path}?")]


# -- requests --------------------------------------------------------------------------------------------------------


def test_the_real_engines_are_requested_over_https() -> None:
    """All engines are requested over https, although icrawler uses http for Baidu."""
    assert [kind.search().request("cat", "", 0, "").url for kind in KINDS.values()] == [
        "https://www.bing.com/images/async?q=cat&first=1",
        "https://www.google.com/search?q=cat&ijn=0&start=0&tbs=&tbm=isch",
        "https://image.baidu.com/search/acjson?tn=resultjson_com&ipn=rj&word=cat&pn=0&rn=30",
    ]


@given(st.text(min_size=1))
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_any_keyword_is_sent_unchanged(kind: Kind, keyword: str) -> None:
    """Any keyword is sent unchanged, also with ampersands and braces."""
    address = urlsplit(kind.search("http://127.0.0.1:1").request(keyword, "", 2, "").url)
    assert (address.scheme, address.netloc, address.path) == ("http", "127.0.0.1:1", kind.path)
    values = parse_qs(address.query)
    assert (values[kind.word], values[kind.start]) == ([keyword], [kind.starts[2]])


def test_a_lone_surrogate_in_a_keyword_is_replaced(kind: Kind) -> None:
    """A lone surrogate, as from a broken terminal, is replaced."""
    values = parse_qs(urlsplit(kind.search().request("cat\ud83d", "", 0, "").url).query)
    assert values[kind.word] == ["cat?"]


# -- parsing ---------------------------------------------------------------------------------------------------------


def test_all_results_of_a_page_are_read_in_order(kind: Kind) -> None:
    """All results of a page are read in order, because their ranks are their positions."""
    results = results_of(f"https://host.example/{n}.jpg" for n in range(kind.search.about.size))
    read = kind.search().read(PageAnswer(kind.write(results))).results
    assert [one and one.url for one in read] == [found.url for found in results]


@pytest.mark.parametrize("kind", [KINDS["bing"], KINDS["baidu"]], ids=["bing", "baidu"])
def test_page_and_title_are_kept(kind: Kind) -> None:
    """Page and title are kept as provenance, without the engine's markup."""
    found = Found("https://a.example/1.jpg", "https://a.example/page?x=1&y=2", "Tom's  red panda &amp; co\n(2024)")
    (result,) = kind.search().read(PageAnswer(kind.write([found]))).results
    assert result == Result(
        found.url, Provenance(page_url="https://a.example/page?x=1&y=2", title="Tom's red panda & co (2024)")
    )


@pytest.mark.parametrize("kind", [KINDS["bing"], KINDS["baidu"]], ids=["bing", "baidu"])
def test_an_invalid_page_address_is_dropped(kind: Kind) -> None:
    """A page address that is not a web URL is dropped, because reports show it as a link."""
    (result,) = (
        kind.search()
        .read(PageAnswer(kind.write([Found("https://a.example/1.jpg", "javascript:alert(1)", "")])))
        .results
    )
    assert result == Result("https://a.example/1.jpg", Provenance())


def test_a_title_can_be_written_to_a_file() -> None:
    """A title with a lone surrogate becomes text that can be written to a file."""
    (result,) = (
        Bing().read(PageAnswer(bing_links([r'{"murl": "https://a.example/1.jpg", "t": "a \ud83d b\u0007c"}']))).results
    )
    assert result is not None
    assert result.provenance.title == "a ? bc"


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/1.JPG",
        "https://a.example/1.png",
        "https://a.example/1.webp?w=1200&h=800",
        "https://a.example/Red Panda.jpeg",
        "https://a.example/小熊猫",
    ],
)
def test_bing_gives_results_that_icrawlers_parser_drops(url: str) -> None:
    """Bing's results include those that icrawler's parser drops: other suffixes, upper case, query strings."""
    (result,) = Bing().read(PageAnswer(bing_page([Found(url)]))).results
    assert result is not None
    assert result.url == url


@pytest.mark.parametrize(
    "attribute",
    [
        *("", "{", "[]", "null", "{}", "[" * 99_999, '{"murl": 1}', '{"murl": "//a.example/x"}', '{"murl": "data:,x"}'),
        r'{"murl": "https://a.example/\ud83d.jpg"}',
    ],
    ids=lambda attribute: attribute[:40] or "nothing",
)
def test_a_link_of_bing_that_cannot_be_read_keeps_its_place(attribute: str) -> None:
    """A link of Bing that cannot be parsed keeps its position, so that later ones do not shift."""
    good = json.dumps({"murl": "https://a.example/1.jpg"})
    assert [bool(one) for one in Bing().read(PageAnswer(bing_links([good, attribute, good]))).results] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "item", [{"objURL": ""}, {"objURL": None}, {"objURL": 3}, {"thumbURL": "https://a.example"}, 7, None, "x", []]
)
def test_an_item_of_baidu_that_cannot_be_read_keeps_its_place(item: object) -> None:
    """An item of Baidu that cannot be parsed keeps its position."""
    good = {"objURL": ciphered("https://a.example/1.jpg")}
    assert [bool(one) for one in Baidu().read(PageAnswer(baidu_items([good, item, good]))).results] == [
        True,
        False,
        True,
    ]


def test_baidus_cipher_is_undone() -> None:
    """Baidu's encoded URLs are decoded; the example is a real one."""
    item = {"objURL": "ippr_z2C$qAzdH3FAzdH3Fooo_z&e3B99ln_z&e3Bv54AzdH3Fxtg22wg45pjAzdH3Fdab00AzdH3F8_z&e3Bip4"}
    (result,) = Baidu().read(PageAnswer(baidu_items([item]))).results
    assert result is not None
    assert result.url == "http://www.4493.com/xingganmote/20877/1.htm"


def test_google_gives_no_assets_of_its_own_no_markup_and_nothing_twice() -> None:
    """Google's own assets, markup and repeated URLs are dropped from the parser's result."""
    page = r"""<script>[["https://www.gstatic.com/logo.png",48],["https://www.google.com/images/x.png",1],
        ["https:\/\/a.example\/caf\u00e9.jpg",1],["https://a.example/熊猫.png",1],
        ["https://page.example/1","IMG 1.jpg"],["https://lh3.googleusercontent.com/u.jpg",1],
        ["https://a.example/1.jpg",1],["https://notgstatic.com/1.jpg",1],["https://a.example/1.jpg",2]]</script>"""
    assert [one and one.url for one in Google().read(PageAnswer(page.encode())).results] == [
        "https://a.example/café.jpg",
        "https://a.example/熊猫.png",
        "https://lh3.googleusercontent.com/u.jpg",
        "https://a.example/1.jpg",
        "https://notgstatic.com/1.jpg",
    ]


@pytest.mark.parametrize(
    ("search", "page", "why"),
    [
        (Bing(), CONSENT, "asks for consent"),
        (Bing(), NO_SCRIPT, "asks for consent, for JavaScript"),
        (Bing(), bing_links(["{}", "{"]), "none of its 2 results has a readable URL"),
        (Google(), CONSENT, "asks for consent"),
        (Google(), NO_SCRIPT, "asks for consent, for JavaScript"),
        (Google(), rb"<script>'http://a.example/\N{no such}.jpg'</script>", "UnicodeDecodeError"),
        (Baidu(), CONSENT, "JSONDecodeError"),
        (Baidu(), b"", "JSONDecodeError"),
        (Baidu(), b"[1]", "AttributeError"),
        (Baidu(), b"[" * 99_999, "RecursionError"),
        (Baidu(), b'{"data": null}', "TypeError"),
        (Baidu(), b"{}", "KeyError"),
        (
            Baidu(),
            b'{"antiFlag": 1, "message": "Forbid spider access"}',
            "automated access: Forbid spider access",
        ),
        (Baidu(), baidu_items([{"objURL": "https://a.example/1.jpg"}]), "none of its 1 results has a readable URL"),
    ],
)
def test_a_page_that_is_not_of_results_is_unreadable(search: Bing | Google | Baidu, page: bytes, why: str) -> None:
    """A page that is not a page of results raises Unreadable with the reason."""
    with pytest.raises(Unreadable, match=why):
        search.read(PageAnswer(page))


def test_a_page_crafted_to_be_slow_is_refused() -> None:
    """A page crafted to be slow is refused: half a megabyte would take icrawler's parser 15 minutes."""
    with pytest.raises(Unreadable, match="would take too long"):
        Google().read(PageAnswer(b"<script>" + b"http" * 125_000))


def test_deep_nesting_is_read(kind: Kind) -> None:
    """Deep nesting is parsed without RecursionError."""
    try:
        assert kind.search().read(PageAnswer(b"<div>" * 9_999 + b"<script>" * 9_999)).results == []
    except Unreadable:
        assert kind.search is Baidu


def read(kind: Kind, page: bytes) -> None:
    """Parse a page and check what holds for every page."""
    try:
        results = kind.search().read(PageAnswer(page)).results
    except Unreadable:
        return
    assert any(results) or results == []
    for result in filter(None, results):
        assert result.url.lower().startswith(("http://", "https://"))
        shown = result.url + result.provenance.page_url + result.provenance.title
        assert shown.encode()  # must be writable to a file
        assert not re.search(r"[\x00-\x1f\x7f]", shown)


@given(page=st.binary())
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_any_bytes_give_results_or_are_unreadable(kind: Kind, page: bytes) -> None:
    """Any bytes give results or Unreadable."""
    read(kind, page)


@given(data=st.data(), junk=st.binary() | st.text("<>\"'\\/&;!?[]{}:,-unx0dmhtp.jg").map(str.encode))
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_any_damage_gives_results_or_is_unreadable(kind: Kind, data: st.DataObject, junk: bytes) -> None:
    """Any damage to a page gives results or Unreadable. Random bytes seldom reach the inner parsers."""
    page = kind.write(results_of(f"https://host.example/{n}.jpg" for n in range(3)))
    cuts = st.integers(0, len(page))
    read(kind, page[: data.draw(cuts)] + junk + page[data.draw(cuts) :])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ADDRESSES = st.text(st.characters()).map("https://{}".format) | JSON


@given(st.lists(st.fixed_dictionaries({"murl": ADDRESSES}, optional={"purl": ADDRESSES, "t": JSON}), max_size=4))
def test_any_values_of_bing_are_read(values: list[dict[str, object]]) -> None:
    """Any values in Bing's JSON are read."""
    read(KINDS["bing"], bing_links(map(json.dumps, values)))


@given(
    st.lists(
        st.fixed_dictionaries({}, optional={"objURL": JSON, "hoverURL": ADDRESSES, "fromPageTitle": JSON}), max_size=4
    )
)
def test_any_values_of_baidu_are_read(values: list[dict[str, object]]) -> None:
    """Any values in Baidu's JSON are read."""
    read(KINDS["baidu"], json.dumps({"data": values}).encode())


# -- paging, with the real downloader --------------------------------------------------------------------------------


def test_pages_are_turned_to_the_last_result(kind: Kind, site: Site, tmp_path: Path) -> None:
    """All pages to the last, partial one are read; each result comes once and in order."""
    results = hosted(site, 2 * kind.search.about.size + 7)
    site.routes[kind.path] = engine(kind.serve(results))
    taken = items(site, kind, tmp_path)
    assert urls(taken) == [found.url for found in results]
    assert [item.candidate.key.position for item in taken] == list(range(len(results)))
    assert requested(site, kind)[:3] == list(kind.starts)
    assert len(requested(site, kind)) <= 3 + kind.search.about.ahead


def test_a_slice_asks_for_no_page_but_its_own(kind: Kind, site: Site, tmp_path: Path) -> None:
    """A slice in the middle requests only its own pages."""
    size = kind.search.about.size
    results = hosted(site, 3 * size)
    site.routes[kind.path] = engine(kind.serve(results))
    taken = items(site, kind, tmp_path, size + 3, 2 * size)
    assert urls(taken) == [found.url for found in results[size + 3 : 2 * size]]
    assert requested(site, kind) == [kind.starts[1]]


def test_nothing_found(kind: Kind, site: Site, tmp_path: Path) -> None:
    """An empty page is the end for Baidu; for the others it may be new markup, so it is SourceChanged."""
    site.routes[kind.path] = engine(kind.serve([]))
    if kind.search is Baidu:
        assert items(site, kind, tmp_path) == []
    else:
        with pytest.raises(
            SourceChanged, match=f"a page of {kind.search.about.name} cannot be read: it has no results"
        ):
            items(site, kind, tmp_path)


def test_a_consent_page_is_an_error_unless_results_came_before(kind: Kind, site: Site, tmp_path: Path) -> None:
    """A consent page raises SourceChanged if nothing came before; otherwise it is a miss."""
    results = hosted(site, kind.search.about.size)
    site.routes[kind.path] = status(200, CONSENT)
    with pytest.raises(SourceChanged, match=f"a page of {kind.search.about.name} cannot be read"):
        items(site, kind, tmp_path)
    site.routes[kind.path] = in_turn(status(200, kind.write(results)), status(200, CONSENT))
    taken = items(site, kind, tmp_path)
    assert urls(taken) == [found.url for found in results]
    assert [item.reason for item in taken if isinstance(item, Miss)] == [MissReason.CHANGED]


def test_a_truncated_page_gives_its_complete_results(site: Site, tmp_path: Path) -> None:
    """A page that ends in the middle gives its complete results."""
    page = bing_page(hosted(site, 5))
    site.routes["/images/async"] = in_turn(status(200, page[: page.index(b"/3.jpg")]), status(200, bing_page([])))
    assert urls(items(site, KINDS["bing"], tmp_path)) == [site.url(f"/{n}.jpg") for n in range(3)]


def test_a_short_retry_after_is_honoured(
    kind: Kind, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retry-After is honoured, and then all results follow."""
    naps = Naps()
    monkeypatch.setattr(web, "Fetcher", partial(Fetcher, sleep=naps))
    results = hosted(site, 3)
    site.routes[kind.path] = in_turn(status(429, Retry_After="7"), engine(kind.serve(results)))
    assert urls(items(site, kind, tmp_path)) == [found.url for found in results]
    assert 7.0 in naps.taken


def test_a_long_retry_after_is_unavailable(kind: Kind, site: Site, tmp_path: Path) -> None:
    """A long Retry-After raises SourceUnavailable, so that no worker waits for it."""
    site.routes[kind.path] = status(429, Retry_After="86400")
    with pytest.raises(SourceUnavailable, match="http_429"):
        items(site, kind, tmp_path)
    assert len(requested(site, kind)) == 1


def test_an_image_on_two_pages_is_fetched_once(kind: Kind, site: Site, tmp_path: Path) -> None:
    """An image on two pages is fetched once, because engines reorder results between requests."""
    size = kind.search.about.size
    results = hosted(site, 2 * size - 5)
    both = [*results[:size], *results[size - 5 :]]
    site.routes[kind.path] = engine(kind.serve(both))
    taken = items(site, kind, tmp_path)
    repeated = [item for item in taken if isinstance(item, Miss)]
    assert [item.candidate.key.position for item in repeated] == list(range(size, size + 5))
    assert {item.reason for item in repeated} == {MissReason.REPEATED}
    assert urls(taken) == [found.url for found in results]
    assert len([path for path in site.paths() if path.endswith(".jpg")]) == len(results)


def test_two_chunks_of_a_keyword_share_nothing(site: Site, tmp_path: Path) -> None:
    """Two chunks of a keyword share no image although pages overlap, and keep page and title."""
    results = hosted(site, 100)
    site.routes["/images/async"] = engine(bing(results))
    first = items(site, KINDS["bing"], tmp_path / "1", 0, 40)
    second = items(site, KINDS["bing"], tmp_path / "2", 40, 80)
    assert urls(first) + urls(second) == [found.url for found in results[:80]]
    assert [item.candidate.provenance for item in first + second] == [
        Provenance(page_url=found.page_url, title=found.title) for found in results[:80]
    ]


# -- icrawler itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["icrawler", "icrawler.builtin.bing", "icrawler.utils", "bs4", "class"])
def test_without_icrawler_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Without icrawler, or with another version, the error names the extra to install."""
    if missing == "class":
        monkeypatch.setitem(sys.modules, "icrawler.builtin.bing", ModuleType("icrawler.builtin.bing"))
    else:
        for name in [name for name in sys.modules if name.partition(".")[0] == "icrawler"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        InvalidRequest, match=r"need icrawler 0\.6\.10 .*; pip install 'pixcore\[icrawler\]'"
    ) as refused:
        Bing().read(PageAnswer(b"")) if missing == "bs4" else Bing().request("cat", "", 0, "")
    assert "\n" not in str(refused.value)
