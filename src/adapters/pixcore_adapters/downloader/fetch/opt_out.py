"""Opt-outs of a site: robots.txt and X-Robots-Tag."""

import asyncio
import codecs
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from types import TracebackType
from typing import Self

from protego import Protego

from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.url import WebUrl, web_url

_DIRECTIVES = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
_SEPARATOR = re.compile(r"[,;]")
_AGENT_PREFIX = re.compile(r"\s*([\w.*/-]+)\s*:(.*)", re.DOTALL)
_AGENT_LINE = re.compile(r"\s*user[\s-]*agent[\s:]+([^#]*)", re.IGNORECASE)
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_ORIGINS = 256  # size of the cache
_WILDCARDS = 5000  # at most, because matching takes time for each; ordinary files have far fewer


def robots_tag(values: Iterable[str], product: str) -> str:
    """Return the X-Robots-Tag headers that forbid the use, addressed to ``product`` or to all; ``""`` if none does."""
    forbidding = [value for value in values if _forbids(value, product)]
    return f"X-Robots-Tag: {', '.join(forbidding)}" if forbidding else ""


def _forbids(value: str, product: str) -> bool:
    applies = True  # a directive applies to the agent named before it, or to all
    for part in _SEPARATOR.split(value.lower()):
        directives = part
        if prefix := _AGENT_PREFIX.match(part):
            if prefix[1] in _VALUED:
                continue
            applies, directives = prefix[1] in {product, "*"}, prefix[2]
        if applies and not _DIRECTIVES.isdisjoint(directives.split()):
            return True
    return False


class Robots:
    """A cache of robots.txt files. Concurrent callers share one request for each site."""

    def __init__(
        self, read: Callable[[WebUrl], Awaitable[bytes]], slow_down: Callable[[str, float], None], product: str
    ) -> None:
        """``read`` returns a file's bytes, none if it does not exist, and raises FetchFailed if that is unknown.

        ``slow_down`` is called with a site and the seconds of its ``Crawl-delay``.
        """
        self._read, self._slow_down = read, slow_down
        self._product = product
        self._reading: set[asyncio.Task[Protego | FetchFailed | None]] = set()
        self._rules = lru_cache(_ORIGINS)(self._start)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def forbid(self, url: WebUrl) -> bool:
        """Return whether the site's robots.txt forbids the URL.

        Raises:
            FetchFailed: The file cannot be fetched, so RFC 9309 forbids all other URLs.
        """
        # shielded: when one caller is cancelled, the others still wait for the file
        reading = self._rules(url.origin)
        rules = reading.result() if reading.done() else await asyncio.shield(reading)
        if isinstance(rules, FetchFailed):
            raise rules
        return rules is not None and not rules.can_fetch(url.normalized(), self._product)

    def _start(self, origin: str) -> asyncio.Task[Protego | FetchFailed | None]:
        task = asyncio.create_task(self._read_rules(origin))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)
        return task

    async def _read_rules(self, origin: str) -> Protego | FetchFailed | None:
        url = web_url(f"{origin}/robots.txt")
        try:
            text = await self._read(url)
        except FetchFailed as failed:
            return failed
        if not text:
            return None
        rules = robots_rules(_decoded(text), self._product)
        delay = rules.crawl_delay(self._product) or 0.0
        if delay > 0:
            self._slow_down(url.site, delay)
        return rules


def _decoded(text: bytes) -> str:
    """Decode a file: RFC 9309 says UTF-8, which a byte order mark may precede or contradict."""
    marked = next((encoding for mark, encoding in _MARKS.items() if text.startswith(mark)), "utf-8")
    return text.decode(marked, "replace").removeprefix("\ufeff")


def robots_rules(text: str, product: str) -> Protego:
    """Parse a robots.txt as far as it concerns ``product``. A file with too many wildcards forbids everything."""
    if text.count("*") > _WILDCARDS:
        text = "User-agent: *\nDisallow: /"
    # the parser copies each rule for each agent of a group, which takes minutes for thousands of names: so all other
    # agents get one name
    return Protego.parse("\n".join(_with_known_agent(line, product) for line in text.splitlines()))


def _with_known_agent(line: str, product: str) -> str:
    match = _AGENT_LINE.match(line)
    if not match:
        return line
    agent = match[1].strip().lower()
    if agent != "*":
        agent = product if agent.strip("*").partition("/")[0].strip() == product else "foreign"
    return f"User-agent: {agent}"
