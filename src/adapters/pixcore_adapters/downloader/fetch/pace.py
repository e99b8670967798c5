"""Limits of concurrency and request rate of one fetcher, which it shares with others by a ``Pacing``."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Self

from attrs import define, field

from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.limits import Limit
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.pacing.interface import Pacing, Wish

MAX_SPACING = 2.0  # seconds between two requests to a host that its robots.txt may require
MAX_WAIT = 60.0  # seconds to wait when a server requests it: enough for limits by the minute

# The spacing of a rate is longer by this part, so that no more than the rate arrive in any second, although some are
# late by up to this part of a second.
_SPARE = 0.1

# Seconds by which a request may be late when it starts; the rest is for its way.
_LATE = _SPARE / 2

_HOSTS = 10_000  # size of the cache, far more than hosts in use at once
_MAX_CONCURRENT = {  # these override the policy: https://wikitech.wikimedia.org/wiki/Robot_policy
    "commons.wikimedia.org": 1,
    "upload.wikimedia.org": 2,
}


@define(eq=False)
class _Host:
    """A host: the slots that the fetcher may use, those that it uses, and the requests that wait for one.

    Attributes:
        peak: The most slots wanted since the last beat.
        asked: Whether an agreement is under way.
        short: Whether the last one granted fewer slots than wanted.
        spacing: Seconds between two starts.
        opens: When the next request may start at the earliest.
        limit: The limit of the server that was last exhausted.
    """

    name: str
    most: int
    spacing: float
    allowed: int = 0
    using: int = 0
    peak: int = 0
    asked: bool = False
    short: bool = False
    opens: float = 0.0
    closed_until: float = 0.0
    limit: Limit | None = None
    waiting: deque[asyncio.Future[None]] = field(factory=deque[asyncio.Future[None]])
    starting: asyncio.Lock = field(factory=asyncio.Lock)

    @property
    def wanted(self) -> int:
        return self.using + len(self.waiting)

    def more_than(self, wish: Wish) -> bool:
        """Return whether requests wait that came after the wish."""
        return bool(self.waiting) and not self.short and min(self.wanted, self.most) > wish.wanted

    def admit(self) -> None:
        """Give the free slots to the requests that wait."""
        while self.waiting and self.using < self.allowed:
            turn = self.waiting.popleft()
            if not turn.done():
                self.using += 1
                turn.set_result(None)


class _Turn:
    """A slot of a host, held during the block. A generator in its place would cost a twentieth of a fetch."""

    __slots__ = ("_begin", "_end", "_host")

    def __init__(self, host: _Host, begin: Callable[[_Host], Awaitable[None]], end: Callable[[_Host], None]) -> None:
        self._host, self._begin, self._end = host, begin, end

    async def __aenter__(self) -> None:
        await self._begin(self._host)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(self._host)


class Pace:
    """Limit how many requests run at once, for each host and in all, and how fast they start at a host.

    An asynchronous context manager. The limits of a host hold for all fetchers of the pacing together, the number of
    requests in all for this one. A request takes its host's slot before one of the slots of all hosts, so that many
    requests to one host do not delay the others.
    """

    def __init__(self, policy: FetchPolicy, sleep: Callable[[float], Awaitable[None]], pacing: Pacing) -> None:
        self._all = asyncio.Semaphore(policy.in_flight)
        spacing = (1 + _SPARE) / policy.per_host_rate if policy.per_host_rate else 0.0
        self._sleep = sleep
        self._pacing = pacing
        self._held: dict[str, _Host] = {}  # the hosts of which slots are held or wanted
        self._beats: asyncio.Task[None] | None = None
        self._host = lru_cache(_HOSTS)(
            lambda name: _Host(name, min(policy.per_host, _MAX_CONCURRENT.get(name, policy.per_host)), spacing)
        )

    async def __aenter__(self) -> Self:
        self._party = self._pacing.join()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beats:
            self._beats.cancel()
            await asyncio.wait([self._beats])
        await self._party.close()

    def turn(self, name: str) -> "_Turn":
        """Return what waits for a slot of the host and holds it during an ``async with`` block.

        Raises:
            FetchFailed: The host's rate limit is exhausted for longer than ``MAX_WAIT``. Do not retry soon. The block
                raises it, not this call.
        """
        return _Turn(self._host(name), self._begin, self._end)

    async def _begin(self, host: _Host) -> None:
        if host.using < host.allowed and not host.waiting:
            host.using += 1
            host.peak = max(host.peak, host.using)
        else:
            await self._slot(host)
        try:
            paced = host.spacing or host.opens > asyncio.get_running_loop().time()
            due = await self._started(host) if paced else None
            await self._all.acquire()
            try:
                while due is not None and asyncio.get_running_loop().time() - due > _LATE:
                    due = await self._started(host)  # the next start may be too near now
            except BaseException:
                self._all.release()
                raise
        except BaseException:
            self._give_back(host)
            raise

    def _end(self, host: _Host) -> None:
        self._all.release()
        self._give_back(host)

    def _give_back(self, host: _Host) -> None:
        host.using -= 1
        host.admit()

    def slow_down(self, name: str, seconds: float) -> None:
        """Start requests to the host at most once in so many seconds, or less often if the policy says so.

        More than ``MAX_SPACING`` counts as that: a chunk of one host would not end within its deadline.
        """
        host = self._host(name)
        spacing = min(seconds, MAX_SPACING)
        if spacing > host.spacing:
            host.spacing = spacing
            host.opens = max(host.opens, asyncio.get_running_loop().time() + spacing)

    def close(self, name: str, limit: Limit) -> None:
        """Start no request to the host until the window of the exhausted limit has passed."""
        host = self._host(name)
        until = asyncio.get_running_loop().time() + limit.seconds
        if until > host.closed_until:
            host.closed_until, host.limit = until, limit
            host.opens = max(host.opens, until)

    async def _slot(self, host: _Host) -> None:
        """Wait for a slot of the host and take it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        host.waiting.append(turn)
        try:
            if host.allowed < host.most and not host.asked and not host.short:  # else a beat will ask
                await self._agree((host,))
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and not turn.exception():
                host.using -= 1
                host.admit()
            turn.cancel()
            raise

    async def _started(self, host: _Host) -> float:
        """Wait for a start at the host. Return its time, which may have passed by now."""
        clock = asyncio.get_running_loop().time
        async with host.starting:
            if host.limit and (closed := host.closed_until - clock()) > MAX_WAIT:
                detail = f"the rate limit {host.limit.text} is exhausted for at most {closed:.0f} seconds"
                raise FetchFailed(MissReason.RATE_LIMIT, detail, permanent=False, retry_after=closed)
            delay = await self._party.start(host.name, host.spacing, max(0.0, host.opens - clock()))
            due = clock() + delay
            if delay > 0:
                await self._sleep(delay)
        return due

    async def _agree(self, hosts: Sequence[_Host]) -> None:
        """Agree with the other fetchers how many slots of each host this one may use."""
        for host in hosts:
            host.asked = True
            self._held[host.name] = host
        if self._beats is None:
            self._beats = asyncio.create_task(self._beat())
        wanting = hosts
        try:
            while wanting:
                wishes = [self._wish(host) for host in wanting]
                granted = await self._party.slots(wishes)
                for host, wish, allowed in zip(wanting, wishes, granted, strict=True):
                    host.allowed, host.short = allowed, allowed < min(wish.wanted, wish.most)
                    host.admit()
                # again, if further requests came meanwhile
                wanting = [host for host, wish in zip(wanting, wishes, strict=True) if host.more_than(wish)]
        finally:
            for host in hosts:
                host.asked = False

    def _wish(self, host: _Host) -> Wish:
        host.peak = max(host.peak, host.wanted)
        return Wish(host.name, max(host.allowed, host.using), host.peak, host.most)

    async def _beat(self) -> None:
        """Agree again and again, and give back what was not used since the last beat, until nothing is held."""
        try:
            while self._held:
                await asyncio.sleep(self._party.beat)
                hosts = [host for host in self._held.values() if not host.asked]
                for host in hosts:
                    host.allowed = min(host.allowed, max(host.peak, host.wanted))
                await self._agree(hosts)
                for host in hosts:
                    if not (host.allowed or host.wanted or host.peak):
                        del self._held[host.name]
                    host.peak = host.wanted
        except Exception as error:  # noqa: BLE001 - raised where requests wait; else they would wait for ever
            for turn in [turn for host in self._held.values() for turn in host.waiting if not turn.done()]:
                turn.set_exception(error)
        finally:
            self._beats = None
