"""The fetcher: turns a URL into a complete file or a typed miss, whatever the server does."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urljoin

from attrs import define, evolve
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from pixcore.chunk.retry import RetryPolicy
from pixcore.errors import InvalidRequest, PixcoreError, SourceChanged, SourceUnavailable, one_line
from pixcore.model.images import MissReason, Transfer
from pixcore_adapters.downloader.fetch.body import Body, NewFile, check_content_type
from pixcore_adapters.downloader.fetch.connections import Connections
from pixcore_adapters.downloader.fetch.failures import FetchFailed, translated
from pixcore_adapters.downloader.fetch.limits import exhausted_limit
from pixcore_adapters.downloader.fetch.opt_out import Robots, robots_tag
from pixcore_adapters.downloader.fetch.pace import MAX_WAIT, Pace
from pixcore_adapters.downloader.fetch.policy import Fetched, FetchPolicy, Missed
from pixcore_adapters.downloader.fetch.resolving import Resolver
from pixcore_adapters.downloader.fetch.response import Response
from pixcore_adapters.downloader.fetch.transfers import Sink
from pixcore_adapters.downloader.fetch.url import WebUrl, web_url

T = TypeVar("T")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT_STATUSES = frozenset({408, 425, 429})  # besides all from 500 on
_ROBOTS_BYTES = 500 * 1024


@define
class _Trace:
    """What is recorded of the requests for one image: the last address and its status, and the number of tries."""

    tries: int = 0
    url: WebUrl | None = None
    status: int = 0

    def answered(self, status: int) -> None:
        """Record the status of a response."""
        self.status = status

    def transfer(self) -> Transfer:
        """Return the record as a value."""
        return Transfer(str(self.url or ""), self.status, self.tries)


def _ignore(_status: int) -> None:
    pass


async def _allow_all(_url: WebUrl) -> None:
    pass


class Fetcher:
    """Fetch over the web within a policy. An asynchronous context manager; create one for each chunk.

    It connects only to public addresses and to the policy's private hosts, also when it follows redirects. Cancel
    running fetches before closing it; then it leaves no task, thread, socket or file.
    """

    def __init__(
        self,
        policy: FetchPolicy,
        *,
        resolver: Resolver | None = None,
        authorities: Path | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``resolver`` defaults to the system's, and ``authorities`` to its certificates or those of ``SSL_CERT_FILE``.

        ``authorities`` is a PEM file.
        """
        self._policy = policy
        self._sleep = sleep
        self._pace = Pace(policy, sleep)
        self._waits = RetryPolicy(policy.attempts)
        self._connections = Connections(policy, resolver, authorities)
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
        """Fetch an image into the file ``into``. The file is complete if ``Fetched`` is returned, else it is absent.

        Raises:
            WorkspaceFull, TransientError: ``into`` cannot be written.
        """
        trace = _Trace()
        try:
            return await self._retried(partial(self._image, web_url(url), into, trace))
        except FetchFailed as failed:
            return evolve(failed.missed, transfer=trace.transfer() if trace.tries else None)

    async def page(self, url: str, max_bytes: int) -> bytes:
        """Fetch a page of a source and return its decoded body. Content types and opt-outs are not checked.

        Raises:
            InvalidRequest: The URL is invalid, or the policy forbids its address.
            SourceUnavailable: The page cannot be fetched now; a later attempt may succeed.
            SourceChanged: The server permanently refuses the page, or it is larger than ``max_bytes``.
        """
        page = BytesIO()

        def take(response: Response) -> Body:
            page.truncate(page.seek(0))
            return Body(response, page.write, max_bytes)

        await self._source(url, partial(self._visit, take=take))
        return page.getvalue()

    async def save(self, url: str, into: Path, max_bytes: int) -> int:
        """Fetch a page like ``page`` does, into a file. Return its size in bytes.

        Raises:
            InvalidRequest, SourceUnavailable, SourceChanged: As for ``page``.
            WorkspaceFull, TransientError: ``into`` cannot be written.
        """

        async def attempt(address: WebUrl) -> int:
            def take(response: Response) -> Body:
                body = Body(response, file.write, max_bytes)
                file.create()
                return body

            with NewFile(into) as file:
                return (await self._visit(address, take)).size

        return await self._source(url, attempt)

    async def _image(self, url: WebUrl, into: Path, trace: _Trace) -> Fetched:
        signals: list[str] = []
        trace.tries += 1

        def opt_out(signal: str) -> None:
            if not self._policy.ignore_opt_out:
                raise FetchFailed(MissReason.OPTED_OUT, signal)
            signals.append(signal)

        async def check_robots(url: WebUrl) -> None:
            trace.url, trace.status = url, 0
            try:
                forbidden = await self._robots.forbid(url)
            except FetchFailed:
                if not self._policy.ignore_opt_out:
                    raise
            else:
                if forbidden:
                    opt_out(f"robots.txt of {url.origin}")

        def take(response: Response) -> Body:
            if signal := robots_tag(response.all("x-robots-tag"), self._policy.product):
                opt_out(signal)
            check_content_type(response)
            body = Body(response, file.write, self._policy.max_bytes)
            file.create()
            return body

        with NewFile(into) as file:
            body = await self._visit(url, take, check_robots, trace.answered)
        return Fetched(body.size, datetime.now(UTC), "; ".join(signals), trace.transfer())

    async def _read_robots(self, url: WebUrl) -> str:
        text = BytesIO()

        def take(response: Response) -> Body:
            text.truncate(text.seek(0))
            return Body(response, text.write, _ROBOTS_BYTES, only_start=True)

        try:
            await self._retried(partial(self._visit, url, take))
        except FetchFailed as failed:
            if failed.missed.permanent:  # no robots.txt, or the URL itself will fail for the same reason
                return ""
            raise
        return text.getvalue().decode("utf-8", "replace")

    async def _source(self, url: str, attempt: Callable[[WebUrl], Awaitable[T]]) -> T:
        try:
            return await self._retried(partial(attempt, web_url(url)))
        except FetchFailed as failed:
            raise _source_error(url, failed.missed) from failed

    async def _visit(
        self,
        url: WebUrl,
        take: Callable[[Response], Body],
        check: Callable[[WebUrl], Awaitable[None]] = _allow_all,
        answered: Callable[[int], None] = _ignore,
    ) -> Body:
        """Make one attempt: call ``check`` before each hop, follow redirects, and fill the body that ``take`` returns.

        ``answered`` is called with the status of each response.
        """
        seconds, clock = self._policy.seconds, asyncio.get_running_loop().time
        body: Body | None = None

        def opened(response: Response) -> Sink | None:
            nonlocal body
            answered(response.status)
            # Retry-After is more precise
            if "retry-after" not in response.headers and (limit := exhausted_limit(response.headers)):
                self._pace.close(url.host, limit)
            if _location(response) is not None:
                return None
            _check_status(response)
            body = take(response)
            return body.take

        for _ in range(self._policy.max_redirects + 1):
            with translated(self._policy.seconds):
                await check(url)
                async with self._pace.turn(url.host):
                    if seconds <= 0:
                        raise TimeoutError
                    started = clock()
                    response = await self._connections.get(url, seconds, opened)
                    seconds -= clock() - started
                if body:
                    body.finish()
                    return body
                url = web_url(urljoin(url.text, _location(response) or ""))
        raise FetchFailed(MissReason.REDIRECTS, f"more than {self._policy.max_redirects} redirects")

    async def _retried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Retry within the policy. Wait as long as the server requests, but at most ``MAX_WAIT`` seconds."""
        try:
            return await attempt()  # without tenacity, whose overhead is a fifth of a successful fetch
        except FetchFailed as failed:
            first = iter([failed])
        exhausted = stop_after_attempt(self._policy.attempts)
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, FetchFailed) and not error.missed.permanent),
            stop=lambda state: exhausted(state) or _requested_wait(state) > MAX_WAIT,
            wait=lambda state: _requested_wait(state) or self._waits.wait(state.attempt_number),
            sleep=self._sleep,
            reraise=True,
        )

        async def again() -> T:
            for failed in first:
                raise failed
            return await attempt()

        return await retrying(again)


def _location(response: Response) -> str | None:
    """Return where a redirect leads; None if the response is none."""
    return response.get("location") if response.status in _REDIRECTS else None


def _check_status(response: Response) -> None:
    status = response.status
    if status != HTTPStatus.OK:
        transient = status in _TRANSIENT_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        wait = _seconds(response.get("retry-after") or "")
        raise FetchFailed(f"http_{status}", permanent=not transient, retry_after=wait)


def _seconds(retry_after: str) -> float | None:
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        due = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (due.replace(tzinfo=due.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _requested_wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after or 0.0) if isinstance(error, FetchFailed) else 0.0


def _source_error(url: str, missed: Missed) -> PixcoreError:
    shown = re.sub(r"//[^/?#]*@", "//", url).partition("?")[0]  # without password and signature
    message = one_line(
        PixcoreError(f"{shown}: {missed.reason} ({missed.detail})" if missed.detail else f"{shown}: {missed.reason}")
    )
    if missed.reason == MissReason.NOT_A_URL:
        return InvalidRequest(f"{message}; correct the address")
    if missed.reason == MissReason.ADDRESS:
        return InvalidRequest(f"{message}; if the host is yours, allow it as a private host")
    if missed.reason in {MissReason.RATE_LIMIT, "http_429"}:
        return SourceUnavailable(f"{message}; try again later")
    if not missed.permanent or missed.reason in {MissReason.UNREACHABLE, MissReason.TLS}:
        return SourceUnavailable(f"{message}; check that the site is up, and try again")
    return SourceChanged(f"{message}; open the address in a browser to see what it returns")
