"""The contract of every runner, whatever delivers the chunks: each submitted chunk ends with one result."""

from collections.abc import Iterator
from itertools import count
from typing import Protocol

import pytest
from fleet import Fleet, await_true, intact
from hostile import status

from pixcore import ChunkRecord, Status

_names = count()


class RunnerDriver(Protocol):
    """A runner as its users call it. Its two worker processes or threads run for the whole suite."""

    fleet: Fleet

    def submit(self, chunks: int, dataset: str) -> None:
        """Submit a dataset of ``chunks`` chunks; may be called again."""
        ...

    def deliver(self, record: ChunkRecord) -> str:
        """Deliver the chunk once more, wait, and return the caller's result: the blob's URL, or the error."""
        ...

    def progress(self, record: ChunkRecord) -> int:
        """Return how many images a running chunk has accepted, as the runner shows it."""
        ...


class RunnerContract:
    """A subclass provides ``driver``."""

    @pytest.fixture(scope="class")
    @classmethod
    def driver(cls) -> Iterator[RunnerDriver]:
        """Return the runner with its workers."""
        raise NotImplementedError

    @pytest.fixture
    def fleet(self, driver: RunnerDriver) -> Iterator[Fleet]:
        """Return the runner's surroundings; release what a test held back."""
        yield driver.fleet
        driver.fleet.held.clear()

    @pytest.fixture
    def dataset(self) -> str:
        """Return a dataset name that no other test uses."""
        return f"d{next(_names)}"

    def test_every_chunk_is_completed(self, driver: RunnerDriver, fleet: Fleet, dataset: str) -> None:
        """Every chunk must be complete and full at the first attempt, with its blob as recorded."""
        driver.submit(4, dataset)
        records = fleet.until_settled(dataset=dataset)
        assert [(record.status, record.attempt, record.failures) for record in records] == [
            (Status.COMPLETED, 1, 0)
        ] * 4
        assert [record.progress.accepted for record in records] == [fleet.size] * 4
        assert len(intact(fleet, dataset)) == 4

    def test_completed_chunks_do_not_run_again(self, driver: RunnerDriver, fleet: Fleet, dataset: str) -> None:
        """If delivered or submitted again, a chunk returns the stored result, and fetches no picture."""
        driver.submit(2, dataset)
        records = fleet.until_settled(dataset=dataset)
        fetched = len(fleet.site.requests)
        assert [driver.deliver(record) for record in records] == [
            record.result and record.result.url for record in records
        ]
        driver.submit(2, dataset)
        assert fleet.records(dataset) == records
        assert len(fleet.site.requests) == fetched

    def test_a_permanent_failure_is_reported_with_its_reason(
        self, driver: RunnerDriver, fleet: Fleet, dataset: str
    ) -> None:
        """It is not retried on any call; the other chunks complete."""
        for path in fleet.pictures(0, dataset):
            fleet.site.routes[path] = status(404)
        driver.submit(3, dataset)
        failed, *others = fleet.until_settled(dataset=dataset)
        assert [record.status for record in others] == [Status.COMPLETED] * 2
        assert (failed.status, failed.attempt) == (Status.FAILED, 1)
        assert f"http_404: {fleet.size}" in failed.error
        assert failed.error in driver.deliver(failed)
        assert fleet.records(dataset)[0].attempt == 1
        assert len(intact(fleet, dataset)) == 2

    def test_a_failure_for_now_is_tried_again_when_it_is_due(
        self, driver: RunnerDriver, fleet: Fleet, dataset: str
    ) -> None:
        """The delivery is deferred and not dropped, without another submit."""
        removed = {path: fleet.site.routes.pop(path) for path in self._listed(fleet, dataset)}
        for path in removed:
            fleet.site.routes[path] = status(503)
        driver.submit(1, dataset)
        fleet.until(lambda chunks: chunks and chunks[0].failures == 1, dataset=dataset)
        fleet.site.routes |= removed
        [record] = fleet.until_settled(dataset=dataset)
        assert (record.status, record.attempt, record.failures) == (Status.COMPLETED, 2, 1)
        intact(fleet, dataset)

    def test_progress_is_shown_while_a_chunk_runs(self, driver: RunnerDriver, fleet: Fleet, dataset: str) -> None:
        """It is the number of images, not only that the chunk runs; at most once a second."""
        fleet.hold(0, -2, dataset)
        fleet.hold(0, -1, dataset)
        driver.submit(1, dataset)
        record = fleet.until_running("validate", dataset=dataset)
        for _ in range(3):  # more than a second
            fleet.until_renewed(dataset)
        before = driver.progress(record)
        fleet.hand_out(0, -2, dataset)
        await_true(lambda: before < driver.progress(record) == fleet.records(dataset)[0].progress.accepted)
        fleet.hand_out(0, -1, dataset)
        assert [record.status for record in fleet.until_settled(dataset=dataset)] == [Status.COMPLETED]

    def test_a_cancelled_dataset_ends(self, driver: RunnerDriver, fleet: Fleet, dataset: str) -> None:
        """Running and waiting chunks fail as cancelled, without a blob, and no work is left."""
        for index in range(4):
            fleet.hold(index, -1, dataset)
        driver.submit(4, dataset)
        fleet.until_running("validate", dataset=dataset)
        fleet.cancel(dataset)
        for _ in range(2):  # the renewal is in the database before its worker has the answer
            fleet.until_renewed(dataset)
        fleet.held.clear()
        records = fleet.until_settled(dataset=dataset)
        assert [(record.status, record.error) for record in records] == [(Status.FAILED, "cancelled")] * 4
        assert intact(fleet, dataset) == []
        assert "cancelled" in driver.deliver(records[0])

    def _listed(self, fleet: Fleet, dataset: str) -> list[str]:
        fleet.listed(1, dataset)
        return fleet.pictures(0, dataset)
