"""Fill queues: pending chunks are sent, lost deliveries are sent again, in bounded memory and without a gap."""

from collections.abc import Iterable
from itertools import count

import pytest
from attrs import define, field

from pixcore import ChunkKey, ChunkRecord, ChunkRequest, Slice, Status
from pixcore.model.claims import Claimed
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_runners.queueing.dispatch import Reaped, reap, submit
from pixcore_runners.queueing.runner import QueueUnavailable


@define
class Queue:
    """A queue that records the chunks sent to it, and raises once it has ``room`` of them."""

    sent: list[ChunkKey] = field(factory=list)
    unread: int = 0
    room: int = 10**9

    def send(self, records: Iterable[ChunkRecord], *, ahead: bool = False) -> int:
        """Enqueue the chunks; return how many."""
        del ahead
        before = len(self.sent)
        for record in records:
            if len(self.sent) == self.room:
                raise QueueUnavailable("away")
            self.sent.append(record.chunk.key)
        return len(self.sent) - before

    def waiting(self) -> int:
        """Return how many deliveries no worker has taken."""
        return self.unread


@define
class Clock:
    """A clock that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock to set."""
    return Clock()


@pytest.fixture
def status(clock: Clock) -> MemoryStatusRepo:
    """Return an empty repository."""
    return MemoryStatusRepo(clock)


def planned(status: MemoryStatusRepo, number: int, dataset: str = "d") -> list[ChunkKey]:
    """Plan chunks of one candidate each."""
    requests = [ChunkRequest(n, "cat", 1, [Slice("memory", "q", n, n + 1)], dataset) for n in range(number)]
    return [chunk.key for chunk in status.ensure(requests)]


def test_only_pending_chunks_are_sent(status: MemoryStatusRepo) -> None:
    """Submitting a dataset again must not disturb running, completed or failed chunks."""
    running, failed, *waiting = planned(status, 4)
    other = planned(status, 1, "other")
    status.claim(running, "me", 60)
    answer = status.claim(failed, "me", 60)
    assert isinstance(answer, Claimed)
    status.fail(answer.claim, "no", retry_in=None)
    queue = Queue()
    assert submit("d", status, queue, "rq") == 2
    assert queue.sent == waiting
    assert {status.get(key).queue for key in waiting} == {"rq"}
    assert {status.get(key).queue for key in (running, failed, *other)} == {""}


def test_many_chunks_are_sent_each_once(status: MemoryStatusRepo) -> None:
    """No chunk may be lost or sent twice where two batches meet."""
    keys = planned(status, 2001)
    queue = Queue()
    assert submit("d", status, queue, "rq") == 2001
    assert queue.sent == keys


def test_the_reaper_sends_chunks_that_submit_could_not_send(status: MemoryStatusRepo) -> None:
    """The process that submitted may never run again, so the reaper must send the rest."""
    keys = planned(status, 5)
    with pytest.raises(QueueUnavailable):
        submit("d", status, Queue(room=2), "rq")
    queue = Queue()
    assert reap(status, queue, "rq") == Reaped(freed=0, lost=5)
    assert queue.sent == keys


def test_the_chunk_of_a_dead_worker_is_freed_and_sent_once(status: MemoryStatusRepo, clock: Clock) -> None:
    """Reaping runs every few seconds, perhaps for hours without a worker, and must not pile up deliveries."""
    dead, alive, _ = planned(status, 3)
    submit("d", status, Queue(), "rq")
    status.claim(dead, "gone", 5)
    status.claim(alive, "here", 60)
    clock.now += 10
    queue = Queue(unread=1)
    assert [reap(status, queue, "rq") for _ in range(3)] == [Reaped(1, 0), Reaped(0, 0), Reaped(0, 0)]
    assert queue.sent == [dead]
    assert (status.get(dead).status, status.get(dead).failures) == (Status.PENDING, 1)
    assert status.get(alive).status is Status.PROCESSING


def test_a_claim_stays_while_its_chunk_cannot_be_sent(status: MemoryStatusRepo, clock: Clock) -> None:
    """A chunk that is freed but not sent would wait for ever."""
    (dead,) = planned(status, 1)
    submit("d", status, Queue(), "rq")
    status.claim(dead, "gone", 5)
    clock.now += 10
    with pytest.raises(QueueUnavailable):
        reap(status, Queue(room=0), "rq")
    assert status.get(dead).status is Status.PROCESSING
    queue = Queue(unread=1)
    assert reap(status, queue, "rq") == Reaped(1, 0)
    assert queue.sent == [dead]


def test_a_pending_chunk_is_sent_again_only_if_the_queue_has_lost_it(status: MemoryStatusRepo, clock: Clock) -> None:
    """A broker without a disk loses its deliveries at a restart; a busy one still has them."""
    keys = planned(status, 3)
    submit("d", status, Queue(), "rq")
    answer = status.claim(keys[0], "me", 60)
    assert isinstance(answer, Claimed)
    status.fail(answer.claim, "for now", retry_in=100)
    busy, empty = Queue(unread=1), Queue()
    assert reap(status, busy, "rq") == Reaped(0, 0)
    assert reap(status, empty, "rq") == Reaped(0, 2)
    assert empty.sent == keys[1:]  # the first is not due yet: a delayed delivery is in no queue
    clock.now += 200
    assert reap(status, empty, "rq").lost == 3


def test_each_queue_gets_only_its_own_chunks_and_none_of_direct_runs(status: MemoryStatusRepo, clock: Clock) -> None:
    """Workers on other machines must not get a folder that this machine collects."""
    here, celery, rq = (planned(status, 1, name)[0] for name in ("here", "celery", "rq"))
    submit("celery", status, Queue(), "celery")
    submit("rq", status, Queue(), "rq")
    for key, owner in zip((here, celery, rq), count(), strict=False):
        status.claim(key, f"worker {owner}", 5)
    clock.now += 10
    queue = Queue()
    assert reap(status, queue, "celery") == Reaped(1, 0)
    assert queue.sent == [celery]
    assert status.get(here).status is Status.PROCESSING
