"""The decisions about images, in memory: for tests, and for runs whose state need not outlive the process."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from threading import Lock

from attrs import define, field

from pixcore.model.decisions import Decision


@define
class MemoryDecisions:
    """The whole port within one process. Threads may share an instance.

    Attributes:
        clock: Returns the time in seconds; tests inject their own.
    """

    clock: Callable[[], float] = time.time
    _decisions: dict[tuple[str, str, bool], Decision] = field(init=False, factory=dict)  # by their keys
    _lock: Lock = field(init=False, factory=Lock)

    def now(self) -> datetime:
        """See ``Decisions``."""
        return datetime.fromtimestamp(int(self.clock()), UTC)

    def record(self, decisions: Iterable[Decision]) -> int:
        """See ``Decisions``."""
        given = list(decisions)
        with self._lock:
            return sum(map(self._record, given))

    def take_back(self, decisions: Iterable[Decision]) -> int:
        """See ``Decisions``."""
        given = list(decisions)
        with self._lock:
            return sum(map(self._take_back, given))

    def read(self, dataset: str) -> Iterator[Decision]:
        """See ``Decisions``."""
        with self._lock:
            found = [decision for decision in self._decisions.values() if decision.dataset == dataset]
        yield from sorted(found, key=lambda decision: decision.key)

    def _record(self, decision: Decision) -> bool:
        stored = self._decisions.get(decision.key)
        if stored and (stored == decision or stored.at > decision.at):
            return False
        self._decisions[decision.key] = decision
        return True

    def _take_back(self, decision: Decision) -> bool:
        if self._decisions.get(decision.key) != decision:
            return False
        del self._decisions[decision.key]
        return True
