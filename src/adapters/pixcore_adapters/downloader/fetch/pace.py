"""How many at once, how fast at one host, and how long one attempt may take."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache

from attrs import define, field

from pixcore_adapters.downloader.fetch.policy import FetchPolicy

_HOSTS = 10_000  # remembered at once; far more than can be in flight


@define
class _Host:
    slots: asyncio.Semaphore
    next_start: float = 0.0


class Pace:
    """Hands out turns: the host's slot first, so that a crowd at one host keeps nobody else waiting."""

    def __init__(self, policy: FetchPolicy, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._all = asyncio.Semaphore(policy.in_flight)
        self._spacing = 1 / policy.per_host_rate if policy.per_host_rate else 0.0
        self._sleep = sleep
        self._host = lru_cache(_HOSTS)(lambda _name: _Host(asyncio.Semaphore(policy.per_host)))

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncGenerator[None]:
        """Wait for one's turn at the host, and hold it for as long as the block lasts."""
        host = self._host(name)
        async with host.slots:
            now = asyncio.get_running_loop().time()
            start = max(now, host.next_start)
            host.next_start = start + self._spacing
            if start > now:
                await self._sleep(start - now)
            async with self._all:
                yield


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
