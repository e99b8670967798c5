"""One delivery of a chunk: a result, a later time, or an end; whatever the chunk, its worker and the database do."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve, field, frozen
from command import at_home, fill

from pixcore import ChunkKey, ChunkResult, InvalidRequest, NoValidImages, PermanentError, Status
from pixcore.chunk.events import Event, ImageAccepted, PhaseEntered, silent
from pixcore.model.chunks import Claimed, Phase
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.observing.logs import ChunkContext
from pixcore_runners.planning.dataset_plan import DatasetSpec, KeywordSpec, plan_missing
from pixcore_runners.queueing.delivery import Deliveries, Later, StopFlag
from pixcore_runners.settings import Settings

IMAGES = 4


@frozen
class Works:
    """A worker's deliveries, and the chunk of four pictures that it is sent."""

    settings: Settings
    assembly: Assembly
    photos: Path
    key: ChunkKey
    stop: StopFlag = field(factory=StopFlag)

    def deliver(
        self, observer: Callable[[Event], None] = silent, interrupts: tuple[type[BaseException], ...] = ()
    ) -> ChunkResult | Later:
        """Deliver the chunk to a worker that starts now."""
        deliveries = Deliveries(lambda: self.settings, self.stop.is_set, interrupts)
        try:
            return deliveries.deliver(self.key, "task-1", observer)
        finally:
            deliveries.close()

    @property
    def record(self):  # noqa: ANN201 - ChunkRecord
        """How the chunk stands."""
        return self.assembly.status.get(self.key)


@pytest.fixture
def works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Works]:
    """Plan the chunk out of a folder."""
    at_home(tmp_path, monkeypatch)
    settings = Settings(
        store=f"file:{tmp_path}/blobs", status=f"sqlite:///{tmp_path}/status.db", work=tmp_path / "work", lease_ttl=30.0
    )
    photos = fill(tmp_path / "photos", IMAGES)
    assembly = assemble(settings, make=True)
    wanted = DatasetSpec([KeywordSpec([f"folder:{photos}"])], 500).with_names()
    with plan_missing(wanted, assembly.status, assembly) as proposal:
        (chunk,) = proposal.save(assembly.status, assembly.store)
    yield Works(settings, assembly, photos, chunk.key)
    assert not list((tmp_path / "work").glob("chunk-*"))


def test_a_chunk_delivered_twice_is_worked_off_once(works: Works) -> None:
    """Queues deliver at least once: the second delivery gets the stored result."""
    first, second = works.deliver(), works.deliver()
    assert isinstance(first, ChunkResult)
    assert second == first
    assert works.record.attempt == 1


def test_what_another_worker_has_comes_again_when_its_lease_ends(works: Works) -> None:
    """A delivery beside a running one is deferred, not dropped: the other worker may die."""
    assert isinstance(works.assembly.status.claim(works.key, "another", 30.0), Claimed)
    later = works.deliver()
    assert isinstance(later, Later)
    assert 25 < later.seconds <= 31
    assert works.record.attempt == 1


def test_a_chunk_that_failed_for_now_comes_again_when_it_is_due(works: Works) -> None:
    """A disk that is not mounted costs one failure; the delivery and any other wait as long as the chunk does."""
    works.photos.rename(works.photos.with_name("elsewhere"))
    failed, early = works.deliver(), works.deliver()
    assert isinstance(failed, Later)
    assert "mount it" in failed.reason
    assert isinstance(early, Later)
    assert 4 < early.seconds <= failed.seconds
    assert (works.record.status, works.record.failures, works.record.attempt) == (Status.PENDING, 1, 1)


def test_a_chunk_whose_budget_is_spent_fails_with_its_reason(works: Works) -> None:
    """The queue is told that it is over, now and when the chunk is delivered again."""
    works = evolve(works, settings=evolve(works.settings, max_failures=1))
    works.photos.rename(works.photos.with_name("elsewhere"))
    for _ in range(2):
        with pytest.raises(Exception, match="mount it"):
            works.deliver()
    assert (works.record.status, works.record.attempt) == (Status.FAILED, 1)


def test_a_chunk_without_a_single_image_has_failed_for_good(works: Works) -> None:
    """Another try would find the same."""
    for photo in works.photos.iterdir():
        photo.write_bytes(b"no picture")
    with pytest.raises(NoValidImages):
        works.deliver()
    with pytest.raises(PermanentError, match="no valid image"):
        works.deliver()


def test_a_worker_that_stops_gives_its_chunk_back(works: Works) -> None:
    """It comes again at once, elsewhere, and nobody counts it as a failure."""

    def stopping(event: Event) -> None:
        if isinstance(event, ImageAccepted):
            works.stop.set()

    assert works.deliver(stopping) == Later(0.0, "the worker is stopping")
    assert (works.record.status, works.record.failures) == (Status.PENDING, 0)
    assert isinstance(evolve(works, stop=StopFlag()).deliver(), ChunkResult)


def test_a_time_limit_ends_in_a_true_status(works: Works) -> None:
    """What a queue raises in the middle of anything is a failure of the attempt, and says which."""

    class LimitError(Exception):
        """What a queue raises."""

    def late(event: Event) -> None:
        if isinstance(event, PhaseEntered) and event.phase is Phase.UPLOAD:
            raise LimitError("1500 s")

    later = works.deliver(late, (LimitError,))
    assert isinstance(later, Later)
    assert works.record.status is Status.PENDING
    assert works.record.error.startswith("LimitError: 1500 s (in phase upload")


def test_a_failing_observer_does_not_fail_the_chunk(works: Works) -> None:
    """Progress goes to a broker that may be away."""

    def failing(_: Event) -> None:
        raise ConnectionError

    assert isinstance(works.deliver(failing), ChunkResult)


def test_a_status_database_that_is_away_defers_the_delivery(works: Works) -> None:
    """It may be back soon, and only it knows whether there is something to do."""
    away = evolve(works.settings, status="postgresql+psycopg://nobody@127.0.0.1:1/none")
    later = evolve(works, settings=away).deliver()
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
def test_a_worker_refuses_settings_that_others_cannot_share(works: Works, changed: dict[str, str], match: str) -> None:
    """It would report success of what nobody can find."""
    with pytest.raises(InvalidRequest, match=match):
        evolve(works, settings=evolve(works.settings, **changed)).deliver()


def test_log_lines_name_the_task_and_the_chunk(works: Works, caplog: pytest.LogCaptureFixture) -> None:
    """Of many workers' lines, those of one delivery can be found."""
    caplog.handler.addFilter(ChunkContext())
    with caplog.at_level(logging.INFO, "pixcore"):
        works.deliver()
    lines = [record for record in caplog.records if record.getMessage() == "upload begins"]
    assert [(line.task_id, line.chunk, line.phase) for line in lines] == [("task-1", str(works.key), "UPLOAD")]
