"""Check how long a lease renews a claim, and when it tells the worker to stop."""

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
    """A status database that records renewals and returns or raises ``answer``."""

    answer: bool | BaseException = False
    renewals: list[tuple[Claim, float, Progress]] = field(factory=list)
    renewed: threading.Event = field(factory=threading.Event)

    def renew(self, claim: Claim, ttl: float, progress: Progress) -> bool:
        """Record the renewal; return or raise the answer."""
        self.renewals.append((claim, ttl, progress))
        self.renewed.set()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@define
class Clock:
    """A clock in seconds that moves only when a test sets it."""

    now: float = 5000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def status() -> Status:
    """Return a database that renews."""
    return Status()


@pytest.fixture
def clock() -> Clock:
    """Return a clock to set."""
    return Clock()


def lease(
    status: Status,
    clock: Callable[[], float],
    terms: LeaseTerms = TERMS,
    stop: Callable[[], bool] = lambda: False,
) -> Lease:
    """Return a lease; unless the terms are short, its thread sleeps for the whole test."""
    return Lease(status, CLAIM, terms, lambda: Progress(accepted=3), stop, clock)  # type: ignore[arg-type] # renew only


def test_a_beat_renews_the_claim_and_records_the_progress(status: Status, clock: Clock) -> None:
    """Only beats tell the database the progress of a long chunk."""
    with lease(status, clock) as kept:
        assert kept.beat()
        kept.check()
    assert status.renewals == [(CLAIM, 60, Progress(accepted=3))]


def test_renewal_ends_with_the_deadline(status: Status, clock: Clock) -> None:
    """A worker that hangs must lose its chunk to another worker, and must stop if it wakes up."""
    with lease(status, clock) as kept:
        clock.now += 1799
        assert kept.beat()
        kept.check()
        clock.now += 1
        assert not kept.beat()
        with pytest.raises(TransientError, match="chunk cats/7 took longer than its deadline of 1800 s; plan smaller"):
            kept.check()
    assert len(status.renewals) == 1


def test_an_unreachable_database_is_tolerated_while_the_lease_lasts(status: Status, clock: Clock) -> None:
    """A restart of the database that takes half a minute must not discard the work."""
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
    """After the lease another worker may have claimed the chunk, so this worker must not go on."""
    status.answer = StatusUnavailable("down")
    with lease(status, clock) as kept:
        clock.now += 60
        assert not kept.beat()
        with pytest.raises(ClaimLost, match="the claim on chunk cats/7 was lost: down") as lost:
            kept.check()
    assert lost.value.__cause__ is status.answer


@pytest.mark.parametrize("error", [ClaimLost("attempt 3 runs"), RuntimeError("bug in the database's driver")])
def test_any_other_error_loses_the_claim_at_once(status: Status, clock: Clock, error: Exception) -> None:
    """Errors in the lease's thread must reach the worker, because nothing else reports them."""
    status.answer = error
    with lease(status, clock) as kept:
        assert not kept.beat()
        with pytest.raises(ClaimLost, match=str(error)):
            kept.check()


def test_a_cancel_is_kept_after_later_renewals(status: Status, clock: Clock) -> None:
    """The database may report a cancel only once, and the worker may check later."""
    status.answer = True
    with lease(status, clock) as kept:
        assert kept.beat()
        status.answer = False
        assert kept.beat()
        with pytest.raises(Cancelled, match="cancelled"):
            kept.check()


def test_a_stopping_runner_takes_precedence_over_other_errors(status: Status, clock: Clock) -> None:
    """Ctrl-C must give the claim back, even if there is another reason to fail the chunk."""
    status.answer = ClaimLost("gone")
    with lease(status, clock, stop=lambda: True) as kept:
        kept.beat()
        with pytest.raises(KeyboardInterrupt):
            kept.check()


def test_the_thread_beats_by_itself_and_ends_with_the_block(status: Status, clock: Clock) -> None:
    """Only the thread renews the claim while the worker works; afterwards nothing may renew it."""
    with lease(status, clock, LeaseTerms(ttl=0.003, deadline=1800)):
        for _ in range(3):
            assert status.renewed.wait(timeout=30)
            status.renewed.clear()
        assert any(thread.name == "pixcore-lease-cats/7" for thread in threading.enumerate())
    assert not any(thread.name == "pixcore-lease-cats/7" for thread in threading.enumerate())


def test_the_thread_ends_if_the_block_fails_before_the_first_beat(status: Status, clock: Clock) -> None:
    """Two beats are 20 seconds apart; leaving the block must not wait for the next one."""

    def fail() -> None:
        with lease(status, clock):
            raise RuntimeError("chunk failed")

    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="chunk failed"):
        fail()
    assert not set(threading.enumerate()) - before
    assert status.renewals == []


def test_the_thread_ends_once_the_claim_is_lost(status: Status, clock: Clock) -> None:
    """After a lost claim the worker must not touch the chunk's record any more."""
    status.answer = ClaimLost("gone")
    with lease(status, clock, LeaseTerms(ttl=0.003, deadline=1800)) as kept:
        kept._thread.join(timeout=30)
        assert not kept._thread.is_alive()
    assert len(status.renewals) == 1
