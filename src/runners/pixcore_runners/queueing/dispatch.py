"""Send chunks to a queue: the pending ones of a dataset, and those that a worker or the broker has lost."""

from collections.abc import Iterable, Iterator
from itertools import islice

from attrs import evolve, frozen

from pixcore import ChunkRecord, Priority, Status, StatusRepo
from pixcore_runners.queueing.runner import Queue

_BATCH = 1000


def submit(dataset: str, status: StatusRepo, to: Queue, name: str, priority: Priority | None = None) -> int:
    """Enqueue every pending chunk of a dataset, in bounded memory; return how many were not queued before.

    Leaves running, completed and failed chunks alone. Idempotent: after a failure, call it again.

    Args:
        dataset: The name of the dataset.
        status: Stores the queue of each chunk, for ``reap``.
        to: The queue.
        name: The queue and its broker, as ``Settings.queue_at`` names them.
        priority: The new priority of the chunks; None: they keep theirs.

    Raises:
        QueueUnavailable, StatusUnavailable: The chunks before the failure are enqueued.
    """
    return sum(_sent(batch, status, to, name, priority) for batch in _batches(status.find(dataset, Status.PENDING)))


@frozen
class Reaped:
    """How many expired claims a round freed, and how many pending chunks the queue had lost."""

    freed: int
    lost: int


def reap(status: StatusRepo, to: Queue, name: str) -> Reaped:
    """Free the expired claims of a queue, and enqueue their chunks and the lost ones again.

    Several reapers may run at once. Chunks of other queues are not touched, even in the same status database.

    Raises:
        QueueUnavailable, StatusUnavailable: The next round handles the rest.
    """
    freed = lost = 0
    for batch in _batches(status.overdue(name)):
        expired = [record for record in batch if record.status is Status.PROCESSING]
        # ahead, because it would otherwise wait behind the whole backlog. First send, then free: a reaper that dies
        # between the two causes a second delivery, which is harmless
        if expired:
            to.send(expired, ahead=True)
        for record in expired:
            status.free(record.chunk.key)
        freed += len(expired)
        pending = [record for record in batch if record.status is Status.PENDING]
        # while the queue holds deliveries, those of these chunks may be among them; if it is empty, they are lost
        if pending and to.waiting():
            break  # only pending chunks follow
        if pending:
            lost += to.send(pending)
    return Reaped(freed, lost)


def _sent(batch: list[ChunkRecord], status: StatusRepo, to: Queue, name: str, priority: Priority | None) -> int:
    # before sending, so that a reaper finds what was not sent
    status.assign([record.chunk.key for record in batch], name, priority)
    return to.send(evolve(record, priority=priority or record.priority) for record in batch)


def _batches(records: Iterable[ChunkRecord]) -> Iterator[list[ChunkRecord]]:
    remaining = iter(records)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
