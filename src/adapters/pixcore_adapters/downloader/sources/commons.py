"""Wikimedia Commons, through MediaWiki's API: by search, by depicted item and by category."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import ClassVar, Self
from urllib.parse import urlencode

from attrs import frozen

from pixcore.model.images import Provenance
from pixcore_adapters.downloader.sources.answer import address, document, items, mapping, text
from pixcore_adapters.downloader.sources.search import (
    About,
    Limits,
    Overloaded,
    PageAnswer,
    PageRequest,
    Refused,
    Result,
    ResultPage,
    Unreadable,
)

_API = "https://commons.wikimedia.org/w/api.php"
_METADATA = ("Artist", "License", "LicenseShortName", "LicenseUrl", "ObjectName")
_OVERLOADED = frozenset({"maxlag", "ratelimited", "cirrussearch-backend-error", "cirrussearch-too-busy-error"})
_CC = re.compile(r"cc-(?P<slug>by(?:-nc)?(?:-sa|-nd)?)(?![a-z])")
_SHA1 = re.compile("[0-9a-f]{40}")
_FREE = frozenset({"cc0", "pdm"})
_MAX_HTML = 10_000  # characters of a creator's name; the parser's time grows faster than its input
_HIDDEN_TAGS = frozenset({"style", "script"})


def _about(name: str, depth: int, *, by_cursor: bool = False) -> About:
    return About(
        name=name,
        size=50,  # an answer describes no more files
        depth=depth,
        licenses=frozenset({"cc0", "pdm", "by", "by-sa"}),
        limits=Limits(concurrent=1),  # beside 2 images, so 3 in all, which Wikimedia's rate limits ask for
        by_cursor=by_cursor,
        terms="each file has its own licence; at most 3 requests at once, and clients name a contact address",
        terms_url="https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use",
        tried="against a server on loopback that gives documented answers",
        contact=True,
    )


@frozen
class Commons:
    """Search without an account.

    CirrusSearch, the search engine behind the API, returns only the first 10,000 results
    (``Searcher::MAX_OFFSET_LIMIT``).

    Attributes:
        api: The URL of the API.
    """

    about: ClassVar[About] = _about("commons", 10_000)

    api: str = _API

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - the search needs no credentials
        """Return the source."""
        return cls()

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - counts pages
        """See ``Search``. The API filters only for the public domain; other licences are filtered from the results."""
        return _search(self.api, self.terms(query), licenses, page * self.about.size)

    def terms(self, query: str) -> str:
        """Return what is searched for."""
        return query

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``. A file's ``index`` counts from 1 across all pages, and gives the rank."""
        page = _page(answer)
        found = _files(page)
        if found is None:
            return ResultPage([])
        ranked = {self._rank(file): _result(file) for file in found}
        if ranked and not any(ranked.values()):
            raise Unreadable("none of its files has an image URL")
        return ResultPage([ranked.get(rank) for rank in range(max(ranked, default=-1) + 1)])

    def _rank(self, file: Mapping[str, object]) -> int:
        index = file.get("index")
        if not isinstance(index, int) or index < 1:
            raise Unreadable("one of its files has no index")
        return (index - 1) % self.about.size


@frozen
class CommonsDepicts(Commons):
    """The files that show an item of Wikidata, such as ``Q41960``, as their structured data states."""

    about: ClassVar[About] = _about("commons-depicts", 10_000)

    def terms(self, query: str) -> str:
        """See ``Commons``."""
        return f"haswbstatement:P180={query}"


@frozen
class CommonsCategory:
    """The files of a category, without those of its subcategories; by continuation, so to the end.

    Attributes:
        api: The URL of the API.
    """

    about: ClassVar[About] = _about("commons-category", 1_000_000, by_cursor=True)

    api: str = _API

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - the search needs no credentials
        """Return the source."""
        return cls()

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - not filtered
        """See ``Search``."""
        parameters = {
            "generator": "categorymembers",
            "gcmtitle": f"Category:{query}",
            "gcmtype": "file",
            "gcmlimit": self.about.size,
        }
        return _request(self.api, parameters | ({"gcmcontinue": cursor} if cursor else {}))

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``. Files of other types than images are left out; they take a position."""
        page = _page(answer)
        cursor = text(mapping(page.get("continue")).get("gcmcontinue"))
        found = _files(page)
        if not found and not cursor and answer.number == 0:
            raise Refused(
                f"has no files in the category {answer.query!r}; check its name at"
                " https://commons.wikimedia.org/wiki/Special:Categories"
            )
        return ResultPage([_result(file) for file in found or ()], cursor)


def _search(api: str, terms: str, licenses: str, offset: int) -> PageRequest:
    free = " haslicense:unrestricted" if licenses and _FREE.issuperset(licenses.split(",")) else ""
    return _request(
        api,
        {
            "generator": "search",
            "gsrsearch": f"{terms} filetype:bitmap{free}",
            "gsrnamespace": 6,
            "gsrlimit": Commons.about.size,
            "gsroffset": offset,
        },
    )


def _request(api: str, generator: Mapping[str, object]) -> PageRequest:
    """Return the request for files, with just the metadata that a row needs."""
    parameters = {
        "action": "query",
        "format": "json",
        "formatversion": 2,
        "maxlag": 5,  # seconds; https://www.mediawiki.org/wiki/API:Etiquette asks non-interactive clients for it
        **generator,
        "prop": "imageinfo",
        "iiprop": "url|sha1|mime|extmetadata",
        "iiextmetadatafilter": "|".join(_METADATA),
    }
    return PageRequest(f"{api}?{urlencode(parameters, errors='replace')}")


def _page(answer: PageAnswer) -> Mapping[str, object]:
    page = document(answer.body)
    if "error" in page:
        _raise_error(mapping(page["error"]))
    return page


def _files(page: Mapping[str, object]) -> list[Mapping[str, object]] | None:
    """Return the files of a page; None if it says that there are no more results."""
    if "query" not in page and ("batchcomplete" in page or "continue" in page):
        return None
    found = items(mapping(page.get("query")).get("pages"))
    if found is None:
        raise Unreadable("it has no list of pages")
    return [mapping(file) for file in found]


def _raise_error(error: Mapping[str, object]) -> None:
    code = text(error.get("code"))
    message = f"{code or 'error'}: {text(error.get('info')) or 'it gives no reason'}"
    raise Overloaded(message) if code in _OVERLOADED else Unreadable(message)


def _result(file: Mapping[str, object]) -> Result | None:
    info = mapping(next(iter(items(file.get("imageinfo")) or ()), None))
    url = address(info.get("url"))
    kind = text(info.get("mime"))
    if not url or (kind and not kind.startswith("image/")) or kind == "image/svg+xml":
        return None
    extra = mapping(info.get("extmetadata"))
    values = {name: mapping(extra.get(name)).get("value") for name in _METADATA}
    provenance = Provenance(
        page_url=text(info.get("descriptionurl")),
        title=text(values["ObjectName"]) or text(file.get("title")).removeprefix("File:"),
        creator=_visible_text(text(values["Artist"])),
        license=text(values["LicenseShortName"]),
        license_url=text(values["LicenseUrl"]),
    )
    sha1 = text(info.get("sha1"))
    checksum = f"sha1:{sha1}" if _SHA1.fullmatch(sha1) else ""
    return Result(url, provenance, _slug(text(values["License"]).lower()), checksum=checksum)


def _slug(license: str) -> str:  # noqa: A002 - the standard term
    """Return a licence's slug without version and country: ``by-sa`` for ``cc-by-sa-3.0-de``; ``""`` if unknown."""
    if license in {"cc0", "cc-zero"} or license.startswith("cc0-"):
        return "cc0"
    if license.startswith(("pd", "cc-pd")):
        return "pdm"
    found = _CC.match(license)
    return found["slug"] if found else ""


class _VisibleText(HTMLParser):
    """Collect the visible text of HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's
        if tag in _HIDDEN_TAGS:
            self._hidden = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def _visible_text(html: str) -> str:
    parser = _VisibleText()
    try:
        parser.feed(html[:_MAX_HTML])
        parser.close()
    except AssertionError:  # Python's parser raises it for some broken declarations
        return ""
    return text("".join(parser.parts))
