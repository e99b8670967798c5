"""A status repository in memory: for tests and for runs whose state may die with the process."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from threading import RLock
from uuid import uuid4

from attrs import define, evolve, field

from pixcore.model import (
    Chunk,
    ChunkKey,
    ChunkRecord,
    ChunkRequest,
    Progress,
    Status,
)
from pixcore_adapters.status_repo import transitions
from pixcore_adapters.status_repo.changes import Changes


@define
class MemoryStatusRepo(Changes):
    """The whole port within one process, safe to share among threads.

    Attributes:
        clock: Gives the time in seconds; tests inject their own.
        max_failures: How many failures a chunk may have before it has failed for good.
        identity: A UUID made with the repository.
    """

    clock: Callable[[], float] = time.time
    max_failures: int = 3
    identity: str = field(init=False, factory=lambda: str(uuid4()))
    _rows: dict[ChunkKey, tuple[ChunkRecord, float]] = field(init=False, factory=dict)  # and when it was written
    _keys: dict[tuple[str, int], ChunkKey] = field(init=False, factory=dict)  # by (dataset, index)
    _ids: Iterator[int] = field(init=False, factory=lambda: count(1))
    _lock: RLock = field(init=False, factory=RLock)

    def ensure(self, requests: Sequence[ChunkRequest]) -> Sequence[Chunk]:
        """See the port."""
        with self._lock:
            wanted: dict[tuple[str, int], ChunkRequest] = {}
            for request in requests:
                place = (request.dataset, request.index)
                key = self._keys.get(place)
                there = self._rows[key][0].chunk.request if key else wanted.setdefault(place, request)
                if there != request:
                    raise transitions.differs(request)
            return [self._made(request) for request in requests]

    def cancel(self, dataset: str) -> int:
        """See the port."""
        with self._lock:
            changes = [self._change(key, transitions.cancelled) for key in self._of(dataset)]
        return sum(before.status in transitions.UNFINISHED for before, _ in changes)

    def get(self, key: ChunkKey) -> ChunkRecord:
        """See the port."""
        with self._lock:
            if key not in self._rows:
                raise transitions.unknown(key)
            record, written = self._rows[key]
            passed = self.clock() - written
        if record.status is Status.PROCESSING:
            return evolve(record, lease_left=record.lease_left - passed)
        return evolve(record, due_in=max(0.0, record.due_in - passed))

    def find(self, dataset: str, status: Status | None = None) -> Iterator[ChunkRecord]:
        """See the port. Each record is as of the moment when it is yielded."""
        for key in self._of(dataset):
            record = self.get(key)
            if status in (None, record.status):
                yield record

    def summary(self) -> Mapping[str, Mapping[Status, int]]:
        """See the port."""
        counts: dict[str, Counter[Status]] = {}
        with self._lock:
            for key in sorted(self._rows):
                counts.setdefault(key.dataset, Counter())[self._rows[key][0].status] += 1
        return counts

    def _made(self, request: ChunkRequest) -> Chunk:
        place = (request.dataset, request.index)
        if place not in self._keys:
            chunk = Chunk(next(self._ids) if request.dataset else request.index, request)
            self._keys[place] = chunk.key
            self._rows[chunk.key] = (transitions.planned(chunk), self.clock())
        return self._rows[self._keys[place]][0].chunk

    def _of(self, dataset: str) -> list[ChunkKey]:
        with self._lock:
            return [key for (of, _), key in sorted(self._keys.items()) if of == dataset]

    def _change(
        self, key: ChunkKey, transition: Callable[[ChunkRecord], ChunkRecord]
    ) -> tuple[ChunkRecord, ChunkRecord]:
        with self._lock:
            before = self.get(key)
            after = transition(before)
            if after is not before:
                self._rows[key] = (_detached(after), self.clock())
        return before, after


def _detached(record: ChunkRecord) -> ChunkRecord:
    """A record of its own mappings, because the caller goes on counting in those of its progress."""
    result = record.result
    return evolve(
        record,
        progress=_copied(record.progress),
        result=result and evolve(result, progress=_copied(result.progress), seconds=dict(result.seconds)),
    )


def _copied(progress: Progress) -> Progress:
    return evolve(progress, rejected=dict(progress.rejected), missed=dict(progress.missed))
