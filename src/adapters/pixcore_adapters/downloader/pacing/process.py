"""A pace that the fetchers of one process share."""

import threading
import time
from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from pixcore_adapters.downloader.pacing.interface import Party, Wish
from pixcore_adapters.downloader.pacing.shares import REST_BEATS, Share, next_start, shared

_BEAT = 0.05  # seconds
_MANY = 10_000  # keys whose next start is known, before those of the past are dropped


@define(eq=False)
class ProcessPacing:
    """A ``Pacing`` in memory. ``clock`` returns seconds."""

    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(init=False, factory=threading.Lock)
    _shares: dict[str, dict[object, Share]] = field(init=False, factory=dict[str, "dict[object, Share]"])
    _starts: dict[str, float] = field(init=False, factory=dict[str, float])

    def join(self) -> Party:
        """See ``Pacing``."""
        return _Party(self)

    def grant(self, party: object, wish: Wish) -> int:
        """Return how many slots the party may use."""
        with self._lock:
            shares = self._shares.setdefault(wish.key, {})
            before = shares.pop(party, None) or Share()
            if wish.held or wish.wanted:
                allowed, shares[party] = shared(wish, before, shares.values(), self.clock(), REST_BEATS * _BEAT)
                return allowed
            if not shares:
                del self._shares[wish.key]
            return 0

    def leave(self, party: object) -> None:
        """Forget all shares of the party."""
        with self._lock:
            for key, shares in list(self._shares.items()):
                shares.pop(party, None)
                if not shares:
                    del self._shares[key]

    def reserve(self, key: str, spacing: float, earliest: float) -> float:
        """Reserve a start and return the seconds until it."""
        with self._lock:
            now = self.clock()
            if len(self._starts) >= _MANY:
                self._starts = {name: start for name, start in self._starts.items() if start > now}
            start, self._starts[key] = next_start(self._starts.get(key, now), now, spacing, earliest)
            return start - now


@frozen(eq=False)
class _Party:
    pacing: ProcessPacing
    beat: float = _BEAT

    async def slots(self, wishes: Sequence[Wish]) -> Sequence[int]:
        return [self.pacing.grant(self, wish) for wish in wishes]

    async def start(self, key: str, spacing: float, earliest: float = 0.0) -> float:
        return self.pacing.reserve(key, spacing, earliest)

    async def close(self) -> None:
        self.pacing.leave(self)
