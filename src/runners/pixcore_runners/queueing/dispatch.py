"""Sending chunks to a queue: those of a dataset that are waiting, and those that a worker or the broker has lost."""

from collections.abc import Iterable, Iterator
from itertools import islice

from attrs import frozen

from pixcore import ChunkRecord, Status, StatusRepo
from pixcore_runners.queueing.runner import Queue

_BATCH = 1000


def submit(dataset: str, status: StatusRepo, to: Queue, name: str) -> int:
    """Enqueue every pending chunk of a dataset to the queue of that name, in bounded memory; gives how many were new.

    Running, completed and failed ones are left alone. Cut short, it is done again.

    Raises:
        QueueUnavailable, StatusUnavailable: Those before are enqueued.
    """
    return sum(_sent(batch, status, to, name) for batch in _batches(status.find(dataset, Status.PENDING)))


@frozen
class Reaped:
    """What a round found: expired claims that were freed, and waiting chunks that the queue no longer knew."""

    freed: int
    lost: int


def reap(status: StatusRepo, to: Queue, name: str) -> Reaped:
    """Enqueue what no worker has although one should, and free its claims; safe beside other reapers.

    Raises:
        QueueUnavailable, StatusUnavailable: The next round finds the rest.
    """
    freed = lost = 0
    for batch in _batches(status.overdue(name)):
        expired = [record for record in batch if record.status is Status.PROCESSING]
        # ahead, or it would wait behind the whole backlog; before it is freed: whoever dies between the two sends it
        # once more, which does no harm
        if expired:
            to.send(expired, ahead=True)
        for record in expired:
            status.free(record.chunk.key)
        freed += len(expired)
        pending = [record for record in batch if record.status is Status.PENDING]
        # while deliveries wait, theirs may be among them; when none does, theirs are gone
        if pending and not to.waiting():
            lost += to.send(pending)
    return Reaped(freed, lost)


def _sent(batch: list[ChunkRecord], status: StatusRepo, to: Queue, name: str) -> int:
    status.assign([record.chunk.key for record in batch], name)  # first: what is not sent then, a reaper finds
    return to.send(batch)


def _batches(records: Iterable[ChunkRecord]) -> Iterator[list[ChunkRecord]]:
    remaining = iter(records)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
