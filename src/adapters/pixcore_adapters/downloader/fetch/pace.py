"""How many at once, how fast at one host, and how long one attempt may take."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache

from attrs import define, field

from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.limits import Limit
from pixcore_adapters.downloader.fetch.policy import FetchPolicy

LONGEST_WAIT = 60.0  # seconds, because a server asks for it; limits by the minute are waited out

_HOSTS = 10_000  # remembered at once; far more than can be in flight
_AT_ONCE = {  # at most, whatever the policy says: https://wikitech.wikimedia.org/wiki/Robot_policy
    "commons.wikimedia.org": 1,
    "upload.wikimedia.org": 2,
}


@define
class _Host:
    slots: asyncio.Semaphore
    next_start: float = 0.0
    closed_until: float = 0.0
    limit: Limit | None = None


class Pace:
    """Hands out turns: the host's slot first, so that a crowd at one host keeps nobody else waiting."""

    def __init__(self, policy: FetchPolicy, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._all = asyncio.Semaphore(policy.in_flight)
        self._spacing = 1 / policy.per_host_rate if policy.per_host_rate else 0.0
        self._sleep = sleep
        self._host = lru_cache(_HOSTS)(
            lambda name: _Host(asyncio.Semaphore(min(policy.per_host, _AT_ONCE.get(name, policy.per_host))))
        )

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncGenerator[None]:
        """Wait for one's turn at the host, and hold it for as long as the block lasts.

        Raises:
            FetchFailed: The host's limit is used up for longer than is waited; not to be tried again soon.
        """
        host = self._host(name)
        async with host.slots:
            now = asyncio.get_running_loop().time()
            if host.limit and (closed := host.closed_until - now) > LONGEST_WAIT:
                detail = f"the limit of {host.limit.text} is used up, for {closed:.0f} seconds at most"
                raise FetchFailed(MissReason.RATE_LIMIT, detail, permanent=False, retry_after=closed)
            start = max(now, host.next_start, host.closed_until)
            host.next_start = start + self._spacing
            if start > now:
                await self._sleep(start - now)
            async with self._all:
                yield

    def used_up(self, name: str, limit: Limit) -> None:
        """Give no turn at the host before the limit's window has passed: until then, nothing more may be asked."""
        host = self._host(name)
        until = asyncio.get_running_loop().time() + limit.seconds
        if until > host.closed_until:
            host.closed_until, host.limit = until, limit


@define
class Deadline:
    """Seconds that are left, counted only while it runs."""

    left: float = field()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Count down while the block lasts.

        Raises:
            TimeoutError: Nothing is left.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            async with asyncio.timeout(self.left):
                yield
        finally:
            self.left -= clock() - started
