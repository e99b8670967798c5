"""What a site asks crawlers to leave alone: robots.txt and X-Robots-Tag."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from types import TracebackType
from typing import Self

from protego import Protego
from yarl import URL

from pixcore_adapters.downloader.fetch.failures import FetchFailed

_DIRECTIVES = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
_ADDRESSED = re.compile(r"\s*([\w.*/-]+)\s*:(.*)", re.DOTALL)
_AGENT_LINE = re.compile(r"\s*user[\s-]*agent[\s:]+([^#]*)", re.IGNORECASE)
_ORIGINS = 256  # remembered at once
_WILDCARDS = 5000  # matching costs time for each; no honest file comes near


def robots_tag(values: Iterable[str], product: str) -> str:
    """Give the X-Robots-Tag headers that forbid our use, addressed to ``product`` or to nobody; ``""`` if none does."""
    found = [value for value in values if _forbids(value, product)]
    return f"X-Robots-Tag: {', '.join(found)}" if found else ""


def _forbids(value: str, product: str) -> bool:
    ours = True
    for part in value.lower().split(","):
        words = part
        if named := _ADDRESSED.match(part):
            if named[1] in _VALUED:
                continue
            ours, words = named[1] in {product, "*"}, named[2]
        if ours and not _DIRECTIVES.isdisjoint(words.split()):
            return True
    return False


class Robots:
    """The robots.txt of every site that is asked, read once however many ask at the same time."""

    def __init__(self, read: Callable[[URL], Awaitable[str]], product: str) -> None:
        """``read`` gives a file's text, ``""`` where there is none, and raises FetchFailed where nobody can tell."""
        self._read = read
        self._product = product
        self._reading: set[asyncio.Task[Protego | FetchFailed]] = set()
        self._rules = lru_cache(_ORIGINS)(self._start)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def forbid(self, url: URL) -> bool:
        """Whether the site's robots.txt forbids the URL.

        Raises:
            FetchFailed: The file cannot be had, so by RFC 9309 nothing else may be fetched; not to be tried again.
        """
        # shielded, for who gives up must not take the file from those who wait on
        rules = await asyncio.shield(self._rules(url.origin()))
        if isinstance(rules, FetchFailed):
            missed = rules.missed
            detail = f"robots.txt: {missed.detail or missed.reason}"
            raise FetchFailed(missed.reason, detail, permanent=False, retry_after=math.inf) from rules
        plain = str(URL(str(url)))  # read once more, for this resolves `..`
        return not rules.can_fetch(plain, self._product)

    def _start(self, origin: URL) -> asyncio.Task[Protego | FetchFailed]:
        task = asyncio.create_task(self._read_rules(origin))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)
        return task

    async def _read_rules(self, origin: URL) -> Protego | FetchFailed:
        try:
            return robots_rules(await self._read(origin / "robots.txt"), self._product)
        except FetchFailed as failed:
            return failed


def robots_rules(text: str, product: str) -> Protego:
    """Read a robots.txt as far as it concerns ``product``; one too complicated to be honest forbids everything."""
    if text.count("*") > _WILDCARDS:
        text = "User-agent: *\nDisallow: /"
    # the parser copies each rule for each agent of its group: thousands of foreign names would cost minutes
    return Protego.parse("\n".join(_as_ours_or_foreign(line, product) for line in text.splitlines()))


def _as_ours_or_foreign(line: str, product: str) -> str:
    named = _AGENT_LINE.match(line)
    if not named:
        return line
    agent = named[1].strip().lower()
    if agent != "*":
        agent = product if agent.strip("*").partition("/")[0].strip() == product else "foreign"
    return f"User-agent: {agent}"
