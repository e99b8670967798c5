"""Filling queues: what waits is sent, what was lost is sent again, in bounded memory and without a gap."""

from collections.abc import Iterable
from itertools import count

import pytest
from attrs import define, field

from pixcore import ChunkKey, ChunkRecord, ChunkRequest, Slice, Status
from pixcore.model.chunks import Claimed
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_runners.queueing.dispatch import Reaped, reap, submit
from pixcore_runners.queueing.runner import QueueUnavailable


@define
class Line:
    """A queue that keeps what it is sent, and may be away."""

    sent: list[ChunkKey] = field(factory=list)
    unread: int = 0
    room: int = 10**9

    def send(self, records: Iterable[ChunkRecord], *, ahead: bool = False) -> int:
        """Enqueue."""
        del ahead
        before = len(self.sent)
        for record in records:
            if len(self.sent) == self.room:
                raise QueueUnavailable("away")
            self.sent.append(record.chunk.key)
        return len(self.sent) - before

    def waiting(self) -> int:
        """How many nobody has taken."""
        return self.unread


@define
class Clock:
    """Turned by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock."""
    return Clock()


@pytest.fixture
def status(clock: Clock) -> MemoryStatusRepo:
    """Give an empty repository."""
    return MemoryStatusRepo(clock)


def planned(status: MemoryStatusRepo, number: int, dataset: str = "d") -> list[ChunkKey]:
    """Plan chunks of one candidate."""
    requests = [ChunkRequest(n, "cat", 1, [Slice("memory", "q", n, n + 1)], dataset) for n in range(number)]
    return [chunk.key for chunk in status.ensure(requests)]


def test_only_what_waits_is_sent(status: MemoryStatusRepo) -> None:
    """Sending a dataset again must not disturb what is running, completed or failed."""
    running, failed, *waiting = planned(status, 4)
    other = planned(status, 1, "other")
    status.claim(running, "me", 60)
    answer = status.claim(failed, "me", 60)
    assert isinstance(answer, Claimed)
    status.fail(answer.claim, "no", retry_in=None)
    line = Line()
    assert submit("d", status, line, "rq") == 2
    assert line.sent == waiting
    assert {status.get(key).queue for key in waiting} == {"rq"}
    assert {status.get(key).queue for key in (running, failed, *other)} == {""}


def test_many_chunks_are_sent_each_once(status: MemoryStatusRepo) -> None:
    """Batches have ends, at which one is easily lost or doubled."""
    keys = planned(status, 2001)
    line = Line()
    assert submit("d", status, line, "rq") == 2001
    assert line.sent == keys


def test_what_a_broker_that_went_away_was_not_sent_is_found_by_the_reaper(status: MemoryStatusRepo) -> None:
    """Whoever submitted may never come back."""
    keys = planned(status, 5)
    with pytest.raises(QueueUnavailable):
        submit("d", status, Line(room=2), "rq")
    line = Line()
    assert reap(status, line, "rq") == Reaped(freed=0, lost=5)
    assert line.sent == keys


def test_the_chunk_of_a_dead_worker_is_freed_and_sent_once(status: MemoryStatusRepo, clock: Clock) -> None:
    """Rounds come every few seconds, and may find no worker for hours: they must not pile up deliveries."""
    dead, alive, _ = planned(status, 3)
    submit("d", status, Line(), "rq")
    status.claim(dead, "gone", 5)
    status.claim(alive, "here", 60)
    clock.now += 10
    line = Line(unread=1)
    assert [reap(status, line, "rq") for _ in range(3)] == [Reaped(1, 0), Reaped(0, 0), Reaped(0, 0)]
    assert line.sent == [dead]
    assert (status.get(dead).status, status.get(dead).failures) == (Status.PENDING, 1)
    assert status.get(alive).status is Status.PROCESSING


def test_a_claim_stays_while_its_chunk_cannot_be_sent(status: MemoryStatusRepo, clock: Clock) -> None:
    """A chunk that was freed but not sent would wait for ever."""
    (dead,) = planned(status, 1)
    submit("d", status, Line(), "rq")
    status.claim(dead, "gone", 5)
    clock.now += 10
    with pytest.raises(QueueUnavailable):
        reap(status, Line(room=0), "rq")
    assert status.get(dead).status is Status.PROCESSING
    line = Line(unread=1)
    assert reap(status, line, "rq") == Reaped(1, 0)
    assert line.sent == [dead]


def test_what_waits_is_sent_again_only_if_the_queue_has_lost_it(status: MemoryStatusRepo, clock: Clock) -> None:
    """A broker without a disk forgets everything at a restart; one that is merely busy has it still."""
    keys = planned(status, 3)
    submit("d", status, Line(), "rq")
    answer = status.claim(keys[0], "me", 60)
    assert isinstance(answer, Claimed)
    status.fail(answer.claim, "for now", retry_in=100)
    busy, empty = Line(unread=1), Line()
    assert reap(status, busy, "rq") == Reaped(0, 0)
    assert reap(status, empty, "rq") == Reaped(0, 2)
    assert empty.sent == keys[1:]  # the first is not due yet: a delayed delivery stands in no queue
    clock.now += 200
    assert reap(status, empty, "rq").lost == 3


def test_each_queue_gets_its_own_and_direct_runs_none(status: MemoryStatusRepo, clock: Clock) -> None:
    """Workers elsewhere have no business with a folder that is collected here."""
    here, celery, rq = (planned(status, 1, name)[0] for name in ("here", "celery", "rq"))
    submit("celery", status, Line(), "celery")
    submit("rq", status, Line(), "rq")
    for key, owner in zip((here, celery, rq), count(), strict=False):
        status.claim(key, f"worker {owner}", 5)
    clock.now += 10
    line = Line()
    assert reap(status, line, "celery") == Reaped(1, 0)
    assert line.sent == [celery]
    assert status.get(here).status is Status.PROCESSING
