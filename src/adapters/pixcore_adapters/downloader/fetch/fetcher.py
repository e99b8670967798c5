"""The fetcher: a URL in, a whole file or one typed miss out, whatever the server does."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urljoin

from aiohttp import ClientResponse
from aiohttp.abc import AbstractResolver
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from yarl import URL

from pixcore.chunk.retry import RetryPolicy
from pixcore.errors import InvalidRequest, PixcoreError, SourceChanged, SourceUnavailable, one_line
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.body import decoded, new_file, receive, refuse_foreign_type
from pixcore_adapters.downloader.fetch.connections import Connections
from pixcore_adapters.downloader.fetch.failures import FetchFailed, translated
from pixcore_adapters.downloader.fetch.limits import used_up
from pixcore_adapters.downloader.fetch.opt_out import Robots, robots_tag
from pixcore_adapters.downloader.fetch.pace import LONGEST_WAIT, Deadline, Pace
from pixcore_adapters.downloader.fetch.policy import Fetched, FetchPolicy, Missed
from pixcore_adapters.downloader.fetch.url import web_url

T = TypeVar("T")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})  # statuses below 500 that mean "later"
_ROBOTS_BYTES = 500 * 1024


class Fetcher:
    """Fetches over the web within a policy; an asynchronous context manager. Make one a chunk.

    Only public addresses are reached, unless the policy names a host; redirects are followed under the same checks.
    Closing it leaves no task, thread, socket or file; cancel what is still fetching first.
    """

    def __init__(
        self,
        policy: FetchPolicy,
        *,
        lookup: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``lookup`` and ``tls`` default to the system's names and certificates (``SSL_CERT_FILE`` is honoured)."""
        self._policy = policy
        self._sleep = sleep
        self._pace = Pace(policy, sleep)
        self._waits = RetryPolicy(policy.attempts)
        self._connections = Connections(policy, lookup, tls)
        self._robots = Robots(self._read_robots, policy.product)
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._closing.enter_async_context(self._connections)
        await self._closing.enter_async_context(self._robots)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.__aexit__(kind, error, trace)

    async def fetch(self, url: str, into: Path) -> Fetched | Missed:
        """Fetch an image's bytes into the file ``into``, which is there, whole, only when it is Fetched.

        Raises:
            WorkspaceFull, TransientError: ``into`` cannot be written.
        """
        try:
            return await self._retried(partial(self._image, web_url(url), into))
        except FetchFailed as failed:
            return failed.missed

    async def page(self, url: str, max_bytes: int) -> bytes:
        """Fetch a page that a source is read from; content types and opt-outs are not looked at.

        Raises:
            InvalidRequest: The URL cannot be fetched from by this policy.
            SourceUnavailable: It could not be had now.
            SourceChanged: The answer is no such page.
        """
        return await self._source(url, partial(_in_memory, max_bytes=max_bytes))

    async def save(self, url: str, into: Path, max_bytes: int) -> int:
        """Like ``page``, into a file; give its size in bytes.

        Raises:
            InvalidRequest, SourceUnavailable, SourceChanged: As for ``page``.
            WorkspaceFull, TransientError: ``into`` cannot be written.
        """
        return await self._source(url, partial(_in_file, path=into, max_bytes=max_bytes))

    async def _image(self, url: URL, into: Path) -> Fetched:
        signals: list[str] = []

        def heed(signal: str) -> None:
            if not self._policy.ignore_opt_out:
                raise FetchFailed(MissReason.OPTED_OUT, signal)
            signals.append(signal)

        async def ask_robots(url: URL) -> None:
            try:
                forbidden = await self._robots.forbid(url)
            except FetchFailed:
                if not self._policy.ignore_opt_out:
                    raise
            else:
                if forbidden:
                    heed(f"robots.txt of {url.origin()}")

        async def take(response: ClientResponse) -> Fetched:
            if signal := robots_tag(response.headers.getall("X-Robots-Tag", ()), self._policy.product):
                heed(signal)
            refuse_foreign_type(response)
            size = await _in_file(response, into, self._policy.max_bytes)
            return Fetched(size, datetime.now(UTC), "; ".join(signals))

        return await self._visit(url, take, ask_robots)

    async def _read_robots(self, url: URL) -> str:
        try:
            body = await self._retried(
                partial(self._visit, url, partial(_beginning, max_bytes=_ROBOTS_BYTES), _no_question)
            )
        except FetchFailed as failed:
            if failed.missed.permanent:  # there is none, or the site as a whole will be refused for the same reason
                return ""
            raise
        return body.decode("utf-8", "replace")

    async def _source(self, url: str, take: Callable[[ClientResponse], Awaitable[T]]) -> T:
        try:
            return await self._retried(partial(self._visit, web_url(url), take, _no_question))
        except FetchFailed as failed:
            raise _source_error(url, failed.missed) from failed

    async def _visit(
        self,
        url: URL,
        take: Callable[[ClientResponse], Awaitable[T]],
        ask: Callable[[URL], Awaitable[None]],
    ) -> T:
        """One attempt: ask before each hop, follow redirects, and take what comes in the end."""
        deadline = Deadline(self._policy.seconds)
        for _ in range(self._policy.max_redirects + 1):
            host = url.raw_host or ""
            with translated():
                await ask(url)
                async with self._pace.turn(host), deadline.running(), self._connections.get(url) as response:
                    # a Retry-After, if there is one, is the better word
                    if "Retry-After" not in response.headers and (limit := used_up(response.headers)):
                        self._pace.used_up(host, limit)
                    location = response.headers.get("Location")
                    if response.status not in _REDIRECTS or location is None:
                        _refuse_failure(response)
                        return await take(response)
                url = web_url(urljoin(str(url), location))
        raise FetchFailed(MissReason.REDIRECTS, f"more than {self._policy.max_redirects}")

    async def _retried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Every retry there is: bounded, patient as the server asks, at most ``LONGEST_WAIT`` seconds."""
        try:
            return await attempt()  # without tenacity, which would cost a fifth of a fetch that succeeds
        except FetchFailed as failed:
            first = iter([failed])
        exhausted = stop_after_attempt(self._policy.attempts)
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, FetchFailed) and not error.missed.permanent),
            stop=lambda state: exhausted(state) or _asked_wait(state) > LONGEST_WAIT,
            wait=lambda state: _asked_wait(state) or self._waits.wait(state.attempt_number),
            sleep=self._sleep,
            reraise=True,
        )

        async def again() -> T:
            for failed in first:
                raise failed
            return await attempt()

        return await retrying(again)


async def _no_question(_url: URL) -> None:
    pass


async def _in_memory(response: ClientResponse, max_bytes: int) -> bytes:
    page = BytesIO()
    await receive(response, page.write, max_bytes)
    return page.getvalue()


async def _in_file(response: ClientResponse, path: Path, max_bytes: int) -> int:
    with new_file(path) as write:
        return await receive(response, write, max_bytes)


async def _beginning(response: ClientResponse, max_bytes: int) -> bytes:
    text = bytearray()
    async with aclosing(decoded(response)) as parts:
        async for part in parts:
            text += part
            if len(text) > max_bytes:
                break
    return bytes(text[:max_bytes])


def _refuse_failure(response: ClientResponse) -> None:
    status = response.status
    if status != HTTPStatus.OK:
        later = status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        asked = _seconds(response.headers.get("Retry-After", ""))
        raise FetchFailed(f"http_{status}", permanent=not later, retry_after=asked)


def _seconds(retry_after: str) -> float | None:
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        due = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (due.replace(tzinfo=due.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _asked_wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after or 0.0) if isinstance(error, FetchFailed) else 0.0


def _source_error(url: str, missed: Missed) -> PixcoreError:
    shown = re.sub(r"//[^/?#]*@", "//", url).partition("?")[0]  # no password, no signature
    said = one_line(
        PixcoreError(f"{shown}: {missed.reason} ({missed.detail})" if missed.detail else f"{shown}: {missed.reason}")
    )
    if missed.reason == MissReason.NOT_A_URL:
        return InvalidRequest(f"{said}; correct the address")
    if missed.reason == MissReason.ADDRESS:
        return InvalidRequest(f"{said}; if the host is yours, allow it as a private host")
    if missed.reason in {MissReason.RATE_LIMIT, "http_429"}:
        return SourceUnavailable(f"{said}; try again later")
    if not missed.permanent or missed.reason in {MissReason.UNREACHABLE, MissReason.TLS}:
        return SourceUnavailable(f"{said}; look whether the site is up, and try again")
    return SourceChanged(f"{said}; look at what the address gives in a browser")
