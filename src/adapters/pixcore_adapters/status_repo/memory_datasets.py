"""Whole datasets of a status repository in memory."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from attrs import evolve, frozen

from pixcore.model.chunks import Attempt, ChunkKey, Claim, Status
from pixcore.model.datasets import (
    Change,
    ChangeKind,
    CopiedChunk,
    DatasetSummary,
    renamed_record,
    renamed_snapshot,
)
from pixcore.ports import Decisions
from pixcore_adapters.status_repo import changing
from pixcore_adapters.status_repo.memory import MemoryStatusRepo


class _Seen(Protocol):
    """What a ``SeenImages`` in memory does for whole datasets."""

    def share(self, source: ChunkKey, claim: Claim, images: Collection[str] | None = None) -> None:
        """Hold the images of another chunk, all or these, for the claim's attempt too."""
        ...

    def share_urls(self, dataset: str, to: str) -> None:
        """Count the URLs of a dataset for another one too."""
        ...

    def forget(self, dataset: str) -> None:
        """End all holds of a dataset, and its records of URLs."""
        ...


@frozen
class MemoryDatasets:
    """The whole port within one process. Threads may share an instance.

    Attributes:
        status: The repository of the chunks.
        seen: The images of the datasets.
        decisions: The decisions about them.
    """

    status: MemoryStatusRepo
    seen: _Seen
    decisions: Decisions

    def summaries(self) -> Iterator[DatasetSummary]:
        """See the port."""
        changes = self.changes()
        counts = self.status.summary()
        for name in sorted({*counts, *(change.dataset for change in changes)}):
            records = list(self.status.find(name))
            results = [record.result for record in records if record.result]
            yield DatasetSummary(
                name,
                counts.get(name, {}),
                images=sum(result.progress.accepted for result in results),
                bytes=sum(result.bytes for result in results),
                stores=tuple(self.status.stores(name)),
                running=sum(record.lease_left > 0 for record in records),
                changed=max((one.ended or one.began for one in self.status.history(name)), default=0.0),
                change=next((change for change in changes if name in change.names), None),
            )

    def changes(self) -> Sequence[Change]:
        """See the port."""
        with self.status.lock:
            return [change for _, change in sorted(self.status.changes.items())]

    def begin(self, change: Change) -> Change:
        """See the port."""
        with self.status.lock:
            if same := changing.begun(change, self.changes(), self._has_chunks):
                return same
            if change.kind is not ChangeKind.COPY:
                self._require_idle(change.dataset)
            if change.kind is ChangeKind.DELETE:
                self._cancel(change.dataset)
            ids = [next(self.status.ids) for _ in range(change.chunks)]
            recorded = evolve(change, first_id=ids[0] if ids else 0)
            self.status.changes[change.dataset] = recorded
        return recorded

    def move(self, change: Change, attempts: Mapping[int, int], base: str) -> None:
        """See the port."""
        status, to = self.status, change.other
        with status.lock:
            self._require_idle(change.dataset)
            records = list(status.find(change.dataset))
            if {record.chunk.id: record.attempt for record in records} != dict(attempts):
                raise changing.outdated(change.dataset)
            for record in records:
                old, new = record.chunk.key, ChunkKey(to, record.chunk.id)
                self.seen.share(old, Claim(new, record.owner, record.attempt))
                del status.rows[old]
                del status.keys[change.dataset, record.chunk.request.index]
                status.rows[new] = renamed_record(record, to, base), status.clock()
                status.keys[to, record.chunk.request.index] = new
                status.attempts[new] = [evolve(one, chunk=new) for one in status.attempts.pop(old, [])]
            for key in [key for key in status.lists if key[0] == change.dataset]:
                allocation = status.lists.pop(key)
                snapshot = renamed_snapshot(allocation.snapshot, change.dataset, to)
                status.lists[to, *key[1:]] = evolve(allocation, snapshot=snapshot)
            status.counts.pop(change.dataset, None)
            self.seen.share_urls(change.dataset, to)
            self._share_decisions(change.dataset, to)
            self.decisions.take_back(list(self.decisions.read(change.dataset)))

    def add(self, change: Change, chunks: Iterable[CopiedChunk]) -> None:
        """See the port."""
        status, copies = self.status, list(chunks)
        with status.lock:
            if status.changes.get(change.dataset) != change:
                raise changing.given_up(change)
            changing.require_free(change.dataset, self._has_chunks)
            now = status.clock()
            for one in copies:
                record = changing.copied(one)
                key = record.chunk.key
                status.rows[key] = record, now
                status.keys[change.dataset, one.request.index] = key
                attempt = Attempt(key, record.attempt, now, now, Status.COMPLETED, record.phase, "")
                status.attempts[key] = [attempt]
                self.seen.share(one.source.chunk.key, Claim(key, "", record.attempt), one.images)
            self._share_decisions(change.other, change.dataset)
            del status.changes[change.dataset]

    def remove(self, change: Change) -> None:
        """See the port."""
        status, name = self.status, change.dataset
        with status.lock:
            self._require_idle(name)
            for record in list(status.find(name)):
                del status.keys[name, record.chunk.request.index]
                del status.rows[record.chunk.key]
                status.attempts.pop(record.chunk.key, None)
            for key in [key for key in status.lists if key[0] == name]:
                del status.lists[key]
            status.counts.pop(name, None)
            self.seen.forget(name)
            self.decisions.take_back(list(self.decisions.read(name)))

    def end(self, change: Change) -> None:
        """See the port."""
        with self.status.lock:
            if change.kind is ChangeKind.RENAME:
                self.seen.forget(change.dataset)
            self.status.changes.pop(change.dataset, None)

    def _has_chunks(self, dataset: str) -> bool:
        return next(self.status.find(dataset), None) is not None

    def _require_idle(self, dataset: str) -> None:
        if held := sum(record.lease_left > 0 for record in self.status.find(dataset)):
            raise changing.held(dataset, held)

    def _cancel(self, dataset: str) -> None:
        for record in self.status.find(dataset):
            self.status.free(record.chunk.key)
        self.status.cancel(dataset)

    def _share_decisions(self, dataset: str, to: str) -> None:
        own = {decision.key[1:] for decision in self.decisions.read(to)}
        shared = [evolve(one, dataset=to) for one in self.decisions.read(dataset) if one.key[1:] not in own]
        self.decisions.record(shared)
