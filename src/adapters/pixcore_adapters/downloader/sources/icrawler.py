"""Search engines, by way of icrawler: its feeders write the addresses of pages, its parsers read them.

Nothing else of it runs: its crawlers set up logging, leave threads behind and lose images. Pages and images come
through the one fetcher instead. It is an optional extra, imported on use. Engines tell no licences.
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
from pixcore_adapters.downloader.sources.search import Result, Unreadable

# icrawler's log lines hold what is searched for
_SILENT = logging.Logger("icrawler", logging.CRITICAL + 1)  # noqa: LOG001 - in nobody's tree, so nobody's is changed
# what reading may end in when a page is not as expected; the task queues' time limits are none of these, and pass
_FAULTS = (AttributeError, LookupError, RecursionError, TypeError, ValueError, Warning)
_QUESTION = "form[method=post i], meta[http-equiv=refresh i]"
_WEB = re.compile(r"https?://[^\x00-\x1f\x7f\ud800-\udfff]+", re.IGNORECASE)
_MARKUP = re.compile(r"[\s\"'<>\\`{|}]")
_GOOGLE = re.compile(r"https?://([\w.-]+\.)?(google|gstatic)\.com([:/].*)?", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(')|(\\.)", re.DOTALL)  # Baidu escapes apostrophes, which JSON knows nothing of
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f\ue000-\uf8ff]")  # among it what Bing marks the words with that it found
_STEPS = 300_000_000  # of a regular expression: a few seconds


@frozen
class Bing:
    """Bing's images, with page and title; its pages are asked for at ``base``."""

    name: ClassVar[str] = "bing"
    size: ClassVar[int] = 20
    limit: ClassVar[int] = 1000  # as icrawler documents it, for all three
    licenses: ClassVar[frozenset[str]] = frozenset()
    ahead: ClassVar[int] = 4
    empty_is_end: ClassVar[bool] = False

    base: str = "https://www.bing.com"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - it is searched without credentials
        """Return the source."""
        return cls()

    def url(self, query: str, licenses: str, page: int) -> str:  # noqa: ARG002 - there are none to ask for
        """See ``Search``."""
        return _address(self, quote(query, safe="", errors="replace"), page * self.size + 1)  # Bing counts from 1

    def read(self, page: bytes) -> Sequence[Result | None]:
        """See ``Search``. Not with icrawler's parser: that drops page, title, and whatever is not ``.jpg``."""
        with _reading():
            links = _html(page.decode("utf-8", "ignore")).select("a.iusc[m], div.imgpt > a[m]")
            return _results([_bing(link["m"]) for link in links], page)


@frozen
class Google:
    """Google's images: no more than their addresses; its pages are asked for at ``base``."""

    name: ClassVar[str] = "google"
    size: ClassVar[int] = 100
    limit: ClassVar[int] = 1000
    licenses: ClassVar[frozenset[str]] = frozenset()
    ahead: ClassVar[int] = 4
    empty_is_end: ClassVar[bool] = False

    base: str = "https://www.google.com"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - it is searched without credentials
        """Return the source."""
        return cls()

    def url(self, query: str, licenses: str, page: int) -> str:  # noqa: ARG002 - there are none to ask for
        """See ``Search``."""
        return _address(self, query.encode("utf-8", "replace").decode(), page * self.size)  # its feeder quotes

    def read(self, page: bytes) -> Sequence[Result | None]:
        """See ``Search``. What icrawler's parser takes for an image but is none gets no place.

        That is markup caught between two addresses, and what is Google's own: logos, and thumbnails on gstatic.com, too
        small for a dataset and copies of the images that are proposed anyway. What users keep at googleusercontent.com
        is theirs.
        """
        markup = page.decode("utf-8", "ignore").replace("\\/", "/")
        # the parser looks from every "http" as far as the next bracket: 320 kB made for it would take five minutes
        if sum(run.count("http") * len(run) for run in markup.split("[")) > _STEPS:
            raise Unreadable("it would take too long to read")
        with _reading():
            # the parser undoes escapes, and takes the bytes of what is not escaped for Latin-1
            found = dict.fromkeys(_parsed(_made(self.name, "Parser"), markup.encode("ascii", "backslashreplace")))
            images = [url for url in found if _is_web(url) and not (_MARKUP.search(url) or _GOOGLE.fullmatch(url))]
            return _results([Result(url, Provenance()) for url in images], page)


@frozen
class Baidu:
    """Baidu's images, with page and title; its pages are asked for at ``base``."""

    name: ClassVar[str] = "baidu"
    size: ClassVar[int] = 30
    limit: ClassVar[int] = 1000
    licenses: ClassVar[frozenset[str]] = frozenset()
    ahead: ClassVar[int] = 4
    empty_is_end: ClassVar[bool] = True

    base: str = "https://image.baidu.com"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - it is searched without credentials
        """Return the source."""
        return cls()

    def url(self, query: str, licenses: str, page: int) -> str:  # noqa: ARG002 - there are none to ask for
        """See ``Search``."""
        return _address(self, quote(query, safe="", errors="replace"), page * self.size)

    def read(self, page: bytes) -> Sequence[Result | None]:
        """See ``Search``."""
        parser = _made(self.name, "Parser")
        with _reading():
            answer = json.loads(_ESCAPE.sub(r"\1\2", page.decode("utf-8", "ignore")), strict=False)
            if answer.get("antiFlag"):
                raise Unreadable(f"it takes us for a robot: {_plain(answer.get('message'))}")
            items = [item for item in answer["data"] if item != {}]  # the last of every page is empty
            return _some([_baidu(item, parser) for item in items])


def _address(engine: Bing | Google | Baidu, keyword: str, offset: int) -> str:
    """The address that icrawler's feeder writes, at the engine's base."""
    urls: list[str] = []
    feeder = _made(engine.name, "Feeder")
    feeder.out_queue = SimpleNamespace(put=urls.append)
    feeder.feed(keyword=keyword, offset=offset, max_num=1)
    base = urlsplit(engine.base)
    return urlunsplit(urlsplit(urls[0])._replace(scheme=base.scheme, netloc=base.netloc))


def _parsed(parser: Any, page: bytes) -> list[str]:  # noqa: ANN401 - icrawler has no types
    """The addresses that icrawler's parser finds."""
    found = parser.parse(SimpleNamespace(content=page, url=""))
    return [one["file_url"] for one in found or ()]


def _made(engine: str, part: str) -> Any:  # noqa: ANN401 - icrawler has no types
    kind, signal = (
        _imported(f"icrawler.builtin.{engine}", f"{engine.title()}{part}"),
        _imported("icrawler.utils", "Signal"),
    )
    made = kind(1, signal(), None)
    made.logger = _SILENT
    return made


def _imported(module: str, name: str) -> Any:  # noqa: ANN401 - icrawler has no types
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as exc:
        raise InvalidRequest(
            f"search engines need icrawler 0.6.10 ({one_line(exc)}); pip install 'pixcore[icrawler]'"
        ) from exc


def _html(markup: str) -> Any:  # noqa: ANN401 - Beautiful Soup comes with icrawler, so it may not be there to check with
    return _imported("bs4", "BeautifulSoup")(markup, "lxml")


@contextmanager
def _reading() -> Generator[None]:
    try:
        yield
    except InvalidRequest:  # a ValueError, but not the page's fault
        raise
    except _FAULTS as exc:
        raise Unreadable(f"it is not made as expected ({one_line(exc)})") from exc


def _results(found: Sequence[Result | None], page: bytes) -> Sequence[Result | None]:
    """Refuse a page that holds no results but wants something of its reader."""
    if not found and _html(page.decode("utf-8", "ignore")).select_one(_QUESTION):
        raise Unreadable("it asks for consent, for JavaScript or for a proof of being human")
    return _some(found)


def _some(found: Sequence[Result | None]) -> Sequence[Result | None]:
    if found and not any(found):
        raise Unreadable(f"none of its {len(found)} results has an address that can be read")
    return found


def _bing(said: str) -> Result | None:
    try:
        values = json.loads(said)
    except (ValueError, RecursionError):
        return None
    return _result(values.get("murl"), values.get("purl"), values.get("t")) if isinstance(values, Mapping) else None


def _baidu(item: object, parser: Any) -> Result | None:  # noqa: ANN401 - icrawler has no types
    if not isinstance(item, Mapping):
        return None
    image = _decoded({name: item[name] for name in ("objURL", "hoverURL") if name in item}, parser)
    return _result(image, _decoded({"objURL": item.get("fromURL")}, parser), item.get("fromPageTitle"))


def _decoded(addresses: Mapping[str, object], parser: Any) -> str:  # noqa: ANN401 - icrawler has no types
    """The address that icrawler's parser reads from one item of Baidu's, which are written in a cipher."""
    try:
        return "".join(_parsed(parser, json.dumps({"data": [addresses]}).encode()))
    except _FAULTS:
        return ""


def _result(url: object, page: object, title: object) -> Result | None:
    return Result(url, Provenance(text(page) if _is_web(page) else "", _plain(title))) if _is_web(url) else None


def _is_web(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(_WEB.fullmatch(value))


def _plain(value: object) -> str:
    """A title without markup, on one line."""
    said = text(value)
    return _UNSHOWN.sub("", text(_html(f"<p>{said}</p>").get_text())) if said else ""
