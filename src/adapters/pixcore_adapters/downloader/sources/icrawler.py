"""Search engines, through icrawler: its feeders build the URLs of result pages, and its parsers read the pages.

No other part of icrawler runs, because its crawlers set up logging, leak threads and lose images. pixcore's fetcher
fetches pages and images instead. icrawler is an optional extra, imported on first use. Engines state no licences.
"""

import json
import logging
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any, ClassVar, Self, TypeGuard
from urllib.parse import quote, urlsplit, urlunsplit

from attrs import frozen

from pixcore.errors import InvalidRequest, one_line
from pixcore.model.images import Provenance
from pixcore_adapters.downloader.sources.answer import text
from pixcore_adapters.downloader.sources.search import About, PageAnswer, PageRequest, Result, ResultPage, Unreadable

# icrawler logs the search terms
_SILENT_LOGGER = logging.Logger("icrawler", logging.CRITICAL + 1)  # noqa: LOG001 - outside of the application's loggers
# what parsing an unexpected page may raise; the time limits of task queues raise other exceptions, which pass
_PARSE_ERRORS = (AttributeError, LookupError, RecursionError, TypeError, ValueError, Warning)
_CHALLENGE = "form[method=post i], meta[http-equiv=refresh i]"
_WEB = re.compile(r"https?://[^\x00-\x1f\x7f\ud800-\udfff]+", re.IGNORECASE)
_NOT_IN_URLS = re.compile(r"[\s\"'<>\\`{|}]")
_GOOGLE_OWN = re.compile(r"https?://([\w.-]+\.)?(google|gstatic)\.com([:/].*)?", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(')|(\\.)", re.DOTALL)  # Baidu escapes apostrophes, which JSON does not allow
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f\ue000-\uf8ff]")  # Bing marks the matching words with such characters
_TERMS = {
    "bing": "https://www.microsoft.com/servicesagreement",
    "google": "https://policies.google.com/terms",
    "baidu": "https://www.baidu.com/duty/",
}
_KNOWN = {
    "bing": "no failure of this reader was reported in 2025 or 2026",
    "google": "others report since 2023 that icrawler no longer reads Google's pages, so expect no result",
    "baidu": "others report since 2024 that icrawler no longer reads Baidu's pages, and that it refuses such clients",
}
_MAX_STEPS = 300_000_000  # of a regular expression; takes a few seconds


def _about(name: str, *, size: int, empty_is_end: bool) -> About:
    return About(
        name,
        size,
        depth=1000,  # as icrawler documents it, for all three engines
        ahead=4,
        empty_is_end=empty_is_end,
        terms="search engines generally forbid automated collection and give no licences",
        terms_url=_TERMS[name],
        tried="against a server on loopback, with pages in the form that icrawler reads",
        known=_KNOWN[name],
    )


@frozen
class Bing:
    """Bing's images, with page and title.

    Attributes:
        base: Where the result pages are fetched from.
    """

    about: ClassVar[About] = _about("bing", size=20, empty_is_end=False)

    base: str = "https://www.bing.com"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - the search needs no credentials
        """Return the source."""
        return cls()

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - no licences
        """See ``Search``."""
        return _request(self, quote(query, safe="", errors="replace"), page * self.about.size + 1)  # Bing counts from 1

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``. Does not use icrawler's parser, which drops the page, the title and all but ``.jpg`` URLs."""
        with _parsing():
            links = _html(answer.body.decode("utf-8", "ignore")).select("a.iusc[m], div.imgpt > a[m]")
            return _checked_page([_bing_result(link["m"]) for link in links], answer.body)


@frozen
class Google:
    """Google's images, without page and title.

    Attributes:
        base: Where the result pages are fetched from.
    """

    about: ClassVar[About] = _about("google", size=100, empty_is_end=False)

    base: str = "https://www.google.com"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - the search needs no credentials
        """Return the source."""
        return cls()

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - no licences
        """See ``Search``."""
        return _request(self, query.encode("utf-8", "replace").decode(), page * self.about.size)  # the feeder quotes it

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``. Drops URLs that icrawler's parser returns but that are not results; they take no position.

        These are markup between two URLs, and Google's own images: logos, and thumbnails on gstatic.com, which are too
        small and are copies of other results. Images of users at googleusercontent.com are kept.
        """
        markup = answer.body.decode("utf-8", "ignore").replace("\\/", "/")
        # the parser searches from every "http" to the next bracket, so a crafted page of 320 kB takes five minutes
        if sum(run.count("http") * len(run) for run in markup.split("[")) > _MAX_STEPS:
            raise Unreadable("parsing it would take too long")
        with _parsing():
            # escaped, because the parser decodes escapes and reads other bytes as Latin-1
            escaped = markup.encode("ascii", "backslashreplace")
            urls = filter(_is_web_url, dict.fromkeys(_image_urls(_icrawler(self.about.name, "Parser"), escaped)))
            images = [url for url in urls if not (_NOT_IN_URLS.search(url) or _GOOGLE_OWN.fullmatch(url))]
            return _checked_page([Result(url, Provenance()) for url in images], answer.body)


@frozen
class Baidu:
    """Baidu's images, with page and title.

    Attributes:
        base: Where the result pages are fetched from.
    """

    about: ClassVar[About] = _about("baidu", size=30, empty_is_end=True)

    base: str = "https://image.baidu.com"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - the search needs no credentials
        """Return the source."""
        return cls()

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - no licences
        """See ``Search``."""
        return _request(self, quote(query, safe="", errors="replace"), page * self.about.size)

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``."""
        parser = _icrawler(self.about.name, "Parser")
        with _parsing():
            page = json.loads(_ESCAPE.sub(r"\1\2", answer.body.decode("utf-8", "ignore")), strict=False)
            if page.get("antiFlag"):
                raise Unreadable(f"it blocks automated access: {_visible_text(page.get('message'))}")
            items = [item for item in page["data"] if item != {}]  # the last item of every page is empty
            return _checked([_baidu_result(item, parser) for item in items])


def _request(engine: Bing | Google | Baidu, keyword: str, offset: int) -> PageRequest:
    """Return the request for the URL that icrawler's feeder builds, with the engine's base."""
    urls: list[str] = []
    feeder = _icrawler(engine.about.name, "Feeder")
    feeder.out_queue = SimpleNamespace(put=urls.append)
    feeder.feed(keyword=keyword, offset=offset, max_num=1)
    base = urlsplit(engine.base)
    return PageRequest(urlunsplit(urlsplit(urls[0])._replace(scheme=base.scheme, netloc=base.netloc)))


def _image_urls(parser: Any, page: bytes) -> list[str]:  # noqa: ANN401 - icrawler has no types
    """Return the image URLs that icrawler's parser finds."""
    found = parser.parse(SimpleNamespace(content=page, url=""))
    return [result["file_url"] for result in found or ()]


def _icrawler(engine: str, part: str) -> Any:  # noqa: ANN401 - icrawler has no types
    """Return icrawler's feeder or parser (``part``) for an engine."""
    kind = _import(f"icrawler.builtin.{engine}", f"{engine.title()}{part}")
    signal = _import("icrawler.utils", "Signal")
    instance = kind(1, signal(), None)
    instance.logger = _SILENT_LOGGER
    return instance


def _import(module: str, name: str) -> Any:  # noqa: ANN401 - icrawler has no types
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as exc:
        raise InvalidRequest(
            f"search engines need icrawler 0.6.10 ({one_line(exc)}); pip install 'pixcore[icrawler]'"
        ) from exc


def _html(markup: str) -> Any:  # noqa: ANN401 - Beautiful Soup belongs to the extra, so it may be missing
    return _import("bs4", "BeautifulSoup")(markup, "lxml")


@contextmanager
def _parsing() -> Generator[None]:
    try:
        yield
    except InvalidRequest:  # a ValueError too, but raised when the extra is missing
        raise
    except _PARSE_ERRORS as exc:
        raise Unreadable(f"its structure is not as expected ({one_line(exc)})") from exc


def _checked_page(found: Sequence[Result | None], page: bytes) -> ResultPage:
    """Return the page of results. Raise Unreadable for a page without results that is a consent page or a challenge."""
    if not found and _html(page.decode("utf-8", "ignore")).select_one(_CHALLENGE):
        raise Unreadable("it asks for consent, for JavaScript or for a captcha")
    return _checked(found)


def _checked(found: Sequence[Result | None]) -> ResultPage:
    if found and not any(found):
        raise Unreadable(f"none of its {len(found)} results has a readable URL")
    return ResultPage(found)


def _bing_result(attribute: str) -> Result | None:
    try:
        values = json.loads(attribute)
    except (ValueError, RecursionError):
        return None
    return _result(values.get("murl"), values.get("purl"), values.get("t")) if isinstance(values, Mapping) else None


def _baidu_result(item: object, parser: Any) -> Result | None:  # noqa: ANN401 - icrawler has no types
    if not isinstance(item, Mapping):
        return None
    image = _decoded_url({name: item[name] for name in ("objURL", "hoverURL") if name in item}, parser)
    return _result(image, _decoded_url({"objURL": item.get("fromURL")}, parser), item.get("fromPageTitle"))


def _decoded_url(addresses: Mapping[str, object], parser: Any) -> str:  # noqa: ANN401 - icrawler has no types
    """Return the URL that icrawler's parser decodes from one item: Baidu encodes URLs with a cipher."""
    try:
        return "".join(_image_urls(parser, json.dumps({"data": [addresses]}).encode()))
    except _PARSE_ERRORS:
        return ""


def _result(url: object, page: object, title: object) -> Result | None:
    if not _is_web_url(url):
        return None
    return Result(url, Provenance(text(page) if _is_web_url(page) else "", _visible_text(title)))


def _is_web_url(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(_WEB.fullmatch(value))


def _visible_text(value: object) -> str:
    """Return a title on one line, without markup."""
    markup = text(value)
    return _INVISIBLE.sub("", text(_html(f"<p>{markup}</p>").get_text())) if markup else ""
