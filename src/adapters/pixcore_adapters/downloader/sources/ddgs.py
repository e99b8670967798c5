"""DuckDuckGo's images, through the library ddgs, an optional extra.

The library fetches the pages itself, as a web browser; pixcore only reads its results, and fetches the images.
"""

import json
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

from attrs import frozen

from pixcore.errors import InvalidRequest, one_line
from pixcore.model.images import MissReason, Provenance
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.policy import note
from pixcore_adapters.downloader.sources.answer import address, document, items, mapping, text
from pixcore_adapters.downloader.sources.search import (
    About,
    Limits,
    PageAnswer,
    PageRequest,
    Result,
    ResultPage,
    Unreadable,
)

_NONE_FOUND = "No results found."  # the library's message; it also stands for a status other than 200
_SECONDS = 10


@frozen
class Ddgs:
    """DuckDuckGo's images, with page and title.

    Attributes:
        proxy: The proxy of the library; ``""`` for none.
    """

    about: ClassVar[About] = About(
        name="ddgs",
        size=100,
        depth=500,
        limits=Limits(minute=10),
        empty_is_end=False,
        terms="search engines generally forbid automated collection and give no licences",
        terms_url="https://duckduckgo.com/terms",
        known="the library fetches pages as a web browser, and is blocked when it asks too often",
        tried="with results in the form that the library documents; the library itself without a network",
    )

    proxy: str = ""

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:
        """Return the source, with the proxy that the library reads from the environment."""
        return cls(environ.get("DDGS_PROXY", ""))

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - counts pages
        """See ``Search``."""
        _library()  # so that planning finds that it is missing
        parameters = urlencode({"q": query, "page": page + 1}, errors="replace")
        return PageRequest(f"https://duckduckgo.com/i.js?{parameters}", fetch=partial(self._fetch, query, page + 1))

    def _fetch(self, query: str, page: int) -> PageAnswer:
        """Let the library search for a page, counted from 1.

        Raises:
            FetchFailed: It cannot, for whatever reason.
        """
        library = _library()
        try:
            found = library.DDGS(proxy=self.proxy or None, timeout=_SECONDS).images(
                query.encode("utf-8", "replace").decode(),
                backend="duckduckgo",
                page=page,
                max_results=self.about.size,
            )
        except Exception as exc:
            if isinstance(exc, library.exceptions.DDGSException) and str(exc) == _NONE_FOUND:
                return PageAnswer(b'{"results": []}')
            raise FetchFailed(MissReason.UNREACHABLE, note(one_line(exc)), permanent=False) from exc
        return PageAnswer(json.dumps({"results": found}, default=str).encode())

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``."""
        found = items(document(answer.body).get("results"))
        if found is None:
            raise Unreadable("it has no list of results")
        results = [_result(mapping(one)) for one in found]
        if results and not any(results):
            raise Unreadable("none of its results has an image URL")
        return ResultPage(results)


def _library() -> Any:  # noqa: ANN401 - the library is an extra, so it may be missing
    try:
        return import_module("ddgs")
    except ImportError as exc:
        raise InvalidRequest(
            f"the source ddgs needs the library ddgs ({one_line(exc)}); pip install 'pixcore[ddgs]'"
        ) from exc


def _result(found: Mapping[str, object]) -> Result | None:
    url = address(found.get("image"))
    return Result(url, Provenance(text(found.get("url")), text(found.get("title")))) if url else None
