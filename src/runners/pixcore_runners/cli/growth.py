"""Measure the growth rate of a count that is read from time to time and grows in steps."""

from collections import deque

from attrs import define, field, frozen


@frozen
class Growth:
    """How much a count grew in a number of ``seconds``, which is more than 0."""

    gained: int
    seconds: float

    @property
    def rate(self) -> float:
        """The growth per second."""
        return self.gained / self.seconds


@define
class GrowthMeter:
    """Measures the growth of a count over the last ``window`` seconds, from step to step.

    A growing count is expected to grow at least every ``beat`` seconds. No growth is returned for less than one beat,
    because one step more or less would change it too much. A count must stand still for two beats to count as slower.
    If the count falls, because work is repeated, the growth stays the same.
    """

    window: float
    beat: float
    _began: float | None = field(init=False, default=None)
    _count: int = field(init=False, default=0)
    _gained: int = field(init=False, default=0)
    _steps: deque[tuple[float, int]] = field(init=False, factory=deque[tuple[float, int]])

    def record(self, now: float, count: int) -> Growth | None:
        """Record the count at the time ``now``, in seconds; return its growth, or None until enough was measured."""
        if self._began is None:
            self._began, self._count = now, count
        if count > self._count:
            self._gained += count - self._count
            self._steps.append((now, self._gained))
        self._count = count
        while len(self._steps) > 1 and self._steps[1][0] <= now - self.window:
            self._steps.popleft()
        if not self._steps:
            return Growth(0, now - self._began) if now - self._began >= self.window else None
        since, before = self._steps[0]
        last, _ = self._steps[-1]
        until = last if now - last < 2 * self.beat else now
        return Growth(self._gained - before, until - since) if until - since >= self.beat else None
