"""The direct runner: whatever happens to a chunk, it is worked off, waited for, or given back."""

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
from pixcore.model.chunks import Claimed, Outcome
from pixcore.model.images import Download, Miss
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_runners.direct import run as direct
from pixcore_runners.direct.run import run_chunks
from pixcore_runners.observing.logs import ChunkContext, LogObserver

AT_ONCE = RetryPolicy(attempts=3, first=0.0, longest=0.0, jitter=0.0)
POLICIES = Policies(download=evolve(AT_ONCE, attempts=1), status=evolve(AT_ONCE, attempts=1), chunk=AT_ONCE)


@pytest.fixture
def assembly(tmp_path: Path) -> MemoryAssembly:
    """Twelve pictures; no wait between attempts is worth a test's time."""
    return MemoryAssembly(tmp_path / "work", [picture(number) for number in range(12)])


def run(pipeline: ChunkPipeline, *keys: ChunkKey, workers: int = 2) -> None:
    """Work the chunks off; one that would never end fails its test."""
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
    """Plan chunks of two pictures."""
    return [assembly.chunk(2, index=index, start=2 * index, stop=2 * index + 2) for index in range(number)]


def statuses(assembly: MemoryAssembly) -> list[Status]:
    """How the chunks stand, by index."""
    return [record.status for record in assembly.status.find("d")]


@frozen
class Flaky(MemoryDownloader):
    """A source that is away once for each item of ``away``."""

    away: Iterator[object] = field(kw_only=True)

    def download(self, *args: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - those of the port
        """Fail or deliver."""
        if next(self.away, None):
            raise SourceUnavailable("away")
        yield from MemoryDownloader.download(self, *args)


@define
class Answering:
    """A status repository that first gives these answers to claims, whoever asks for whatever."""

    status: MemoryStatusRepo
    answers: Iterator[Outcome | Exception]
    asked: list[ChunkKey] = field(factory=list)

    def claim(self, key: ChunkKey, owner: str, ttl: float) -> Claimed | Outcome:
        """Answer as planned, then truly."""
        self.asked.append(key)
        match next(self.answers, None):
            case Exception() as error:
                raise error
            case None:
                return self.status.claim(key, owner, ttl)
            case answer:
                return answer

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the repository has
        return getattr(self.status, name)


# -- to the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_every_chunk_is_worked_off(assembly: MemoryAssembly, workers: int) -> None:
    """However many at a time."""
    run(assembly.pipeline(), *chunks(assembly, 6), workers=workers)
    assert statuses(assembly) == [Status.COMPLETED] * 6


def test_no_more_chunks_run_than_there_are_workers(assembly: MemoryAssembly) -> None:
    """And that many do: each waits for the others to have begun."""
    together = threading.Barrier(3)

    def observe(event: Event) -> None:
        if isinstance(event, ChunkClaimed):
            together.wait(30)

    run(assembly.pipeline(observe), *chunks(assembly, 6), workers=3)
    assert statuses(assembly) == [Status.COMPLETED] * 6
    assert not together.broken


def test_one_worker_takes_chunks_in_order(assembly: MemoryAssembly) -> None:
    """The first archive asked for is the first that is there."""
    keys = chunks(assembly, 4)
    run(assembly.pipeline(), *keys, workers=1)
    assert [event.chunk for event in assembly.events if isinstance(event, ChunkClaimed)] == keys


def test_a_transient_failure_is_tried_again(assembly: MemoryAssembly) -> None:
    """Within the same run, as soon as it is due; the others go on meanwhile."""
    keys = chunks(assembly, 3)
    run(assembly.pipeline(downloader=Flaky({"q": assembly.pictures}, away=iter("xx")), policies=POLICIES), *keys)
    assert statuses(assembly) == [Status.COMPLETED] * 3
    assert sum(assembly.status.get(key).attempt for key in keys) == 5


def test_the_budget_bounds_the_tries(assembly: MemoryAssembly) -> None:
    """A chunk that never works is given up; the others complete."""

    class Never(MemoryDownloader):
        def download(self, slices: Any, *args: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - those of the port
            if slices[0].start == 0:
                raise SourceUnavailable("away")
            yield from super().download(slices, *args)

    keys = chunks(assembly, 3)
    run(assembly.pipeline(downloader=Never({"q": assembly.pictures}), policies=POLICIES), *keys)
    assert statuses(assembly) == [Status.FAILED, Status.COMPLETED, Status.COMPLETED]
    assert assembly.status.get(keys[0]).attempt == 3


def test_a_foreign_exception_costs_its_chunk_and_no_other(assembly: MemoryAssembly) -> None:
    """A defect of an adapter counts as a failure, and its budget bounds it."""

    class Defect(MemoryDownloader):
        def download(self, slices: Any, *args: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - those of the port
            if slices[0].start == 0:
                raise ZeroDivisionError
            yield from super().download(slices, *args)

    keys = chunks(assembly, 2)
    run(assembly.pipeline(downloader=Defect({"q": assembly.pictures}), policies=POLICIES), *keys)
    assert statuses(assembly) == [Status.FAILED, Status.COMPLETED]
    assert assembly.status.get(keys[0]).failures == 3


def test_a_chunk_that_failed_for_good_is_not_asked_for_again(assembly: MemoryAssembly) -> None:
    """Nothing valid: one attempt; and one that never existed ends nothing, either."""
    assembly.pictures[:2] = [b"garbage", b"garbage"]
    asked = Answering(assembly.status, iter(()))
    keys = [*chunks(assembly, 2), ChunkKey("d", 99)]
    run(assembly.pipeline(status=asked), *keys)
    assert statuses(assembly) == [Status.FAILED, Status.COMPLETED]
    assert sorted(asked.asked) == sorted(keys)


@pytest.mark.parametrize("answer", [Busy(0.0), NotDue(0.0)], ids=lambda answer: type(answer).__name__)
def test_a_chunk_that_cannot_be_had_yet_is_deferred_not_dropped(assembly: MemoryAssembly, answer: Outcome) -> None:
    """It is asked for again; others run first."""
    keys = chunks(assembly, 3)
    asked = Answering(assembly.status, iter([answer]))
    run(assembly.pipeline(status=asked), *keys, workers=1)
    assert statuses(assembly) == [Status.COMPLETED] * 3
    assert sorted(asked.asked) == sorted([keys[0], *keys])


def test_a_chunk_of_another_worker_is_asked_for_before_its_lease_ends(
    assembly: MemoryAssembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one may be done long before; a dead one's lease is not what everybody should wait for."""
    monkeypatch.setattr(direct, "_BUSY", 0.0)
    keys = chunks(assembly, 1)
    asked = Answering(assembly.status, iter([Busy(3600.0)] * 3))
    run(assembly.pipeline(status=asked), *keys)
    assert statuses(assembly) == [Status.COMPLETED]


def test_waiting_costs_nothing_while_every_worker_is_busy(
    assembly: MemoryAssembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk that is due while no worker is free must not make the runner spin."""
    waits: list[float] = []
    real = direct.wait

    def counted(*args: Any, timeout: float, **kwargs: Any) -> object:  # noqa: ANN401 - of concurrent.futures
        waits.append(timeout)
        return real(*args, timeout=timeout, **kwargs)

    monkeypatch.setattr(direct, "wait", counted)
    keys = chunks(assembly, 3)
    run(assembly.pipeline(status=Answering(assembly.status, iter([NotDue(0.0)]))), *keys, workers=1)
    assert statuses(assembly) == [Status.COMPLETED] * 3
    assert min(waits) > 0.1


# -- stopped ---------------------------------------------------------------------------------------------------------


def test_an_unreachable_status_database_ends_the_run(assembly: MemoryAssembly) -> None:
    """Nothing can be known or done without it; what is running is given back, and no other chunk begins."""
    asked = Answering(assembly.status, iter([StatusUnavailable("locked")]))
    with pytest.raises(StatusUnavailable, match="locked"):
        run(assembly.pipeline(status=asked, policies=POLICIES), *chunks(assembly, 6), workers=1)
    assert statuses(assembly) == [Status.PENDING] * 6
    assert len(asked.asked) == 1


def test_stop_gives_everything_back(assembly: MemoryAssembly) -> None:
    """Running chunks are pending again at once, no failure counted, nothing left on the disk."""
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
    """One that is not due for an hour."""
    stop = threading.Event()
    asked = Answering(assembly.status, iter([NotDue(3600.0)]))

    def later() -> Iterator[ChunkKey]:
        yield from chunks(assembly, 1)
        threading.Timer(0.05, stop.set).start()

    with pytest.raises(KeyboardInterrupt):
        run_chunks(assembly.pipeline(status=asked), later(), workers=1, stop=stop)


def test_stop_ends_the_wait_between_two_tries_of_a_step(assembly: MemoryAssembly) -> None:
    """An upload that is tried again in half a minute does not hold Ctrl-C up for so long."""
    stop = threading.Event()
    slow = Policies(download=RetryPolicy(attempts=2, first=3600.0, longest=3600.0))

    def observe(event: Event) -> None:
        if isinstance(event, StepRetried):
            threading.Timer(0.05, stop.set).start()

    pipeline = assembly.pipeline(observe, downloader=Flaky({"q": assembly.pictures}, away=iter("x")), policies=slow)
    with pytest.raises(KeyboardInterrupt):
        run_chunks(pipeline, chunks(assembly, 1), workers=1, stop=stop)
    assert statuses(assembly) == [Status.PENDING]


def test_keys_are_drawn_as_they_are_needed(assembly: MemoryAssembly) -> None:
    """A dataset of any length: an endless one runs until it is stopped, in bounded memory."""
    stop = threading.Event()
    drawn: list[int] = []

    def endless() -> Iterator[ChunkKey]:
        for index in count():
            drawn.append(index)
            if index == 8:
                stop.set()
            yield assembly.chunk(1, index=index, start=index % 12, stop=index % 12 + 1)

    with pytest.raises(KeyboardInterrupt):
        run_chunks(assembly.pipeline(), endless(), workers=2, stop=stop)
    assert len(drawn) <= 10


def test_an_interrupt_of_the_main_thread_stops_the_workers(assembly: MemoryAssembly) -> None:
    """A program that has no handler of its own for Ctrl-C leaves nothing behind, either."""
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
    """From the worker's threads, too; after the run, no task is named any more."""
    caplog.handler.addFilter(context := ChunkContext())
    pipeline = assembly.pipeline(combined(LogObserver()))
    with caplog.at_level(logging.DEBUG, logger="pixcore"):
        run(pipeline, *chunks(assembly, 2))
        logging.getLogger("pixcore").info("after")
    caplog.handler.removeFilter(context)
    *during, after = [getattr(record, "task_id", None) for record in caplog.records]
    assert set(during) == {pipeline.owner}
    assert after == "-"
