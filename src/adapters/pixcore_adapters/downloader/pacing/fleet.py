"""A pace that several machines share by a Redis, on top of the pace of each machine.

A party first agrees with the others of its machine, and then with those of all machines. So the limits of the machine
hold whatever happens to Redis. Slots are leases: those of a process that was killed, or of a machine that cannot be
reached any more, end after ``_LEASE`` seconds. All keys expire.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from attrs import define, evolve, field
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError  # noqa: A004

from pixcore.errors import TransientError, one_line
from pixcore_adapters.downloader.pacing.interface import Pacing, Party, Wish
from pixcore_adapters.downloader.pacing.scripts import SLOTS, START
from pixcore_adapters.downloader.pacing.shares import HOLD, REST_BEATS

_BEAT = 0.25  # seconds
_LEASE = 10.0  # seconds
_TIMEOUT = 1.0  # seconds that a request waits for Redis, before the pace of the machine has to do
_AWAY = 5.0  # seconds until Redis is tried again
_KEYS = "pixcore:pace"

_Result = asyncio.Future[int]

_logger = logging.getLogger("pixcore")


@define(eq=False)
class FleetPacing:
    """A ``Pacing`` by a Redis.

    While Redis does not answer, each machine keeps the pace by itself. One warning says so, and a line afterwards says
    how many slots and starts were granted meanwhile.

    Attributes:
        url: The URL of the Redis.
        shown: The URL without its password, for log lines.
        machine: The pace of this machine.
        clock: Returns seconds; only for tests, the default is the clock of Redis.
    """

    url: str
    shown: str
    machine: Pacing
    clock: Callable[[], float] | None = None
    away_since: float | None = field(init=False, default=None)
    alone: int = field(init=False, default=0)
    _next_try: float = field(init=False, default=0.0)

    def join(self) -> Party:
        """See ``Pacing``."""
        return _Party(self, self.machine.join(), self._connected())

    async def check(self) -> None:
        """Try what parties do, at a key of its own.

        Raises:
            TransientError: Redis does not answer, or refuses it.
        """
        redis, now = self._connected(), self.clock() if self.clock else ""
        try:
            await redis.run(START, f"{_KEYS}:start:check", 0.0, 0.0, now)
            await redis.run(SLOTS, f"{_KEYS}:slots:check", "check", 0, 0, 1, _LEASE, HOLD, 0.0, now)
        except (RedisError, OSError) as error:
            raise TransientError(
                f"the Redis {self.shown} cannot be used ({one_line(error)}), so the limits per host hold for each"
                " machine by itself; check that it runs and that pace_redis is right"
            ) from error
        finally:
            await redis.close()

    def _connected(self) -> "_Batches":
        client: Redis = Redis.from_url(
            self.url,
            protocol=2,
            socket_connect_timeout=_TIMEOUT,
            socket_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 1, (ConnectionError,)),  # an idle connection may have been closed
        )
        return _Batches(client)

    @property
    def usable(self) -> bool:
        """Whether to try Redis now. While it is away, this is true for one caller after each ``_AWAY`` seconds."""
        now = time.monotonic()
        if self.away_since is None:
            return True
        if now < self._next_try:
            return False
        self._next_try = now + _AWAY
        return True

    def failed(self, error: BaseException) -> None:
        """Record that Redis did not answer."""
        now = time.monotonic()
        self._next_try = now + _AWAY
        if self.away_since is None:
            self.away_since, self.alone = now, 0
            _logger.warning(
                "the Redis %s does not answer: %s; until it does, the limits per host hold for each machine by itself",
                self.shown,
                one_line(error),
            )

    def answered(self) -> None:
        """Record that Redis answered."""
        if self.away_since is not None:
            _logger.info(
                "the Redis %s answers again, after %.0f s; slots and starts that this machine alone granted: %d",
                self.shown,
                time.monotonic() - self.away_since,
                self.alone,
            )
            self.away_since = None


@define
class _Batches:
    """Runs scripts. Those that are requested while others run are sent together, in one round trip."""

    client: Redis
    _waiting: list[tuple[str, str, Sequence[float | str], _Result]] = field(init=False, factory=list[Any])
    _sending: asyncio.Task[None] | None = field(init=False, default=None)

    def run(self, script: str, key: str, *arguments: float | str) -> _Result:
        """Run a script with a key; the future returns what it returns, or raises RedisError or OSError."""
        result: _Result = asyncio.get_running_loop().create_future()
        self._waiting.append((script, key, arguments, result))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())
        return result

    async def close(self) -> None:
        """Close the connection. Scripts that still run are abandoned."""
        if self._sending:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        await self.client.aclose()

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                pipeline: Any = self.client.pipeline(transaction=False)
                for script, key, arguments, _ in batch:
                    pipeline.eval(script, 1, key, *arguments)
                try:
                    answers = await pipeline.execute(raise_on_error=False)
                except (RedisError, OSError) as error:
                    answers = [error] * len(batch)
                for (_, _, _, result), answer in zip(batch, answers, strict=True):
                    if result.done():  # its caller was cancelled
                        continue
                    if isinstance(answer, Exception):
                        result.set_exception(answer)
                    else:
                        result.set_result(answer)
        finally:
            self._sending = None


@define(eq=False)
class _Party:
    fleet: FleetPacing
    machine: Party
    redis: _Batches
    beat: float = _BEAT
    _name: str = field(init=False, factory=lambda: uuid4().hex)
    _shared: set[str] = field(init=False, factory=set[str])

    async def slots(self, wishes: Sequence[Wish]) -> Sequence[int]:
        """See ``Party``. Redis is asked for no more than the machine permits.

        So a party never waits for its machine while it keeps others from slots of the fleet.
        """
        allowed = await self.machine.slots(wishes)
        if self.fleet.usable:
            limited = [evolve(wish, wanted=min(wish.wanted, most)) for wish, most in zip(wishes, allowed, strict=True)]
            if (answers := await self._answers([self._slots(wish) for wish in limited])) is not None:
                self._shared.update(wish.key for wish in limited if wish.held or wish.wanted)
                self._shared.difference_update(wish.key for wish in limited if not (wish.held or wish.wanted))
                return [min(pair) for pair in zip(allowed, answers, strict=True)]
        self.fleet.alone += sum(max(0, slots - wish.held) for slots, wish in zip(allowed, wishes, strict=True))
        return allowed

    async def start(self, key: str, spacing: float, earliest: float = 0.0) -> float:
        if self.fleet.usable:
            reserved = self.redis.run(START, f"{_KEYS}:start:{key}", spacing, earliest, self._now())
            if (answers := await self._answers([reserved])) is not None:
                # also reserved on this machine, in case Redis goes away
                return await self.machine.start(key, spacing, answers[0] / 1e6)
        self.fleet.alone += 1
        return await self.machine.start(key, spacing, earliest)

    async def close(self) -> None:
        try:
            if self.fleet.away_since is None:
                await self._answers([self._slots(Wish(key, 0, 0, 0)) for key in self._shared])
        finally:
            await self.redis.close()
            await self.machine.close()

    async def _answers(self, results: Sequence[_Result]) -> Sequence[int] | None:
        """Wait for Redis; return None if it does not answer."""
        answers = await asyncio.gather(*results, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                self.fleet.failed(answer)
                return None
        self.fleet.answered()
        return [answer for answer in answers if isinstance(answer, int)]

    def _slots(self, wish: Wish) -> _Result:
        settings = (_LEASE, HOLD, REST_BEATS * _BEAT, self._now())
        key = f"{_KEYS}:slots:{wish.key}"
        return self.redis.run(SLOTS, key, self._name, wish.held, wish.wanted, wish.most, *settings)

    def _now(self) -> float | str:
        return self.fleet.clock() if self.fleet.clock else ""
