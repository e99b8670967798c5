"""A status repository in memory: for tests, and for runs whose state need not outlive the process."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from threading import RLock
from uuid import uuid4

from attrs import define, evolve, field

from pixcore.model.chunks import Attempt, Chunk, ChunkKey, ChunkRecord, Claim, Phase, Priority, Progress, Status
from pixcore.model.datasets import Change
from pixcore.model.overview import Overview, RestingWorker
from pixcore.model.planned import Planned
from pixcore.model.positions import Allocation
from pixcore.model.requests import ChunkRequest, Slice
from pixcore_adapters.status_repo import allocating, attempts, changing, ensuring, overviews, transitions
from pixcore_adapters.status_repo.base import BaseStatusRepo


@define
class MemoryStatusRepo(BaseStatusRepo):
    """The whole port within one process. Threads may share an instance.

    Attributes:
        clock: Returns the time in seconds; tests inject their own.
        max_failures: The number of failures at which a chunk fails for good.
        identity: A UUID that is generated with the repository.

    The other attributes are its tables and their lock, for ``MemoryDatasets``.
    """

    clock: Callable[[], float] = time.time
    max_failures: int = 3
    identity: str = field(init=False, factory=lambda: str(uuid4()))
    rows: dict[ChunkKey, tuple[ChunkRecord, float]] = field(init=False, factory=dict)  # with the time of writing
    keys: dict[tuple[str, int], ChunkKey] = field(init=False, factory=dict)  # by (dataset, index)
    attempts: dict[ChunkKey, list[Attempt]] = field(init=False, factory=dict)
    lists: dict[allocating.ListKey, Allocation] = field(init=False, factory=dict)
    _resting: dict[str, tuple[RestingWorker, float, float]] = field(init=False, factory=dict)  # with start and end
    changes: dict[str, Change] = field(init=False, factory=dict)  # by dataset
    counts: dict[str, str] = field(init=False, factory=dict)  # texts of ``keep_counts`` by dataset
    ids: Iterator[int] = field(init=False, factory=lambda: count(1))
    lock: RLock = field(init=False, factory=RLock)

    def ensure(
        self, requests: Sequence[ChunkRequest], *, beside: int | None = None, store: str = ""
    ) -> Sequence[Chunk]:
        """See the port."""
        wanted = ensuring.by_index(requests)
        with self.lock:
            existing = {index_key: self._at(index_key) for index_key in wanted if index_key in self.keys}
            missing = ensuring.missing(wanted, existing, beside, self._count)
            if missing:
                planned = {request.dataset for request in missing}
                changing.refuse(change for change in self.changes.values() if not planned.isdisjoint(change.names))
            self.lists |= allocating.planned(missing, self.lists)
            for request in missing:
                chunk = Chunk(next(self.ids) if request.dataset else request.index, request)
                self.keys[request.dataset, request.index] = chunk.key
                self.rows[chunk.key] = (transitions.new_record(chunk, store), self.clock())
            return [self._at((request.dataset, request.index)) for request in requests]

    def take(self, claim: Claim, wanted: int, *, owned: int) -> Chunk:
        """See the port."""
        with self.lock:
            keys = allocating.list_keys(self.get(claim.chunk).chunk.request)
            part, lists = allocating.taken(self.lists, keys, wanted)
            before, after = self._apply(claim.chunk, partial(transitions.taken, claim=claim, part=part, owned=owned))
            if part is None or after is not before:
                self.lists.update(lists)
        return after.chunk

    def give_back(self, claim: Claim, keep: int) -> Chunk:
        """See the port."""
        with self.lock:
            chunk, surplus = allocating.without_surplus(self.get(claim.chunk).chunk, keep)
            self._apply(claim.chunk, partial(transitions.gave_back, claim=claim, chunk=chunk))
            self.lists.update(allocating.given_back(self.lists, chunk.request, surplus))
        return chunk

    def extend(self, dataset: str, keyword: str, parts: Sequence[Slice]) -> None:
        """See the port."""
        with self.lock:
            self.lists.update(allocating.extended(allocating.scoped(dataset, keyword, parts), self.lists))

    def allocations(self, dataset: str, keyword: str) -> Sequence[Allocation]:
        """See the port."""
        with self.lock:
            scope = allocating.scope(dataset, keyword)
            return [allocation for key, allocation in self.lists.items() if key[:2] == scope]

    def cancel(self, dataset: str) -> int:
        """See the port."""
        with self.lock:
            changes = [self._apply(key, transitions.cancelled) for key in self._of(dataset)]
        return sum(before.status in transitions.UNFINISHED for before, _ in changes)

    def assign(self, keys: Sequence[ChunkKey], queue: str, priority: Priority | None = None) -> None:
        """See the port."""
        with self.lock:
            for key in sorted(keys):
                self.get(key)  # raises before anything changes, if a chunk is unknown
            for key in keys:
                self._apply(key, partial(transitions.assigned, queue=queue, priority=priority))

    def get(self, key: ChunkKey) -> ChunkRecord:
        """See the port."""
        with self.lock:
            if key not in self.rows:
                raise transitions.unknown_chunk(key)
            record, written = self.rows[key]
            passed = self.clock() - written
        if record.status is Status.PROCESSING:
            return evolve(record, lease_left=record.lease_left - passed, running=max(0.0, record.running + passed))
        return evolve(record, due_in=max(0.0, record.due_in - passed))

    def numbered(self, dataset: str, index: int) -> ChunkRecord | None:
        """See the port."""
        with self.lock:
            key = self.keys.get((dataset, index))
            return None if key is None else self.get(key)

    def planned(self, dataset: str, keyword: str) -> Planned:
        """See the port. Reads the chunks: in memory they are few."""
        requests = (self.rows[key][0].chunk.request for key in self._of(dataset))
        return Planned().with_chunks(request for request in requests if request.keyword == keyword)

    def find(self, dataset: str, status: Status | None = None, keyword: str | None = None) -> Iterator[ChunkRecord]:
        """See the port. Each record is read when it is yielded."""
        for key in self._of(dataset):
            record = self.get(key)
            if status in (None, record.status) and keyword in (None, record.chunk.request.keyword):
                yield record

    def newer(self, dataset: str, after: int) -> Iterator[ChunkRecord]:
        """See the port. Each record is read when it is yielded."""
        yield from map(self.get, sorted(key for key in self._of(dataset) if key.id > after))

    def overdue(self, queue: str) -> Iterator[ChunkRecord]:
        """See the port. Each record is read when it is yielded."""
        yielded = set()
        for overdue in (transitions.expired, transitions.due):
            for key in self._of():
                record = self.get(key)
                if record.queue == queue and overdue(record) and key not in yielded:
                    yielded.add(key)
                    yield record

    def stores(self, dataset: str) -> Sequence[str]:
        """See the port."""
        return sorted({self.get(key).store for key in self._of(dataset)})

    def elsewhere(self, queue: str, store: str) -> Sequence[str]:
        """See the port."""
        records = [record for record in map(self.get, self._of()) if record.queue == queue]
        return sorted({each.chunk.request.dataset for each in records if transitions.is_elsewhere(each, store)})

    def rest(self, worker: RestingWorker, ttl: float) -> None:
        """See the port."""
        with self.lock:
            now = self.clock()
            former = next((each for each in self._resting_at(now) if each.name == worker.name), None)
            since = now - (former.seconds if former else 0.0)
            self._resting[worker.name] = (worker, since, now + ttl)

    def resume(self, worker: str) -> None:
        """See the port."""
        with self.lock:
            self._resting.pop(worker, None)

    def summary(self) -> Mapping[str, Mapping[Status, int]]:
        """See the port."""
        counts: dict[str, Counter[Status]] = {}
        with self.lock:
            for key in sorted(self.rows):
                counts.setdefault(key.dataset, Counter())[self.rows[key][0].status] += 1
        return counts

    def overview(self, dataset: str | None = None) -> Overview:
        """See the port."""
        with self.lock:
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
            resting=self._resting_at(self.clock()),
            attempts=sum(record.attempt for record in records),
        )

    def keep_counts(self, dataset: str, counts: str) -> None:
        """See the port."""
        with self.lock:
            self.counts[dataset] = counts

    def kept_counts(self, dataset: str) -> str:
        """See the port."""
        with self.lock:
            return self.counts.get(dataset, "")

    def history(self, dataset: str) -> Iterator[Attempt]:
        """See the port. The attempts of a chunk are read when the first of them is yielded."""
        for key in self._of(dataset):
            with self.lock:
                of_chunk = list(self.attempts.get(key, ()))
            yield from of_chunk

    def _resting_at(self, now: float) -> tuple[RestingWorker, ...]:
        with self.lock:
            resting = sorted(self._resting.items())
        return tuple(evolve(worker, seconds=now - since) for _, (worker, since, end) in resting if end > now)

    def _at(self, index_key: ensuring.IndexKey) -> Chunk:
        return self.rows[self.keys[index_key]][0].chunk

    def _count(self, dataset: str, keyword: str) -> int:
        return sum(self.rows[key][0].chunk.request.keyword == keyword for key in self._of(dataset))

    def _of(self, dataset: str | None = None) -> list[ChunkKey]:
        with self.lock:
            return [key for (of, _), key in sorted(self.keys.items()) if dataset in (None, of)]

    def _apply(
        self, key: ChunkKey, transition: Callable[[ChunkRecord], ChunkRecord]
    ) -> tuple[ChunkRecord, ChunkRecord]:
        with self.lock:
            before = self.get(key)
            after = transition(before)
            if after is not before:
                now = self.clock()
                self.rows[key] = (_detached(after), now)
                self._record_attempts(before, after, now)
        return before, after

    def _record_attempts(self, before: ChunkRecord, after: ChunkRecord, now: float) -> None:
        key = before.chunk.key
        history = self.attempts.setdefault(key, [])
        if ending := attempts.ended(before, after):
            history[-1] = evolve(history[-1], ended=now, status=ending.status, phase=ending.phase, error=ending.error)
        if attempts.begins(before, after):
            history.append(Attempt(key, after.attempt, began=now, ended=None, status=None, phase=after.phase, error=""))


def _detached(record: ChunkRecord) -> ChunkRecord:
    """Copy the record's mappings, because the caller goes on updating those of its progress."""
    result = record.result
    return evolve(
        record,
        progress=_copied(record.progress),
        result=result and evolve(result, progress=_copied(result.progress), seconds=dict(result.seconds)),
    )


def _copied(progress: Progress) -> Progress:
    return evolve(progress, rejected=dict(progress.rejected), missed=dict(progress.missed), lost=dict(progress.lost))
