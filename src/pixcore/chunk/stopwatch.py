"""Measure how long an attempt spends in each phase."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from attrs import define, field

from pixcore.model.chunks import Phase


@define(eq=False)
class Stopwatch:
    """Adds up the seconds of each phase. Each second counts for one phase only.

    The phases of a chunk nest: packing draws an image, which has to be validated, which has to be downloaded. While an
    inner phase is measured, the outer one is paused.
    """

    clock: Callable[[], float] = time.perf_counter
    _seconds: dict[Phase, float] = field(init=False, factory=dict[Phase, float])
    _phase: Phase | None = field(init=False, default=None)
    _since: float = field(init=False, default=0.0)

    @contextmanager
    def measure(self, phase: Phase) -> Generator[None]:
        """Count the time of the block for ``phase``, and pause the phase that was measured before."""
        paused = self._switch(phase)
        try:
            yield
        finally:
            self._switch(paused)

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each phase that was measured, rounded to milliseconds, in the order of ``Phase``."""
        return {phase: round(self._seconds[phase], 3) for phase in Phase if phase in self._seconds}

    def _switch(self, phase: Phase | None) -> Phase | None:
        """Measure another phase from now on, and return the one that was measured until now."""
        now, previous = self.clock(), self._phase
        if previous is not None:
            self._seconds[previous] = self._seconds.get(previous, 0.0) + now - self._since
        self._phase, self._since = phase, now
        return previous
