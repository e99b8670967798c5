"""Wikimedia Commons, by the search of MediaWiki's API (https://commons.wikimedia.org/w/api.php)."""

import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import ClassVar, Self
from urllib.parse import urlencode

from attrs import frozen

from pixcore.model.images import Provenance
from pixcore_adapters.downloader.sources.answer import address, document, items, mapping, text
from pixcore_adapters.downloader.sources.search import Overloaded, Result, Unreadable

_METADATA = ("Artist", "License", "LicenseShortName", "LicenseUrl", "ObjectName")
_LATER = frozenset({"maxlag", "ratelimited", "cirrussearch-backend-error", "cirrussearch-too-busy-error"})
_CC = re.compile(r"cc-(?P<slug>by(?:-nc)?(?:-sa|-nd)?)(?![a-z])")
_FREE = frozenset({"cc0", "pdm"})
_LONGEST_HTML = 10_000  # of a creator's name; the parser's time grows faster than its input
_UNSEEN = frozenset({"style", "script"})


@frozen
class Commons:
    """Asked without an account: 50 files a page, because no answer describes more. ``api`` is where it is asked.

    CirrusSearch, which searches it, shows the first 10,000 results (``Searcher::MAX_OFFSET_LIMIT``).
    """

    name: ClassVar[str] = "commons"
    size: ClassVar[int] = 50
    limit: ClassVar[int] = 10_000
    licenses: ClassVar[frozenset[str]] = frozenset({"cc0", "pdm", "by", "by-sa"})
    ahead: ClassVar[int] = 1  # one request at a time: https://wikitech.wikimedia.org/wiki/Robot_policy
    empty_is_end: ClassVar[bool] = True

    api: str = "https://commons.wikimedia.org/w/api.php"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - it is searched without credentials
        """Return the source."""
        return cls()

    def url(self, query: str, licenses: str, page: int) -> str:
        """See ``Search``. Only the public domain can be asked for; other licences are told apart in the answer."""
        free = " haslicense:unrestricted" if licenses and _FREE.issuperset(licenses.split(",")) else ""
        asked = {
            "action": "query",
            "format": "json",
            "formatversion": 2,
            "maxlag": 5,  # seconds; as https://www.mediawiki.org/wiki/API:Etiquette asks of what nobody waits for
            "generator": "search",
            "gsrsearch": f"{query} filetype:bitmap{free}",
            "gsrnamespace": 6,
            "gsrlimit": self.size,
            "gsroffset": page * self.size,
            "prop": "imageinfo",
            "iiprop": "url|extmetadata",
            "iiextmetadatafilter": "|".join(_METADATA),
        }
        return f"{self.api}?{urlencode(asked, errors='replace')}"

    def read(self, page: bytes) -> Sequence[Result | None]:
        """See ``Search``. A file's rank is told by its ``index``, which counts on from page to page, from 1."""
        answer = document(page)
        if "error" in answer:
            _refuse(mapping(answer["error"]))
        if "query" not in answer and "batchcomplete" in answer:
            return []
        found = items(mapping(answer.get("query")).get("pages"))
        if found is None:
            raise Unreadable("it has no list of pages")
        ranked = {self._rank(file): _result(file) for file in map(mapping, found)}
        if ranked and not any(ranked.values()):
            raise Unreadable("no file has the address of an image")
        return [ranked.get(rank) for rank in range(max(ranked, default=-1) + 1)]

    def _rank(self, file: Mapping[str, object]) -> int:
        index = file.get("index")
        if not isinstance(index, int) or index < 1:
            raise Unreadable("a file has no index")
        return (index - 1) % self.size


def _refuse(error: Mapping[str, object]) -> None:
    code = text(error.get("code"))
    said = f"{code or 'error'}: {text(error.get('info')) or 'it gives no reason'}"
    raise Overloaded(said) if code in _LATER else Unreadable(said)


def _result(file: Mapping[str, object]) -> Result | None:
    info = mapping(next(iter(items(file.get("imageinfo")) or ()), None))
    url = address(info.get("url"))
    if not url:
        return None
    extra = mapping(info.get("extmetadata"))
    said = {name: mapping(extra.get(name)).get("value") for name in _METADATA}
    provenance = Provenance(
        page_url=text(info.get("descriptionurl")),
        title=text(said["ObjectName"]) or text(file.get("title")).removeprefix("File:"),
        creator=_plain(text(said["Artist"])),
        license=text(said["LicenseShortName"]),
        license_url=text(said["LicenseUrl"]),
    )
    return Result(url, provenance, _slug(text(said["License"]).lower()))


def _slug(license: str) -> str:  # noqa: A002 - the word for it
    """The licence without its version and country: ``cc-by-sa-3.0-de`` is ``by-sa``; ``""`` for others than these."""
    if license in {"cc0", "cc-zero"} or license.startswith("cc0-"):
        return "cc0"
    if license.startswith(("pd", "cc-pd")):
        return "pdm"
    found = _CC.match(license)
    return found["slug"] if found else ""


class _Text(HTMLParser):
    """Collects what a reader would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[str] = []
        self._hidden = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's
        if tag in _UNSEEN:
            self._hidden = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.seen.append(data)


def _plain(html: str) -> str:
    parser = _Text()
    try:
        parser.feed(html[:_LONGEST_HTML])
        parser.close()
    except AssertionError:  # Python's parser gives up like this on some broken declarations
        return ""
    return text("".join(parser.seen))
