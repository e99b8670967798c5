"""Requests for pages: within the limits of each source by the minute, and with a token if the source wants one.

Tokens of OAuth 2.0 are requested when a page first needs one, and again when one expires or is refused.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from threading import Lock
from urllib.parse import urlsplit

from attrs import define, evolve, field, frozen

from pixcore.redaction import mask_value
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.fetch.pages import Grant, PageAnswer, PageRequest
from pixcore_adapters.downloader.sources.answer import document, text
from pixcore_adapters.downloader.sources.search import Unreadable

_MINUTE = 60.0
_EARLY = 60.0  # seconds before its end when a token counts as expired
_UNSTATED = 300.0  # seconds that a token is used whose lifetime the server does not state


@frozen
class _Token:
    text: str = field(repr=False)
    expires: float


@define
class PageRequests:
    """Fetches pages, and the tokens that they need. The chunks of a process share it, each in a thread of its own.

    Attributes:
        clock: The time in seconds.
        sleep: Waits so many seconds, on the event loop.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _starts: dict[str, deque[float]] = field(factory=dict[str, deque[float]], init=False, repr=False)
    _lock: Lock = field(factory=Lock, init=False, repr=False)
    _tokens: dict[Grant, _Token] = field(factory=dict[Grant, _Token], init=False, repr=False)

    async def page(self, fetcher: Fetcher, request: PageRequest, max_bytes: int) -> PageAnswer:
        """Fetch a page as ``Fetcher.page`` does, once the limit allows it. A refused token is requested once more.

        Raises:
            FetchFailed: The page or the token cannot be fetched.
        """
        await self._turn(request)
        if request.fetch:
            return await asyncio.to_thread(request.fetch)
        grant = request.grant
        if grant is None:
            return await fetcher.page(request, max_bytes)
        known = self._tokens.get(grant)
        if known and known.expires > self.clock():
            try:
                return await fetcher.page(_with(request, known), max_bytes)
            except FetchFailed as failed:
                if failed.missed.reason != "http_401":
                    raise
        token = self._tokens[grant] = await self._new(fetcher, grant, max_bytes)
        return await fetcher.page(_with(request, token), max_bytes)

    async def _turn(self, request: PageRequest) -> None:
        """Wait until fewer than ``per_minute`` requests to the host have started in the last minute."""
        if not request.per_minute:
            return
        host = urlsplit(request.url).netloc
        while True:
            with self._lock:
                starts, now = self._starts.setdefault(host, deque()), self.clock()
                while starts and starts[0] <= now - _MINUTE:
                    starts.popleft()
                if len(starts) < request.per_minute:
                    starts.append(now)
                    return
                wait = starts[0] + _MINUTE - now
            await self.sleep(wait)

    async def _new(self, fetcher: Fetcher, grant: Grant, max_bytes: int) -> _Token:
        form = {
            "grant_type": "client_credentials",
            "client_id": grant.client_id,
            "client_secret": grant.client_secret,
        }
        try:
            answer = await fetcher.page(PageRequest(grant.url, form=form), max_bytes)
            values = document(answer.body)
        except FetchFailed as failed:
            if failed.missed.reason == "http_400":  # RFC 6749 answers so to wrong credentials, too
                raise FetchFailed("http_401", "no token for these credentials") from failed
            raise
        except Unreadable as exc:
            raise FetchFailed("http_401", "the answer with the token cannot be read") from exc
        token, seconds = text(values.get("access_token")), values.get("expires_in")
        if not token:
            raise FetchFailed("http_401", "the answer holds no token")
        mask_value(token)
        lasts = float(seconds) if isinstance(seconds, int | float) else _UNSTATED
        return _Token(token, self.clock() + max(lasts - _EARLY, lasts / 2))


def _with(request: PageRequest, token: _Token) -> PageRequest:
    return evolve(request, headers={**request.headers, "Authorization": f"Bearer {token.text}"})
