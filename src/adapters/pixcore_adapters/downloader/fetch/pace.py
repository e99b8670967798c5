"""Limits of concurrency and request rate."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache

from attrs import define

from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.limits import Limit
from pixcore_adapters.downloader.fetch.policy import FetchPolicy

MAX_SPACING = 2.0  # seconds between two requests to a host that its robots.txt may require
MAX_WAIT = 60.0  # seconds to wait when a server requests it: enough for limits by the minute

_HOSTS = 10_000  # size of the cache, far more than hosts in use at once
_MAX_CONCURRENT = {  # these override the policy: https://wikitech.wikimedia.org/wiki/Robot_policy
    "commons.wikimedia.org": 1,
    "upload.wikimedia.org": 2,
}


@define
class _Host:
    slots: asyncio.Semaphore
    spacing: float
    next_start: float = 0.0
    closed_until: float = 0.0
    limit: Limit | None = None


class Pace:
    """Limit how many requests run at once, for each host and in all, and how fast they start at a host.

    A request takes its host's slot before one of the slots of all hosts, so that many requests to one host do not delay
    the others.
    """

    def __init__(self, policy: FetchPolicy, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._all = asyncio.Semaphore(policy.in_flight)
        spacing = 1 / policy.per_host_rate if policy.per_host_rate else 0.0
        self._sleep = sleep
        self._host = lru_cache(_HOSTS)(
            lambda name: _Host(
                asyncio.Semaphore(min(policy.per_host, _MAX_CONCURRENT.get(name, policy.per_host))), spacing
            )
        )

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncGenerator[None]:
        """Wait for a slot of the host and hold it until the block ends.

        Raises:
            FetchFailed: The host's rate limit is exhausted for longer than ``MAX_WAIT``. Do not retry soon.
        """
        host = self._host(name)
        async with host.slots:
            now = asyncio.get_running_loop().time()
            if host.limit and (closed := host.closed_until - now) > MAX_WAIT:
                detail = f"the rate limit {host.limit.text} is exhausted for at most {closed:.0f} seconds"
                raise FetchFailed(MissReason.RATE_LIMIT, detail, permanent=False, retry_after=closed)
            start = max(now, host.next_start, host.closed_until)
            host.next_start = start + host.spacing
            if start > now:
                await self._sleep(start - now)
            async with self._all:
                yield

    def slow_down(self, name: str, seconds: float) -> None:
        """Start requests to the host at most once in so many seconds, or less often if the policy says so.

        More than ``MAX_SPACING`` counts as that: a chunk of one host would not end within its deadline.
        """
        host = self._host(name)
        spacing = min(seconds, MAX_SPACING)
        if spacing > host.spacing:
            host.spacing = spacing
            host.next_start = max(host.next_start, asyncio.get_running_loop().time() + spacing)

    def close(self, name: str, limit: Limit) -> None:
        """Start no request to the host until the window of the exhausted limit has passed."""
        host = self._host(name)
        until = asyncio.get_running_loop().time() + limit.seconds
        if until > host.closed_until:
            host.closed_until, host.limit = until, limit
