"""The direct runner completes each chunk, waits for it, or gives it back, whatever fails."""

import logging
import threading
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field, frozen
from memory_assembly import MemoryAssembly, picture

from pixcore import (
    Busy,
    ChunkKey,
    ChunkPipeline,
    NotDue,
    Policies,
    RetryPolicy,
    SourceUnavailable,
    Status,
    StatusUnavailable,
)
from pixcore.chunk.events import ChunkClaimed, Event, ImageAccepted, StepRetried, combined
from pixcore.model.claims import Claimed, Outcome
from pixcore.model.images import Download, Miss
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_runners.direct import threads as direct
from pixcore_runners.direct.threads import run_chunks
from pixcore_runners.logs import ChunkContext, LogObserver

AT_ONCE = RetryPolicy(attempts=3, first=0.0, longest=0.0, jitter=0.0)
POLICIES = Policies(download=evolve(AT_ONCE, attempts=1), status=evolve(AT_ONCE, attempts=1), chunk=AT_ONCE)


@pytest.fixture
def assembly(tmp_path: Path) -> MemoryAssembly:
    """Return the adapters in memory, with twelve pictures."""
    return MemoryAssembly(tmp_path / "work", [picture(number) for number in range(12)])


def run(pipeline: ChunkPipeline, *keys: ChunkKey, workers: int = 2) -> None:
    """Run the chunks; fail the test if the run does not end."""
    stop = threading.Event()
    watchdog = threading.Timer(20, stop.set)
    watchdog.start()
    try:
        run_chunks(pipeline, keys, workers=workers, stop=stop)
    except KeyboardInterrupt:
        pytest.fail("the run does not end")
    finally:
        watchdog.cancel()


def chunks(assembly: MemoryAssembly, number: int) -> list[ChunkKey]:
    """Plan chunks of two pictures each."""
    return [assembly.chunk(2, index=index, start=2 * index, stop=2 * index + 2) for index in range(number)]


def statuses(assembly: MemoryAssembly) -> list[Status]:
    """Return the status of each chunk, by index."""
    return [record.status for record in assembly.status.find("d")]


@frozen
class Flaky(MemoryDownloader):
    """A source that cannot be reached once for each item of ``away``."""

    away: Iterator[object] = field(kw_only=True)

    def download(self, *args: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - as the port
        """Raise SourceUnavailable, or yield the images."""
        if next(self.away, None):
            raise SourceUnavailable("away")
        yield from MemoryDownloader.download(self, *args)


@define
class Answering:
    """A status repository whose first claims return or raise these answers, for any chunk."""

    status: MemoryStatusRepo
    answers: Iterator[Outcome | Exception]
    claimed: list[ChunkKey] = field(factory=list)

    def claim(self, key: ChunkKey, owner: str, ttl: float, *, store: str | None = None) -> Claimed | Outcome:
        """Return or raise the next answer; without one, claim the chunk."""
        self.claimed.append(key)
        match next(self.answers, None):
            case Exception() as error:
                raise error
            case None:
                return self.status.claim(key, owner, ttl, store=store)
            case answer:
                return answer

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - every method of the repository
        return getattr(self.status, name)


# -- to the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_every_chunk_is_completed(assembly: MemoryAssembly, workers: int) -> None:
    """All chunks must be completed with one worker and with several."""
    run(assembly.pipeline(), *chunks(assembly, 6), workers=workers)
    assert statuses(assembly) == [Status.COMPLETED] * 6


def test_as_many_chunks_run_at_once_as_there_are_workers(assembly: MemoryAssembly) -> None:
    """Each chunk waits until three have begun, so the run ends only if three run at once."""
    together = threading.Barrier(3)

    def observe(event: Event) -> None:
        if isinstance(event, ChunkClaimed):
            together.wait(30)

    run(assembly.pipeline(observe), *chunks(assembly, 6), workers=3)
    assert statuses(assembly) == [Status.COMPLETED] * 6
    assert not together.broken


def test_one_worker_takes_chunks_in_order(assembly: MemoryAssembly) -> None:
    """The first archive that the user asked for must be the first to exist."""
    keys = chunks(assembly, 4)
    run(assembly.pipeline(), *keys, workers=1)
    assert [event.chunk for event in assembly.events if isinstance(event, ChunkClaimed)] == keys


def test_a_transient_failure_is_tried_again(assembly: MemoryAssembly) -> None:
    """The same run must try the chunk again when it is due, while the others go on."""
    keys = chunks(assembly, 3)
    run(assembly.pipeline(downloader=Flaky({"q": assembly.pictures}, away=iter("xx")), policies=POLICIES), *keys)
    assert statuses(assembly) == [Status.COMPLETED] * 3
    assert sum(assembly.status.get(key).attempt for key in keys) == 5


def test_the_budget_bounds_the_tries(assembly: MemoryAssembly) -> None:
    """A chunk that always fails must be given up after its attempts, and the others must complete."""

    class Never(MemoryDownloader):
        def download(self, slices: Any, *args: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - as the port
            if slices[0].start == 0:
                raise SourceUnavailable("away")
            yield from super().download(slices, *args)

    keys = chunks(assembly, 3)
    run(assembly.pipeline(downloader=Never({"q": assembly.pictures}), policies=POLICIES), *keys)
    assert statuses(assembly) == [Status.FAILED, Status.COMPLETED, Status.COMPLETED]
    assert assembly.status.get(keys[0]).attempt == 3


def test_an_unexpected_exception_fails_only_its_own_chunk(assembly: MemoryAssembly) -> None:
    """A defect of an adapter counts as a failure, so the attempts are bounded."""

    class Defect(MemoryDownloader):
        def download(self, slices: Any, *args: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - as the port
            if slices[0].start == 0:
                raise ZeroDivisionError
            yield from super().download(slices, *args)

    keys = chunks(assembly, 2)
    run(assembly.pipeline(downloader=Defect({"q": assembly.pictures}), policies=POLICIES), *keys)
    assert statuses(assembly) == [Status.FAILED, Status.COMPLETED]
    assert assembly.status.get(keys[0]).failures == 3


def test_a_chunk_that_failed_permanently_is_not_claimed_again(assembly: MemoryAssembly) -> None:
    """A chunk without valid images has one attempt, and an unknown chunk does not end the run."""
    assembly.pictures[:2] = [b"garbage", b"garbage"]
    status = Answering(assembly.status, iter(()))
    keys = [*chunks(assembly, 2), ChunkKey("d", 99)]
    run(assembly.pipeline(status=status), *keys)
    assert statuses(assembly) == [Status.FAILED, Status.COMPLETED]
    assert sorted(status.claimed) == sorted(keys)


@pytest.mark.parametrize("answer", [Busy(0.0), NotDue(0.0)], ids=lambda answer: type(answer).__name__)
def test_a_busy_or_not_due_chunk_is_deferred_not_dropped(assembly: MemoryAssembly, answer: Outcome) -> None:
    """The runner must claim the chunk again after the others."""
    keys = chunks(assembly, 3)
    status = Answering(assembly.status, iter([answer]))
    run(assembly.pipeline(status=status), *keys, workers=1)
    assert statuses(assembly) == [Status.COMPLETED] * 3
    assert sorted(status.claimed) == sorted([keys[0], *keys])


def test_a_chunk_of_another_worker_is_claimed_again_before_its_lease_ends(
    assembly: MemoryAssembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other worker may finish long before its lease ends, so the runner must not wait that long."""
    monkeypatch.setattr(direct, "_BUSY", 0.0)
    keys = chunks(assembly, 1)
    status = Answering(assembly.status, iter([Busy(3600.0)] * 3))
    run(assembly.pipeline(status=status), *keys)
    assert statuses(assembly) == [Status.COMPLETED]


def test_waiting_costs_nothing_while_every_worker_is_busy(
    assembly: MemoryAssembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk that is due while all workers are busy must not cause a busy loop."""
    waits: list[float] = []
    real = direct.wait

    def counted(*args: Any, timeout: float, **kwargs: Any) -> object:  # noqa: ANN401 - as concurrent.futures.wait
        waits.append(timeout)
        return real(*args, timeout=timeout, **kwargs)

    monkeypatch.setattr(direct, "wait", counted)
    keys = chunks(assembly, 3)
    run(assembly.pipeline(status=Answering(assembly.status, iter([NotDue(0.0)]))), *keys, workers=1)
    assert statuses(assembly) == [Status.COMPLETED] * 3
    assert min(waits) > 0.1


# -- stopped ---------------------------------------------------------------------------------------------------------


def test_an_unreachable_status_database_ends_the_run(assembly: MemoryAssembly) -> None:
    """Nothing can run without the database, so running chunks are given back and no other chunk begins."""
    status = Answering(assembly.status, iter([StatusUnavailable("locked")]))
    with pytest.raises(StatusUnavailable, match="locked"):
        run(assembly.pipeline(status=status, policies=POLICIES), *chunks(assembly, 6), workers=1)
    assert statuses(assembly) == [Status.PENDING] * 6
    assert len(status.claimed) == 1


def test_stop_gives_everything_back(assembly: MemoryAssembly) -> None:
    """After a stop, running chunks are pending at once, without a counted failure and without files on the disk."""
    stop = threading.Event()
    together = threading.Barrier(3)

    def observe(event: Event) -> None:
        if isinstance(event, ImageAccepted):
            together.wait(30)
            stop.set()

    with pytest.raises(KeyboardInterrupt):
        run_chunks(assembly.pipeline(observe), chunks(assembly, 6), workers=3, stop=stop)
    records = list(assembly.status.find("d"))
    assert [(record.status, record.failures, record.due_in) for record in records] == [(Status.PENDING, 0, 0.0)] * 6
    assert sorted(record.attempt for record in records) == [0, 0, 0, 1, 1, 1]
    assert not assembly.left()


def test_stop_ends_the_wait_for_a_chunk(assembly: MemoryAssembly) -> None:
    """A stop must not wait for a chunk that is due in an hour."""
    stop = threading.Event()
    status = Answering(assembly.status, iter([NotDue(3600.0)]))

    def later() -> Iterator[ChunkKey]:
        yield from chunks(assembly, 1)
        threading.Timer(0.05, stop.set).start()

    with pytest.raises(KeyboardInterrupt):
        run_chunks(assembly.pipeline(status=status), later(), workers=1, stop=stop)


def test_stop_ends_the_wait_between_two_tries_of_a_step(assembly: MemoryAssembly) -> None:
    """Ctrl-C must not wait for the next try of a step, which may be half a minute away."""
    stop = threading.Event()
    slow = Policies(download=RetryPolicy(attempts=2, first=3600.0, longest=3600.0))

    def observe(event: Event) -> None:
        if isinstance(event, StepRetried):
            threading.Timer(0.05, stop.set).start()

    pipeline = assembly.pipeline(observe, downloader=Flaky({"q": assembly.pictures}, away=iter("x")), policies=slow)
    with pytest.raises(KeyboardInterrupt):
        run_chunks(pipeline, chunks(assembly, 1), workers=1, stop=stop)
    assert statuses(assembly) == [Status.PENDING]


def test_keys_are_read_lazily(assembly: MemoryAssembly) -> None:
    """Even an endless iterable of keys must run in bounded memory until it is stopped."""
    stop = threading.Event()
    read: list[int] = []

    def endless() -> Iterator[ChunkKey]:
        for index in count():
            read.append(index)
            if index == 8:
                stop.set()
            yield assembly.chunk(1, index=index, start=index % 12, stop=index % 12 + 1)

    with pytest.raises(KeyboardInterrupt):
        run_chunks(assembly.pipeline(), endless(), workers=2, stop=stop)
    assert len(read) <= 10


def test_an_interrupt_of_the_main_thread_stops_the_workers(assembly: MemoryAssembly) -> None:
    """A program without its own handler for Ctrl-C must leave no thread and no file either."""
    stop, begun = threading.Event(), threading.Event()

    def observe(event: Event) -> None:
        if isinstance(event, ImageAccepted):
            begun.set()
            stop.wait(5)

    def keys() -> Iterator[ChunkKey]:
        yield from chunks(assembly, 1)
        begun.wait(30)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_chunks(assembly.pipeline(observe), keys(), workers=2, stop=stop)
    assert statuses(assembly) == [Status.PENDING]
    assert not assembly.left()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pixcore")]


def test_log_lines_name_the_owner_as_their_task(assembly: MemoryAssembly, caplog: pytest.LogCaptureFixture) -> None:
    """Lines from worker threads must name the owner; lines after the run must name no task."""
    caplog.handler.addFilter(context := ChunkContext())
    pipeline = assembly.pipeline(combined(LogObserver()))
    with caplog.at_level(logging.DEBUG, logger="pixcore"):
        run(pipeline, *chunks(assembly, 2))
        logging.getLogger("pixcore").info("after")
    caplog.handler.removeFilter(context)
    *during, after = [getattr(record, "task_id", None) for record in caplog.records]
    assert set(during) == {pipeline.owner}
    assert after == "-"
