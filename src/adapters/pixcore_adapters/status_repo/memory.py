"""A status repository in memory: for tests and for runs whose state may die with the process."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from threading import RLock
from uuid import uuid4

from attrs import define, evolve, field

from pixcore.model.chunks import Attempt, Chunk, ChunkKey, ChunkRecord, ChunkRequest, Overview, Phase, Progress, Status
from pixcore_adapters.status_repo import attempts, ensuring, overviews, transitions
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
    _attempts: dict[ChunkKey, list[Attempt]] = field(init=False, factory=dict)
    _ids: Iterator[int] = field(init=False, factory=lambda: count(1))
    _lock: RLock = field(init=False, factory=RLock)

    def ensure(self, requests: Sequence[ChunkRequest], *, beside: int | None = None) -> Sequence[Chunk]:
        """See the port."""
        wanted = ensuring.by_place(requests)
        with self._lock:
            there = {place: self._at(place) for place in wanted if place in self._keys}
            for request in ensuring.missing(wanted, there, beside, self._count):
                chunk = Chunk(next(self._ids) if request.dataset else request.index, request)
                self._keys[request.dataset, request.index] = chunk.key
                self._rows[chunk.key] = (transitions.planned(chunk), self.clock())
            return [self._at((request.dataset, request.index)) for request in requests]

    def cancel(self, dataset: str) -> int:
        """See the port."""
        with self._lock:
            changes = [self._change(key, transitions.cancelled) for key in self._of(dataset)]
        return sum(before.status in transitions.UNFINISHED for before, _ in changes)

    def assign(self, keys: Sequence[ChunkKey], queue: str) -> None:
        """See the port."""
        with self._lock:
            for key in sorted(keys):
                self.get(key)  # all are there, or nothing is noted
            for key in keys:
                self._change(key, partial(transitions.assigned, queue=queue))

    def get(self, key: ChunkKey) -> ChunkRecord:
        """See the port."""
        with self._lock:
            if key not in self._rows:
                raise transitions.unknown(key)
            record, written = self._rows[key]
            passed = self.clock() - written
        if record.status is Status.PROCESSING:
            return evolve(record, lease_left=record.lease_left - passed, running=max(0.0, record.running + passed))
        return evolve(record, due_in=max(0.0, record.due_in - passed))

    def find(self, dataset: str, status: Status | None = None, keyword: str | None = None) -> Iterator[ChunkRecord]:
        """See the port. Each record is as of the moment when it is yielded."""
        for key in self._of(dataset):
            record = self.get(key)
            if status in (None, record.status) and keyword in (None, record.chunk.request.keyword):
                yield record

    def overdue(self, queue: str) -> Iterator[ChunkRecord]:
        """See the port. Each record is as of the moment when it is yielded."""
        told = set()
        for overdue in (transitions.expired, transitions.due):
            for key in self._of():
                record = self.get(key)
                if record.queue == queue and overdue(record) and key not in told:
                    told.add(key)
                    yield record

    def summary(self) -> Mapping[str, Mapping[Status, int]]:
        """See the port."""
        counts: dict[str, Counter[Status]] = {}
        with self._lock:
            for key in sorted(self._rows):
                counts.setdefault(key.dataset, Counter())[self._rows[key][0].status] += 1
        return counts

    def overview(self, dataset: str | None = None) -> Overview:
        """See the port."""
        with self._lock:
            records = [self.get(key) for key in self._of(dataset)]
        running = [record for record in records if record.status is Status.PROCESSING]
        live = [record for record in running if not transitions.expired(record)]
        phases: dict[Status, Counter[Phase]] = {}
        for record in records:
            phases.setdefault(record.status, Counter())[record.phase] += 1
        return Overview(
            phases=phases,
            accepted=sum(record.progress.accepted for record in records),
            workers=len({record.owner for record in live}),
            expired=len(running) - len(live),
            oldest=max((record.running for record in live), default=0.0),
            errors=overviews.grouped(Counter(record.error for record in records if record.error)),
        )

    def history(self, dataset: str) -> Iterator[Attempt]:
        """See the port. The attempts at each chunk are as of the moment when the first of them is yielded."""
        for key in self._of(dataset):
            with self._lock:
                of_chunk = list(self._attempts.get(key, ()))
            yield from of_chunk

    def _at(self, place: ensuring.Place) -> Chunk:
        return self._rows[self._keys[place]][0].chunk

    def _count(self, dataset: str, keyword: str) -> int:
        return sum(self._rows[key][0].chunk.request.keyword == keyword for key in self._of(dataset))

    def _of(self, dataset: str | None = None) -> list[ChunkKey]:
        with self._lock:
            return [key for (of, _), key in sorted(self._keys.items()) if dataset in (None, of)]

    def _change(
        self, key: ChunkKey, transition: Callable[[ChunkRecord], ChunkRecord]
    ) -> tuple[ChunkRecord, ChunkRecord]:
        with self._lock:
            before = self.get(key)
            after = transition(before)
            if after is not before:
                now = self.clock()
                self._rows[key] = (_detached(after), now)
                self._note(before, after, now)
        return before, after

    def _note(self, before: ChunkRecord, after: ChunkRecord, now: float) -> None:
        key = before.chunk.key
        tried = self._attempts.setdefault(key, [])
        if ending := attempts.ended(before, after):
            tried[-1] = evolve(tried[-1], ended=now, status=ending.status, phase=ending.phase, error=ending.error)
        if attempts.begins(before, after):
            tried.append(Attempt(key, after.attempt, began=now, ended=None, status=None, phase=after.phase, error=""))


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
