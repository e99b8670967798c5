"""One delivery of a chunk ends with a result, a time for the next delivery, or an error, whatever fails."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve, field, frozen
from command import at_home, fill

from pixcore import ChunkKey, ChunkResult, InvalidRequest, NoValidImages, PermanentError, Status
from pixcore.chunk.events import Event, ImageAccepted, PhaseEntered, silent
from pixcore.model.chunks import Phase
from pixcore.model.claims import Claimed
from pixcore.model.datasets import Change, ChangeKind
from pixcore.stored.identity import KEY
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.observing.logs import ChunkContext
from pixcore_runners.planning.dataset_plan import plan_missing
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.queueing.delivery import AlreadyFailed, Deliveries, Later, StopFlag
from pixcore_runners.settings import Settings

IMAGES = 4


@frozen
class Worker:
    """A worker, and the chunk of four pictures that is delivered to it."""

    settings: Settings
    assembly: Assembly
    photos: Path
    key: ChunkKey
    stop: StopFlag = field(factory=StopFlag)

    def deliver(
        self, observer: Callable[[Event], None] = silent, interrupts: tuple[type[BaseException], ...] = ()
    ) -> ChunkResult | Later:
        """Deliver the chunk to a newly started worker."""
        deliveries = Deliveries(lambda: self.settings, self.stop.is_set, interrupts)
        try:
            return deliveries.deliver(self.key, "task-1", observer)
        finally:
            deliveries.close()

    @property
    def record(self):  # noqa: ANN201 - ChunkRecord
        """Return the record of the chunk."""
        return self.assembly.status.get(self.key)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """Plan the chunk from a folder; return a worker for it."""
    at_home(tmp_path, monkeypatch)
    settings = Settings(
        store=f"file:{tmp_path}/blobs", status=f"sqlite:///{tmp_path}/status.db", work=tmp_path / "work", lease_ttl=30.0
    )
    photos = fill(tmp_path / "photos", IMAGES)
    assembly = assemble(settings, create=True)
    wanted = DatasetSpec([KeywordSpec([f"folder:{photos}"])], 500).with_names()
    with plan_missing(wanted, assembly.status, assembly) as proposal:
        (chunk,) = proposal.save(assembly.status, assembly.store)
    yield Worker(settings, assembly, photos, chunk.key)
    assert not list((tmp_path / "work").glob("chunk-*"))


def test_a_chunk_delivered_twice_runs_once(worker: Worker) -> None:
    """Queues deliver at least once, so a second delivery must return the stored result."""
    first, second = worker.deliver(), worker.deliver()
    assert isinstance(first, ChunkResult)
    assert second == first
    assert worker.record.attempt == 1


def test_a_store_may_get_its_identity_after_its_worker_has_started(worker: Worker) -> None:
    """The first plan of a new store gives it one; the worker would refuse every chunk as one of another store."""
    blob = worker.assembly.settings.store.removeprefix("file:") + f"/{KEY}"
    hidden = Path(blob).rename(Path(blob).with_suffix(".hidden"))
    deliveries = Deliveries(lambda: worker.settings, worker.stop.is_set)
    try:
        deliveries.assembly()
        later = deliveries.deliver(worker.key, "task-1", silent)
        assert isinstance(later, Later)
        assert "belongs to another store" in later.reason
        assert worker.record.attempt == 0
        hidden.rename(blob)
        assert isinstance(deliveries.deliver(worker.key, "task-1", silent), ChunkResult)
    finally:
        deliveries.close()


def test_a_busy_chunk_is_deferred_until_the_lease_ends(worker: Worker) -> None:
    """The delivery must not be dropped, because the other worker may die."""
    assert isinstance(worker.assembly.status.claim(worker.key, "another", 30.0), Claimed)
    later = worker.deliver()
    assert isinstance(later, Later)
    assert 25 < later.seconds <= 31
    assert worker.record.attempt == 1


def test_a_chunk_with_a_transient_failure_is_deferred_until_it_is_due(worker: Worker) -> None:
    """Only one failure may be counted, and further deliveries must wait as long as the chunk does."""
    worker.photos.rename(worker.photos.with_name("elsewhere"))
    failed, early = worker.deliver(), worker.deliver()
    assert isinstance(failed, Later)
    assert "mount it" in failed.reason
    assert isinstance(early, Later)
    assert 4 < early.seconds <= failed.seconds
    assert (worker.record.status, worker.record.failures, worker.record.attempt) == (Status.PENDING, 1, 1)


def test_a_chunk_without_attempts_left_raises_its_error(worker: Worker) -> None:
    """The queue must get the error now and at every later delivery."""
    worker = evolve(worker, settings=evolve(worker.settings, max_failures=1))
    worker.photos.rename(worker.photos.with_name("elsewhere"))
    for _ in range(2):
        with pytest.raises(Exception, match="mount it"):
            worker.deliver()
    assert (worker.record.status, worker.record.attempt) == (Status.FAILED, 1)


def test_a_delivery_of_a_deleted_dataset_is_stale(worker: Worker) -> None:
    """It is acknowledged like one of a cancelled chunk: no failure is counted and no card is written."""
    datasets = worker.assembly.datasets
    change = datasets.begin(Change(ChangeKind.DELETE, worker.key.dataset))
    datasets.remove(change)
    datasets.end(change)
    with pytest.raises(AlreadyFailed, match="the status database has no chunk photos/1"):
        worker.deliver()
    assert [blob.key for blob in worker.assembly.store.list() if "README" in blob.key] == []


def test_a_chunk_without_a_valid_image_fails_permanently(worker: Worker) -> None:
    """Another attempt would find the same files."""
    for photo in worker.photos.iterdir():
        photo.write_bytes(b"no picture")
    with pytest.raises(NoValidImages):
        worker.deliver()
    with pytest.raises(PermanentError, match="no valid image"):
        worker.deliver()


def test_a_stopping_worker_defers_the_delivery_at_once(worker: Worker) -> None:
    """Another worker must be able to run the chunk at once, without a counted failure."""

    def stopping(event: Event) -> None:
        if isinstance(event, ImageAccepted):
            worker.stop.set()

    assert worker.deliver(stopping) == Later(0.0, "the worker is stopping", "stopping")
    assert (worker.record.status, worker.record.failures) == (Status.PENDING, 0)
    assert isinstance(evolve(worker, stop=StopFlag()).deliver(), ChunkResult)


def test_a_time_limit_is_recorded_as_a_failure(worker: Worker) -> None:
    """The exception of a queue's time limit must fail the attempt and be named in the status."""

    class LimitError(Exception):
        """The exception of a queue's time limit."""

    def late(event: Event) -> None:
        if isinstance(event, PhaseEntered) and event.phase is Phase.UPLOAD:
            raise LimitError("1500 s")

    later = worker.deliver(late, (LimitError,))
    assert isinstance(later, Later)
    assert worker.record.status is Status.PENDING
    assert worker.record.error.startswith("LimitError: 1500 s (in phase upload")


def test_a_failing_observer_does_not_fail_the_chunk(worker: Worker) -> None:
    """The observer reports progress to a broker, which may be unreachable."""

    def failing(_: Event) -> None:
        raise ConnectionError

    assert isinstance(worker.deliver(failing), ChunkResult)


def test_an_unreachable_status_database_defers_the_delivery(worker: Worker) -> None:
    """Only the database knows what is to be done, and it may be reachable again soon."""
    away = evolve(worker.settings, status="postgresql+psycopg://nobody@127.0.0.1:1/none")
    later = evolve(worker, settings=away).deliver()
    assert isinstance(later, Later)
    assert later.seconds >= 5


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"status": "memory://"}, "one process only"),
        ({"store": "memory://"}, "one process only"),
        ({"status": "sqlite:///nowhere.db"}, "not set up yet"),
    ],
)
def test_a_worker_refuses_settings_that_others_cannot_share(
    worker: Worker, changed: dict[str, str], match: str
) -> None:
    """The worker would report results that no other process can read."""
    with pytest.raises(InvalidRequest, match=match):
        evolve(worker, settings=evolve(worker.settings, **changed)).deliver()


def test_log_lines_name_task_and_chunk(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    """Operators must be able to find the lines of one delivery among those of many workers."""
    caplog.handler.addFilter(ChunkContext())
    with caplog.at_level(logging.INFO, "pixcore"):
        worker.deliver()
    lines = [record for record in caplog.records if record.getMessage() == "upload begins"]
    assert [(line.task_id, line.chunk, line.phase) for line in lines] == [("task-1", str(worker.key), "UPLOAD")]
