"""How fast a count grows that is only looked at now and then, and that grows in steps."""

from collections import deque

from attrs import define, field, frozen


@frozen
class Growth:
    """By how much a count grew in how many ``seconds``, more than 0."""

    gained: int
    seconds: float

    @property
    def rate(self) -> float:
        """What it gained a second."""
        return self.gained / self.seconds


@define
class Pace:
    """The growth of a count over the last ``window`` seconds, measured from step to step.

    While it grows, it is expected to do so at least every ``beat`` seconds: nothing is told of less than a beat, in
    which one step or two would make all the difference, and only a count that has stood still for two counts as slower.
    Where the count falls, because work is done again, nothing is gained and nothing lost.
    """

    window: float
    beat: float
    _began: float | None = field(init=False, default=None)
    _count: int = field(init=False, default=0)
    _gained: int = field(init=False, default=0)
    _steps: deque[tuple[float, int]] = field(init=False, factory=deque[tuple[float, int]])

    def look(self, now: float, count: int) -> Growth | None:
        """Note the count at the moment ``now``, in seconds; gives its growth, or None while too little was seen."""
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
