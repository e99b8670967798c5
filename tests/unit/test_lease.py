"""The lease keeps a claim alive for as long as it should, and says when the work must stop."""

import threading
from collections.abc import Callable

import pytest
from attrs import define, field

from pixcore.chunk.lease import Lease, LeaseTerms
from pixcore.errors import Cancelled, ClaimLost, StatusUnavailable, TransientError
from pixcore.model.chunks import ChunkKey, Claim, Progress

CLAIM = Claim(ChunkKey("cats", 7), "worker", attempt=2)
TERMS = LeaseTerms(ttl=60, deadline=1800)


@define
class Status:
    """A status database that answers renewals as it is told, and notes them."""

    answer: bool | BaseException = False
    renewals: list[tuple[Claim, float, Progress]] = field(factory=list)
    asked: threading.Event = field(factory=threading.Event)

    def renew(self, claim: Claim, ttl: float, progress: Progress) -> bool:
        """Answer."""
        self.renewals.append((claim, ttl, progress))
        self.asked.set()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@define
class Clock:
    """Stands still until it is set, in seconds."""

    now: float = 5000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def status() -> Status:
    """Give a database that renews."""
    return Status()


@pytest.fixture
def clock() -> Clock:
    """Give a clock to set."""
    return Clock()


def lease(
    status: Status,
    clock: Callable[[], float],
    terms: LeaseTerms = TERMS,
    stop: Callable[[], bool] = lambda: False,
) -> Lease:
    """A lease whose own thread sleeps through the test, unless the terms are short."""
    return Lease(status, CLAIM, terms, lambda: Progress(accepted=3), stop, clock)  # type: ignore[arg-type] # renew only


def test_a_beat_renews_the_claim_and_notes_the_progress(status: Status, clock: Clock) -> None:
    """The database must learn from the beat alone how far a long chunk has come."""
    with lease(status, clock) as kept:
        assert kept.beat()
        kept.check()
    assert status.renewals == [(CLAIM, 60, Progress(accepted=3))]


def test_renewal_ends_with_the_deadline(status: Status, clock: Clock) -> None:
    """A worker that hangs must lose its chunk to another; the worker itself, should it wake, must stop."""
    with lease(status, clock) as kept:
        clock.now += 1799
        assert kept.beat()
        kept.check()
        clock.now += 1
        assert not kept.beat()
        with pytest.raises(TransientError, match="chunk cats/7 took longer than its deadline of 1800 s; plan smaller"):
            kept.check()
    assert len(status.renewals) == 1


def test_an_unreachable_database_is_put_up_with_while_the_claim_lives(status: Status, clock: Clock) -> None:
    """A database restart of half a minute must not throw away the work."""
    with lease(status, clock) as kept:
        clock.now += 30
        kept.beat()
        status.answer = StatusUnavailable("down")
        for _ in range(2):
            clock.now += 20
            assert kept.beat()
            kept.check()
        status.answer = False
        assert kept.beat()
        clock.now += 59
        status.answer = StatusUnavailable("down again")
        assert kept.beat()
        kept.check()


def test_a_claim_that_could_not_be_renewed_in_time_is_lost(status: Status, clock: Clock) -> None:
    """After the lease another worker may have the chunk: going on would be work against it."""
    status.answer = StatusUnavailable("down")
    with lease(status, clock) as kept:
        clock.now += 60
        assert not kept.beat()
        with pytest.raises(ClaimLost, match="the claim on chunk cats/7 was lost: down") as lost:
            kept.check()
    assert lost.value.__cause__ is status.answer


@pytest.mark.parametrize("error", [ClaimLost("attempt 3 runs"), RuntimeError("bug in the database's driver")])
def test_any_other_refusal_loses_the_claim_at_once(status: Status, clock: Clock, error: Exception) -> None:
    """Nobody sees what the beating thread raises: the worker must hear of it, whatever it is."""
    status.answer = error
    with lease(status, clock) as kept:
        assert not kept.beat()
        with pytest.raises(ClaimLost, match=str(error)):
            kept.check()


def test_a_requested_cancel_is_heard_and_stays(status: Status, clock: Clock) -> None:
    """The database says it once; the worker may look later."""
    status.answer = True
    with lease(status, clock) as kept:
        assert kept.beat()
        status.answer = False
        assert kept.beat()
        with pytest.raises(Cancelled, match="cancelled"):
            kept.check()


def test_a_runner_that_stops_comes_before_everything(status: Status, clock: Clock) -> None:
    """Ctrl-C must give the claim back, not fail the chunk for some other reason that holds as well."""
    status.answer = ClaimLost("gone")
    with lease(status, clock, stop=lambda: True) as kept:
        kept.beat()
        with pytest.raises(KeyboardInterrupt):
            kept.check()


def test_the_thread_beats_by_itself_and_ends_with_the_block(status: Status, clock: Clock) -> None:
    """Nothing else renews a claim while the worker works, and nothing may renew it afterwards."""
    with lease(status, clock, LeaseTerms(ttl=0.003, deadline=1800)):
        for _ in range(3):
            assert status.asked.wait(timeout=30)
            status.asked.clear()
        assert any(thread.name == "pixcore-lease-cats/7" for thread in threading.enumerate())
    assert not any(thread.name == "pixcore-lease-cats/7" for thread in threading.enumerate())


def test_the_thread_ends_though_the_block_fails_before_the_first_beat(status: Status, clock: Clock) -> None:
    """The wait between two beats is a third of a minute: leaving must not take that long."""

    def fail() -> None:
        with lease(status, clock):
            raise RuntimeError("chunk failed")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="chunk failed"):
        fail()
    assert threading.active_count() == before
    assert status.renewals == []


def test_the_thread_ends_once_the_claim_is_lost(status: Status, clock: Clock) -> None:
    """A worker that is no longer wanted must leave the row in peace."""
    status.answer = ClaimLost("gone")
    with lease(status, clock, LeaseTerms(ttl=0.003, deadline=1800)) as kept:
        kept._thread.join(timeout=30)
        assert not kept._thread.is_alive()
    assert len(status.renewals) == 1
