"""What every runner must keep, whatever delivers the chunks: from what was submitted to one result each."""

from collections.abc import Iterator
from itertools import count
from typing import Protocol

import pytest
from fleet import Fleet, await_true, intact
from hostile import status

from pixcore import ChunkRecord, Status

_names = count()


class Door(Protocol):
    """A runner as its users meet it; its workers run, two processes or threads, for the whole suite."""

    fleet: Fleet

    def submit(self, chunks: int, dataset: str) -> None:
        """Hand over a dataset of so many chunks; to be called again, too."""
        ...

    def deliver(self, record: ChunkRecord) -> str:
        """Have the chunk delivered once more, wait, and give what its caller gets: the blob's URL, or the error."""
        ...

    def progress(self, record: ChunkRecord) -> int:
        """How many images a running chunk has accepted, as the runner shows it."""
        ...


class RunnerContract:
    """Inherit, give ``door``, and the suite runs."""

    @pytest.fixture(scope="class")
    @classmethod
    def door(cls) -> Iterator[Door]:
        """Give the runner with its workers."""
        raise NotImplementedError

    @pytest.fixture
    def fleet(self, door: Door) -> Iterator[Fleet]:
        """Give what is around the runner; what a test holds back, no later one waits for."""
        yield door.fleet
        door.fleet.held.clear()

    @pytest.fixture
    def dataset(self) -> str:
        """Give a name that no other test has."""
        return f"d{next(_names)}"

    def test_every_chunk_is_worked_off(self, door: Door, fleet: Fleet, dataset: str) -> None:
        """Completed at the first attempt and full, each blob there and as recorded."""
        door.submit(4, dataset)
        records = fleet.until_settled(dataset=dataset)
        assert [(record.status, record.attempt, record.failures) for record in records] == [
            (Status.COMPLETED, 1, 0)
        ] * 4
        assert [record.progress.accepted for record in records] == [fleet.size] * 4
        assert len(intact(fleet, dataset)) == 4

    def test_what_is_done_is_not_done_again(self, door: Door, fleet: Fleet, dataset: str) -> None:
        """Delivered or submitted once more, a chunk gives the stored result; no picture is fetched for it."""
        door.submit(2, dataset)
        records = fleet.until_settled(dataset=dataset)
        asked = len(fleet.site.asked)
        assert [door.deliver(record) for record in records] == [
            record.result and record.result.url for record in records
        ]
        door.submit(2, dataset)
        assert fleet.records(dataset) == records
        assert len(fleet.site.asked) == asked

    def test_a_failure_for_good_is_told_with_its_reason(self, door: Door, fleet: Fleet, dataset: str) -> None:
        """It is not tried again, whoever asks; the other chunks complete."""
        for path in fleet.pictures(0, dataset):
            fleet.site.routes[path] = status(404)
        door.submit(3, dataset)
        failed, *others = fleet.until_settled(dataset=dataset)
        assert [record.status for record in others] == [Status.COMPLETED] * 2
        assert (failed.status, failed.attempt) == (Status.FAILED, 1)
        assert f"http_404: {fleet.size}" in failed.error
        assert failed.error in door.deliver(failed)
        assert fleet.records(dataset)[0].attempt == 1
        assert len(intact(fleet, dataset)) == 2

    def test_a_failure_for_now_is_tried_again_when_it_is_due(self, door: Door, fleet: Fleet, dataset: str) -> None:
        """The delivery is deferred, not dropped, though nobody submits it again."""
        there = {path: fleet.site.routes.pop(path) for path in self._listed(fleet, dataset)}
        for path in there:
            fleet.site.routes[path] = status(503)
        door.submit(1, dataset)
        fleet.until(lambda chunks: chunks and chunks[0].failures == 1, dataset=dataset)
        fleet.site.routes |= there
        [record] = fleet.until_settled(dataset=dataset)
        assert (record.status, record.attempt, record.failures) == (Status.COMPLETED, 2, 1)
        intact(fleet, dataset)

    def test_progress_is_shown_while_a_chunk_runs(self, door: Door, fleet: Fleet, dataset: str) -> None:
        """How many images it has, not only that it runs; at most once a second."""
        fleet.hold(0, -2, dataset)
        fleet.hold(0, -1, dataset)
        door.submit(1, dataset)
        record = fleet.until_running("validate", dataset=dataset)
        for _ in range(3):  # more than a second
            fleet.until_renewed(dataset)
        before = door.progress(record)
        fleet.hand_out(0, -2, dataset)
        await_true(lambda: before < door.progress(record) == fleet.records(dataset)[0].progress.accepted)
        fleet.hand_out(0, -1, dataset)
        assert [record.status for record in fleet.until_settled(dataset=dataset)] == [Status.COMPLETED]

    def test_a_cancelled_dataset_ends(self, door: Door, fleet: Fleet, dataset: str) -> None:
        """Running chunks and waiting ones, failed as cancelled, without a blob; nothing is left to be fetched."""
        for index in range(4):
            fleet.hold(index, -1, dataset)
        door.submit(4, dataset)
        fleet.until_running("validate", dataset=dataset)
        fleet.cancel(dataset)
        for _ in range(2):  # a renewal is seen in the database before its worker has the answer
            fleet.until_renewed(dataset)
        fleet.held.clear()
        records = fleet.until_settled(dataset=dataset)
        assert [(record.status, record.error) for record in records] == [(Status.FAILED, "cancelled")] * 4
        assert intact(fleet, dataset) == []
        assert "cancelled" in door.deliver(records[0])

    def _listed(self, fleet: Fleet, dataset: str) -> list[str]:
        fleet.listed(1, dataset)
        return fleet.pictures(0, dataset)
