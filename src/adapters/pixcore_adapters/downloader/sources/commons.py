"""Wikimedia Commons, through the search of MediaWiki's API (https://commons.wikimedia.org/w/api.php)."""

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
    Result,
    ResultPage,
    Unreadable,
)

_METADATA = ("Artist", "License", "LicenseShortName", "LicenseUrl", "ObjectName")
_OVERLOADED = frozenset({"maxlag", "ratelimited", "cirrussearch-backend-error", "cirrussearch-too-busy-error"})
_CC = re.compile(r"cc-(?P<slug>by(?:-nc)?(?:-sa|-nd)?)(?![a-z])")
_FREE = frozenset({"cc0", "pdm"})
_MAX_HTML = 10_000  # characters of a creator's name; the parser's time grows faster than its input
_HIDDEN_TAGS = frozenset({"style", "script"})


@frozen
class Commons:
    """Search without an account.

    A page has 50 files, because a response describes no more. CirrusSearch, the search engine behind the API, returns
    only the first 10,000 results (``Searcher::MAX_OFFSET_LIMIT``).

    Attributes:
        api: The URL of the API.
    """

    about: ClassVar[About] = About(
        name="commons",
        size=50,
        depth=10_000,
        licenses=frozenset({"cc0", "pdm", "by", "by-sa"}),
        limits=Limits(concurrent=1),  # https://wikitech.wikimedia.org/wiki/Robot_policy
        terms="each file has its own licence; clients name a contact address",
        terms_url="https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use",
        tried="against a server on loopback that gives documented answers",
        contact=True,
    )

    api: str = "https://commons.wikimedia.org/w/api.php"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - the search needs no credentials
        """Return the source."""
        return cls()

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - counts pages
        """See ``Search``. The API filters only for the public domain; other licences are filtered from the results."""
        free = " haslicense:unrestricted" if licenses and _FREE.issuperset(licenses.split(",")) else ""
        parameters = {
            "action": "query",
            "format": "json",
            "formatversion": 2,
            "maxlag": 5,  # seconds; https://www.mediawiki.org/wiki/API:Etiquette asks non-interactive clients for it
            "generator": "search",
            "gsrsearch": f"{query} filetype:bitmap{free}",
            "gsrnamespace": 6,
            "gsrlimit": self.about.size,
            "gsroffset": page * self.about.size,
            "prop": "imageinfo",
            "iiprop": "url|extmetadata",
            "iiextmetadatafilter": "|".join(_METADATA),
        }
        return PageRequest(f"{self.api}?{urlencode(parameters, errors='replace')}")

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``. A file's ``index`` counts from 1 across all pages, and gives the rank."""
        page = document(answer.body)
        if "error" in page:
            _raise_error(mapping(page["error"]))
        if "query" not in page and "batchcomplete" in page:
            return ResultPage([])
        found = items(mapping(page.get("query")).get("pages"))
        if found is None:
            raise Unreadable("it has no list of pages")
        ranked = {self._rank(file): _result(file) for file in map(mapping, found)}
        if ranked and not any(ranked.values()):
            raise Unreadable("none of its files has an image URL")
        return ResultPage([ranked.get(rank) for rank in range(max(ranked, default=-1) + 1)])

    def _rank(self, file: Mapping[str, object]) -> int:
        index = file.get("index")
        if not isinstance(index, int) or index < 1:
            raise Unreadable("one of its files has no index")
        return (index - 1) % self.about.size


def _raise_error(error: Mapping[str, object]) -> None:
    code = text(error.get("code"))
    message = f"{code or 'error'}: {text(error.get('info')) or 'it gives no reason'}"
    raise Overloaded(message) if code in _OVERLOADED else Unreadable(message)


def _result(file: Mapping[str, object]) -> Result | None:
    info = mapping(next(iter(items(file.get("imageinfo")) or ()), None))
    url = address(info.get("url"))
    if not url:
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
    return Result(url, provenance, _slug(text(values["License"]).lower()))


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
