"""The direct runner in several processes: to whoever started it, and to the status, it is one run."""

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen
from memory_assembly import MemoryAssembly, picture

from pixcore import (
    ChunkKey,
    ChunkPipeline,
    ChunkRecord,
    ChunkRequest,
    InvalidRequest,
    LeaseTerms,
    Policies,
    RetryPolicy,
    Slice,
    Status,
    StatusRepo,
    StatusUnavailable,
)
from pixcore.chunk.events import ChunkClaimed, Event, ImageAccepted, Observer
from pixcore.model.images import Download, Miss
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.status_repo.database import engine_at
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages
from pixcore_adapters.status_repo.upgrade import migrate
from pixcore_runners.direct import processes
from pixcore_runners.direct.processes import forked_workers, run_shared

HERE = os.getpid()
PICTURES: list[bytes | None] = [picture(number) for number in range(12)]
AT_ONCE = RetryPolicy(attempts=1, first=0.0, longest=0.0, jitter=0.0)
POLICIES = Policies(download=AT_ONCE, status=AT_ONCE, chunk=AT_ONCE)


@frozen
class Firm:
    """Twelve pictures, and what every process reaches them by: a database and a folder."""

    home: Path
    events: list[Event] = field(factory=list)

    @property
    def status(self) -> StatusRepo:
        """The truth, over a connection of its own."""
        return SqlStatusRepo(f"sqlite:///{self.home}/status.db", max_failures=3)

    @property
    def records(self) -> list[ChunkRecord]:
        """How the chunks stand, by index."""
        return list(self.status.find("d"))

    def keys(self, number: int) -> list[ChunkKey]:
        """Plan chunks of two pictures."""
        pieces = [Slice("memory", "q", 2 * index, 2 * index + 2) for index in range(number)]
        requests = [ChunkRequest(index, "cat", 2, (piece,), dataset="d") for index, piece in enumerate(pieces)]
        return [chunk.key for chunk in self.status.ensure(requests)]

    @contextmanager
    def pipeline(self, observer: Observer, stop: Callable[[], bool], **changes: Any) -> Generator[ChunkPipeline]:  # noqa: ANN401 - any attribute of the pipeline
        """One that a process has for itself."""
        seen = SqlSeenImages(f"sqlite:///{self.home}/status.db")
        shared = {"store": LocalBlobStore(self.home / "blobs"), "status": self.status, "seen": seen}
        yield MemoryAssembly(self.home / "work", PICTURES).pipeline(
            observer, stop=stop, policies=POLICIES, **shared | changes
        )

    def run(
        self,
        keys: list[ChunkKey],
        *,
        workers: int = 3,
        observer: Observer | None = None,
        stop: threading.Event | None = None,
        **changes: Any,  # noqa: ANN401 - any attribute of the pipeline
    ) -> None:
        """Work the chunks off, this process counted; one that would never end fails its test."""
        stop = stop or threading.Event()
        watchdog = threading.Timer(30, stop.set)

        def make(observer: Observer, stop: Callable[[], bool]) -> Any:  # noqa: ANN401 - a context manager
            return self.pipeline(observer, stop, **changes)

        with forked_workers(workers - 1, make) as others:
            watchdog.start()
            try:
                observe = observer or self.events.append
                with make(observe, stop.is_set) as pipeline:
                    run_shared(others, pipeline, keys, observer=observe, stop=stop)
            finally:
                watchdog.cancel()
        assert not [worker for worker in others if worker.process.is_alive()]


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    """A status database, and nothing else yet."""
    migrate(engine_at(f"sqlite:///{tmp_path}/status.db"))
    return Firm(tmp_path)


def test_as_many_chunks_run_as_there_are_processes_and_all_is_told_here(firm: Firm) -> None:
    """Each waits for the others to have begun; whoever shows progress sees every image, and each once."""
    together = threading.Barrier(3)
    heard: list[Event] = []

    def observe(event: Event) -> None:
        heard.append(event)
        if isinstance(event, ChunkClaimed):
            together.wait(30)

    firm.run(firm.keys(6), observer=observe)
    assert not together.broken
    assert [(record.status, record.attempt) for record in firm.records] == [(Status.COMPLETED, 1)] * 6
    accepted = [event.image.download.candidate.key for event in heard if isinstance(event, ImageAccepted)]
    assert len(accepted) == len(set(accepted)) == 12


def test_more_processes_than_chunks_end_all_the_same(firm: Firm) -> None:
    """Who gets nothing goes home."""
    firm.run(firm.keys(1), workers=4)
    assert [record.status for record in firm.records] == [Status.COMPLETED]


def test_to_others_a_run_is_one_worker(firm: Firm) -> None:
    """Live workers are counted by their names, and log lines are found by them."""
    together = threading.Barrier(2)
    seen: list[int] = []

    def observe(event: Event) -> None:
        if isinstance(event, ChunkClaimed) and together.wait(30) == 0:
            seen.append(firm.status.overview("d").workers)

    firm.run(firm.keys(2), workers=2, observer=observe)
    assert seen == [1]


@frozen
class Waiting(MemoryDownloader):
    """A source that has nothing yet, and waits as a well-behaved one does."""

    def download(self, slices: Any, into: Any, skip: Any, waiting: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - those of the port
        """Wait."""
        while True:
            waiting()
        yield from super().download(slices, into, skip)


@frozen
class Deadly(MemoryDownloader):
    """A source of which one chunk kills the process that begins with it, unless it is this one."""

    def download(self, slices: Any, *args: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - those of the port
        """Kill or deliver."""
        if os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().download(slices, *args)


def test_what_a_killed_worker_had_in_hand_is_done_in_the_end(firm: Firm, caplog: pytest.LogCaptureFixture) -> None:
    """By this process, once the lease has run out; and it is said that there is one worker less."""
    together = threading.Barrier(2)

    def observe(event: Event) -> None:
        if isinstance(event, ChunkClaimed) and event.attempt == 1 and not together.broken:
            together.wait(30)  # or this process could be done with both before the other has begun

    firm.run(
        firm.keys(2),
        workers=2,
        observer=observe,
        downloader=Deadly({"q": PICTURES}),
        terms=LeaseTerms(ttl=1.0, deadline=600.0),
    )
    assert [record.status for record in firm.records] == [Status.COMPLETED] * 2
    assert sorted((record.attempt, record.failures) for record in firm.records) == [(1, 0), (2, 1)]
    assert [record.message for record in caplog.records] == [
        "a worker process has ended with SIGKILL; its chunks are run again once their leases have expired"
    ]


def test_all_give_back_what_they_run_when_told_to_stop(firm: Firm) -> None:
    """No failure is counted, and nothing is processing any more."""
    stop = threading.Event()
    together = threading.Barrier(3, action=stop.set)

    def observe(event: Event) -> None:
        if isinstance(event, ChunkClaimed):
            together.wait(30)

    with pytest.raises(KeyboardInterrupt):
        firm.run(firm.keys(6), observer=observe, stop=stop, downloader=Waiting({"q": PICTURES}))
    assert [(record.status, record.failures) for record in firm.records] == [(Status.PENDING, 0)] * 6
    assert not list((firm.home / "work").glob("chunk-*"))


@frozen
class WaitingElsewhere(Waiting):
    """A source that delivers in this process, and has nothing yet in a worker."""

    def download(self, *args: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - those of the port
        """Deliver here, and wait in a worker."""
        return MemoryDownloader.download(self, *args[:3]) if os.getpid() == HERE else super().download(*args)


def test_a_stop_after_the_last_chunk_of_this_process_is_an_interrupt(
    firm: Firm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker then gives back its chunk, so the run has not ended."""
    stop = threading.Event()
    together = threading.Barrier(2)

    def observe(event: Event) -> None:
        if isinstance(event, ChunkClaimed):
            together.wait(30)  # so that each process has one chunk

    def stopped_meanwhile(served: Any, lost: Callable[[Any], Any] = processes._lost) -> Any:  # noqa: ANN401
        stop.set()
        return lost(served)

    monkeypatch.setattr(processes, "_lost", stopped_meanwhile)
    source = WaitingElsewhere({"q": PICTURES})
    with pytest.raises(KeyboardInterrupt):
        firm.run(firm.keys(2), workers=2, observer=observe, stop=stop, downloader=source)
    assert sorted((record.status, record.failures) for record in firm.records) == [
        (Status.COMPLETED, 0),
        (Status.PENDING, 0),
    ]


def test_a_worker_that_cannot_begin_says_why(firm: Firm) -> None:
    """Its error ends the run; what others have in hand is given back."""

    @contextmanager
    def refused(*_: object) -> Iterator[ChunkPipeline]:
        raise InvalidRequest("no such store")
        yield

    stop = threading.Event()
    with (
        forked_workers(1, refused) as others,
        firm.pipeline(firm.events.append, stop.is_set, downloader=Waiting({"q": PICTURES})) as pipeline,
        pytest.raises(InvalidRequest, match="no such store"),
    ):
        run_shared(others, pipeline, firm.keys(2), observer=firm.events.append, stop=stop)
    assert Status.PROCESSING not in [record.status for record in firm.records]


def test_a_status_database_that_a_worker_cannot_reach_ends_the_run(firm: Firm) -> None:
    """Nothing can be known or done; so it is with one process."""

    class Away:
        def __getattr__(self, name: str) -> object:
            if os.getpid() != HERE and name == "claim":
                raise StatusUnavailable("away")
            return getattr(firm.status, name)

    with pytest.raises(StatusUnavailable, match="away"):
        firm.run(firm.keys(2), workers=2, status=Away(), downloader=Waiting({"q": PICTURES}))
    assert Status.PROCESSING not in [record.status for record in firm.records]
