"""The fetcher: turns a URL into a complete file or a typed miss, whatever the server does."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urljoin

from attrs import define, evolve

from pixcore.chunk.retry import RetryPolicy
from pixcore.model.images import MissReason, Transfer
from pixcore_adapters.downloader.fetch.body import Body, ImageBody, NewFile, RobotsBody
from pixcore_adapters.downloader.fetch.connections import Connections, Own
from pixcore_adapters.downloader.fetch.encodings import needs_brotli
from pixcore_adapters.downloader.fetch.failures import FetchFailed, translated
from pixcore_adapters.downloader.fetch.handle import Sink
from pixcore_adapters.downloader.fetch.limits import exhausted_limit
from pixcore_adapters.downloader.fetch.opt_out import Robots, robots_tag
from pixcore_adapters.downloader.fetch.pace import Pace
from pixcore_adapters.downloader.fetch.pages import PageAnswer, PageRequest
from pixcore_adapters.downloader.fetch.policy import Fetched, FetchPolicy, Missed
from pixcore_adapters.downloader.fetch.resolving import Resolver
from pixcore_adapters.downloader.fetch.response import Response
from pixcore_adapters.downloader.fetch.retries import Retries
from pixcore_adapters.downloader.fetch.source_errors import source_error
from pixcore_adapters.downloader.fetch.statuses import check_robots_status, check_status, location
from pixcore_adapters.downloader.fetch.url import WebUrl, web_url
from pixcore_adapters.downloader.pacing.interface import Pacing
from pixcore_adapters.downloader.pacing.process import ProcessPacing

_ROBOTS_BYTES = 500 * 1024
_UNUSABLE = frozenset({MissReason.ADDRESS, MissReason.TLS, MissReason.UNREACHABLE, MissReason.NOT_A_URL})
_NOT_FOUND = re.compile("http_4..")  # RFC 9309: only these say that there is no robots.txt


@define
class _Trace:
    """What is recorded of the requests for one image: the last address and its status, and the number of tries."""

    first: WebUrl
    tries: int = 0
    url: WebUrl | None = None
    status: int = 0

    def answered(self, status: int) -> None:
        """Record the status of a response."""
        self.status = status

    def transfer(self) -> Transfer:
        """Return the record as a value."""
        return Transfer(str(self.url or ""), self.status, self.tries, self.url not in (None, self.first))


class Take(Protocol):
    """Returns what takes the body of a response. ``decoded``: libcurl decodes the body."""

    def __call__(self, response: Response, *, decoded: bool) -> Body:
        """Return the body, or raise FetchFailed if the response is not wanted."""
        ...


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
        pacing: Pacing | None = None,
    ) -> None:
        """``resolver`` defaults to the system's, and ``authorities`` to its certificates or those of ``SSL_CERT_FILE``.

        ``authorities`` is a PEM file. ``pacing`` is shared with other fetchers; by default with none.
        """
        self._policy = policy
        self._pace = Pace(policy, sleep, pacing or ProcessPacing())
        self._retried = Retries(RetryPolicy(policy.attempts), sleep)
        self._connections = Connections(policy, resolver, authorities)
        self._robots = Robots(self._read_robots, self._pace.slow_down, policy.product)
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._closing.enter_async_context(self._pace)
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
        try:
            trace = _Trace(web_url(url))
        except FetchFailed as failed:
            return failed.missed
        try:
            return await self._retried(partial(self._image, into, trace))
        except FetchFailed as failed:
            return evolve(failed.missed, transfer=trace.transfer())

    async def page(self, request: PageRequest, max_bytes: int) -> PageAnswer:
        """Fetch a page of a source, whose body is decoded. Content types and opt-outs are not checked.

        The request's ``grant`` is ignored.

        Raises:
            FetchFailed: The page cannot be fetched, or is larger than ``max_bytes``.
        """
        page = BytesIO()
        headers: Mapping[str, str] = {}

        def take(response: Response, *, decoded: bool) -> Body:
            nonlocal headers
            headers = {name: values[-1] for name, values in response.headers.items()}
            page.truncate(page.seek(0))
            return Body(response, page.write, max_bytes, decoded=decoded)

        await self._retried(partial(self._visit, web_url(request.url), take, request=request))
        return PageAnswer(page.getvalue(), headers)

    async def save(self, url: str, into: Path, max_bytes: int) -> int:
        """Fetch a list like a page, into a temporary file. Return its size in bytes.

        Raises:
            InvalidRequest: The URL is invalid, or the policy forbids its address.
            SourceUnavailable: The list cannot be fetched now; a later attempt may succeed.
            SourceChanged: The server permanently refuses the list, or it is larger than ``max_bytes``.
            WorkspaceFull, TransientError: ``into`` cannot be written.
        """

        async def attempt(address: WebUrl) -> int:
            def take(response: Response, *, decoded: bool) -> Body:
                body = Body(response, file.write, max_bytes, decoded=decoded)
                file.create()
                return body

            with NewFile(into, temporary=True) as file:
                body = await self._visit(address, take)
                file.flush()
            return body.size

        try:
            return await self._retried(partial(attempt, web_url(url)))
        except FetchFailed as failed:
            raise source_error(url, failed.missed) from failed

    async def _image(self, into: Path, trace: _Trace) -> Fetched:
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

        def take(response: Response, *, decoded: bool) -> Body:
            if signal := robots_tag(response.all("x-robots-tag"), self._policy.product):
                opt_out(signal)
            body = ImageBody(response, file.write, self._policy.max_bytes, decoded=decoded)
            file.create()
            return body

        with NewFile(into) as file:
            body = await self._visit(trace.first, take, check_robots, trace.answered)
            file.flush()
        return Fetched(body.size, datetime.now(UTC), "; ".join(signals), trace.transfer())

    async def _read_robots(self, url: WebUrl) -> bytes:
        """Return the start of a robots.txt; empty if the site has none.

        Raises:
            FetchFailed: It is not known whether the site has one. The reason is permanent if the site itself can never
                be fetched from.
        """
        text = BytesIO()
        reached = False

        def take(response: Response, *, decoded: bool) -> Body:
            text.truncate(text.seek(0))
            return RobotsBody(response, text.write, _ROBOTS_BYTES, decoded=decoded)

        def answered(_status: int) -> None:
            nonlocal reached
            reached = True

        try:
            await self._retried(partial(self._visit, url, take, answered=answered, check_status=check_robots_status))
        except FetchFailed as failed:
            missed = failed.missed
            if missed.permanent and _NOT_FOUND.fullmatch(missed.reason):
                return b""
            if missed.permanent and not reached and missed.reason in _UNUSABLE:
                raise
            raise FetchFailed(
                missed.reason, f"robots.txt: {missed.detail or missed.reason}", permanent=False, retry_after=math.inf
            ) from failed
        return text.getvalue()

    async def _visit(
        self,
        url: WebUrl,
        take: Take,
        check: Callable[[WebUrl], Awaitable[None]] = _allow_all,
        answered: Callable[[int], None] = _ignore,
        *,
        check_status: Callable[[Response], None] = check_status,
        request: PageRequest | None = None,
    ) -> Body:
        """Make one attempt: call ``check`` before each hop, follow redirects, and fill the body that ``take`` returns.

        ``answered`` is called with the status of each response. Cookies are kept within the attempt. The headers of
        ``request`` are sent to the first origin only, its form with the first request only.
        """
        origin, own = url.origin, Own.of(request)
        seconds, clock = self._policy.seconds, asyncio.get_running_loop().time
        body: Body | None = None
        cookies: Sequence[str] = ()
        brotli = False

        def opened(response: Response) -> Sink | None:
            nonlocal body, brotli
            answered(response.status)
            # Retry-After is more precise
            if response.get("retry-after") is None and (limit := exhausted_limit(response)):
                self._pace.close(url.site, limit)
            if location(response) is not None:
                return None
            check_status(response)
            if needs_brotli(response) and not brotli:
                brotli = True
                return None
            body = take(response, decoded=brotli)
            return body.take

        hops = 0
        while hops <= self._policy.max_redirects:
            with translated(self._policy.seconds):
                await check(url)
                async with self._pace.turn(url.site):
                    if seconds <= 0:
                        raise TimeoutError
                    started = clock()
                    response, cookies = await self._connections.get(
                        url, seconds, opened, cookies, brotli=brotli, own=own
                    )
                    seconds -= clock() - started
                if body:
                    body.finish()
                    return body
                target = location(response)
                if target is not None:  # else it is the same request again, now with brotli
                    url, brotli, hops = web_url(urljoin(url.text, target)), False, hops + 1
                    own = Own.of(request and evolve(request, form=None)) if url.origin == origin else Own()
        raise FetchFailed(MissReason.REDIRECTS, f"more than {self._policy.max_redirects} redirects")
