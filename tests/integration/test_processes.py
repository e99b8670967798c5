"""The direct runner in several processes: progress, logs and status show one run and one worker."""

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
class SharedRun:
    """Runs chunks of twelve pictures in several processes, which share a database and a folder."""

    home: Path
    events: list[Event] = field(factory=list)

    @property
    def status(self) -> StatusRepo:
        """Open the status database with a new connection."""
        return SqlStatusRepo(f"sqlite:///{self.home}/status.db", max_failures=3)

    @property
    def records(self) -> list[ChunkRecord]:
        """Return the records of the chunks, by index."""
        return list(self.status.find("d"))

    def keys(self, number: int) -> list[ChunkKey]:
        """Plan chunks of two pictures each."""
        slices = [Slice("memory", "q", 2 * index, 2 * index + 2) for index in range(number)]
        requests = [ChunkRequest(index, "cat", 2, (part,), dataset="d") for index, part in enumerate(slices)]
        return [chunk.key for chunk in self.status.ensure(requests)]

    @contextmanager
    def pipeline(self, observer: Observer, stop: Callable[[], bool], **changes: Any) -> Generator[ChunkPipeline]:  # noqa: ANN401 - any attribute of the pipeline
        """Yield a pipeline for one process."""
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
        """Run the chunks in so many processes, including this one; stop a run that does not end."""
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
def shared(tmp_path: Path) -> SharedRun:
    """Create a status database."""
    migrate(engine_at(f"sqlite:///{tmp_path}/status.db"))
    return SharedRun(tmp_path)


def test_each_process_runs_a_chunk_and_all_events_arrive_here(shared: SharedRun) -> None:
    """Each chunk waits until three have begun, and the observer must get the event of every image once."""
    together = threading.Barrier(3)
    events: list[Event] = []

    def observe(event: Event) -> None:
        events.append(event)
        if isinstance(event, ChunkClaimed):
            together.wait(30)

    shared.run(shared.keys(6), observer=observe)
    assert not together.broken
    assert [(record.status, record.attempt) for record in shared.records] == [(Status.COMPLETED, 1)] * 6
    accepted = [event.image.download.candidate.key for event in events if isinstance(event, ImageAccepted)]
    assert len(accepted) == len(set(accepted)) == 12


def test_processes_without_a_chunk_end(shared: SharedRun) -> None:
    """A run with more processes than chunks must end."""
    shared.run(shared.keys(1), workers=4)
    assert [record.status for record in shared.records] == [Status.COMPLETED]


def test_the_processes_of_a_run_count_as_one_worker(shared: SharedRun) -> None:
    """Workers are counted and their log lines are found by the owner, so all processes must have the same."""
    together = threading.Barrier(2)
    seen: list[int] = []

    def observe(event: Event) -> None:
        if isinstance(event, ChunkClaimed) and together.wait(30) == 0:
            seen.append(shared.status.overview("d").workers)

    shared.run(shared.keys(2), workers=2, observer=observe)
    assert seen == [1]


@frozen
class Waiting(MemoryDownloader):
    """A source that never delivers, and calls ``waiting`` while it waits."""

    def download(self, slices: Any, into: Any, skip: Any, waiting: Any, *_: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - as the port
        """Wait for ever."""
        while True:
            waiting()
        yield from super().download(slices, into, skip)


@frozen
class Deadly(MemoryDownloader):
    """A source that kills every process that reads from it, except this one."""

    def download(self, slices: Any, *args: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - as the port
        """Kill the process, or yield the images."""
        if os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().download(slices, *args)


def test_the_chunk_of_a_killed_worker_is_completed(shared: SharedRun, caplog: pytest.LogCaptureFixture) -> None:
    """This process must run it after its lease has expired, and log that a worker has ended."""
    together = threading.Barrier(2)

    def observe(event: Event) -> None:
        if isinstance(event, ChunkClaimed) and event.attempt == 1 and not together.broken:
            together.wait(30)  # otherwise this process could complete both before the other begins

    shared.run(
        shared.keys(2),
        workers=2,
        observer=observe,
        downloader=Deadly({"q": PICTURES}),
        terms=LeaseTerms(ttl=1.0, deadline=600.0),
    )
    assert [record.status for record in shared.records] == [Status.COMPLETED] * 2
    assert sorted((record.attempt, record.failures) for record in shared.records) == [(1, 0), (2, 1)]
    assert [record.message for record in caplog.records] == [
        "a worker process has ended with SIGKILL; its chunks are run again once their leases have expired"
    ]


def test_a_stop_gives_the_chunks_of_all_processes_back(shared: SharedRun) -> None:
    """No failure may be counted, and no chunk may stay claimed."""
    stop = threading.Event()
    together = threading.Barrier(3, action=stop.set)

    def observe(event: Event) -> None:
        if isinstance(event, ChunkClaimed):
            together.wait(30)

    with pytest.raises(KeyboardInterrupt):
        shared.run(shared.keys(6), observer=observe, stop=stop, downloader=Waiting({"q": PICTURES}))
    assert [(record.status, record.failures) for record in shared.records] == [(Status.PENDING, 0)] * 6
    assert not list((shared.home / "work").glob("chunk-*"))


@frozen
class WaitingElsewhere(Waiting):
    """A source that delivers in this process, and waits for ever in a worker."""

    def download(self, *args: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - as the port
        """Yield the images in this process; wait for ever in a worker."""
        return MemoryDownloader.download(self, *args[:3]) if os.getpid() == HERE else super().download(*args)


def test_a_stop_after_the_last_chunk_of_this_process_is_an_interrupt(
    shared: SharedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker then gives its chunk back, so the run is not complete."""
    stop = threading.Event()
    together = threading.Barrier(2)

    def observe(event: Event) -> None:
        if isinstance(event, ChunkClaimed):
            together.wait(30)  # so that each process claims one chunk

    def stopped_meanwhile(served: Any, lost: Callable[[Any], Any] = processes._lost) -> Any:  # noqa: ANN401
        stop.set()
        return lost(served)

    monkeypatch.setattr(processes, "_lost", stopped_meanwhile)
    source = WaitingElsewhere({"q": PICTURES})
    with pytest.raises(KeyboardInterrupt):
        shared.run(shared.keys(2), workers=2, observer=observe, stop=stop, downloader=source)
    assert sorted((record.status, record.failures) for record in shared.records) == [
        (Status.COMPLETED, 0),
        (Status.PENDING, 0),
    ]


def test_the_error_of_a_worker_that_cannot_start_ends_the_run(shared: SharedRun) -> None:
    """The run must raise the error, and give the chunks of other processes back."""

    @contextmanager
    def refused(*_: object) -> Iterator[ChunkPipeline]:
        raise InvalidRequest("no such store")
        yield

    stop = threading.Event()
    with (
        forked_workers(1, refused) as others,
        shared.pipeline(shared.events.append, stop.is_set, downloader=Waiting({"q": PICTURES})) as pipeline,
        pytest.raises(InvalidRequest, match="no such store"),
    ):
        run_shared(others, pipeline, shared.keys(2), observer=shared.events.append, stop=stop)
    assert Status.PROCESSING not in [record.status for record in shared.records]


def test_a_status_database_that_a_worker_cannot_reach_ends_the_run(shared: SharedRun) -> None:
    """Without the database no chunk can run, as in a run with one process."""

    class Away:
        def __getattr__(self, name: str) -> object:
            if os.getpid() != HERE and name == "claim":
                raise StatusUnavailable("away")
            return getattr(shared.status, name)

    with pytest.raises(StatusUnavailable, match="away"):
        shared.run(shared.keys(2), workers=2, status=Away(), downloader=Waiting({"q": PICTURES}))
    assert Status.PROCESSING not in [record.status for record in shared.records]
