"""The contract of every ``Datasets``: tests of the promises in ``pixcore.ports.datasets``."""

from datetime import UTC, datetime

import pytest
from attrs import evolve, frozen

from pixcore.errors import InvalidRequest, PlanOutdated
from pixcore.model.chunks import ChunkKey, Phase, Reject, Status
from pixcore.model.datasets import Change, ChangeKind, CopiedChunk, DatasetSummary
from pixcore.model.decisions import Decision, DecisionKind
from pixcore.model.overview import Overview
from pixcore.model.planned import Planned
from pixcore.model.quality import NearRule
from pixcore.model.requests import ChunkRequest, Slice
from pixcore.ports import Datasets, Decisions, SeenImages, StatusRepo
from pixcore.ports.seen_images import url_key

from .seen_images import hold, image
from .status_repo import TTL, Clock, claim_chunk, create_chunks, request, result

DELETE, RENAME = Change(ChangeKind.DELETE, "d"), Change(ChangeKind.RENAME, "d", "new")
COPY = Change(ChangeKind.COPY, "new", "d", "label=cat", chunks=2)
NEAR = NearRule(phash=10, dhash=10)


@frozen
class Database:
    """The ports on one status database."""

    status: StatusRepo
    seen: SeenImages
    decisions: Decisions
    datasets: Datasets


KEY = url_key("https://other/1.jpg")  # of a further URL that led to the first image


def listed(index: int = 0) -> ChunkRequest:
    """Build a request for candidates of a list."""
    whole = Slice("urls", "list.txt", 0, 40, "d/lists/abc")
    return evolve(request(index), slices=(evolve(whole, start=10 * index, stop=10 * index + 5),), lists=(whole,))


def decision(dataset: str = "d") -> Decision:
    """Build a decision."""
    at = datetime(2026, 5, 4, tzinfo=UTC)
    return Decision(dataset, DecisionKind.EXCLUDE, f"{1:064x}", by="ann", at=at)


class DatasetsContract:
    """A subclass provides an empty ``database`` whose time is ``clock``."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return a clock that advances only by ``advance``."""
        return Clock()

    @pytest.fixture
    def database(self, clock: Clock) -> Database:
        """Return the ports on an empty database."""
        raise NotImplementedError

    @pytest.fixture
    def keys(self, database: Database) -> list[ChunkKey]:
        """Create a dataset with one completed chunk, which holds two near images and took candidates, and one more."""
        keys = [chunk.key for chunk in database.status.ensure([listed(0), listed(1)], store="here")]
        claim = claim_chunk(database.status, keys[0])
        database.seen.hold(claim, [image(1), image(2)])
        database.seen.led("d", {image(1).sha256: [KEY]})
        database.status.take(claim, 3, owned=5)
        odd = [Reject('a "bytes": 5 name that is not UTF-8: \udcff\0', "damaged", "")]
        made = evolve(result(1, 7), url="file:///old/d/data/chunk_1.zip", bytes=70, rejects=odd)
        database.status.complete(claim, made)
        database.decisions.record([decision(), decision("other")])
        create_chunks(database.status, 1, "other")
        return keys

    def test_every_dataset_is_summed_up(self, database: Database, keys: list[ChunkKey], clock: Clock) -> None:
        """A user sees what there is, how large it is and whether somebody works on it."""
        assert len(keys) == 2
        clock.advance(100)
        claim_chunk(database.status, keys[1])
        one, other = database.datasets.summaries()
        both = {Status.COMPLETED: 1, Status.PROCESSING: 1}
        assert one == DatasetSummary("d", both, 7, 70, ("here",), running=1, changed=clock())
        assert other == DatasetSummary("other", {Status.PENDING: 1}, 0, 0, ("",), running=0, changed=0.0)
        clock.advance(TTL + 1)
        assert [one.running for one in database.datasets.summaries()] == [0, 0]

    def test_an_unfinished_change_is_known_and_blocks_plans(self, database: Database, keys: list[ChunkKey]) -> None:
        """The next call finishes it; until then, no plan adds chunks that it would overlook."""
        assert keys
        assert database.datasets.begin(RENAME) == database.datasets.begin(RENAME) == RENAME
        assert database.datasets.changes() == [RENAME]
        for name in ("d", "new"):
            with pytest.raises(InvalidRequest, match=r"being renamed to new; finish it with `pixcore rename d new`"):
                database.status.ensure([request(5, name)])
        assert len(database.status.ensure([listed(0), request(0, "other")])) == 2  # nothing new
        for change in (DELETE, COPY, Change(ChangeKind.RENAME, "other", "new"), Change(ChangeKind.DELETE, "new")):
            with pytest.raises(InvalidRequest, match="being renamed to new"):
                database.datasets.begin(change)
        assert {one.name: one.change for one in database.datasets.summaries()} == {"d": RENAME, "other": None}
        for _ in range(2):
            database.datasets.end(RENAME)
        assert database.datasets.changes() == []
        assert database.status.ensure([request(5, "new")])

    @pytest.mark.parametrize("change", [DELETE, RENAME])
    def test_a_change_waits_for_workers(self, database: Database, keys: list[ChunkKey], change: Change) -> None:
        """A worker that holds a chunk would store an archive that nobody knows of."""
        claim_chunk(database.status, keys[1])
        with pytest.raises(InvalidRequest, match="workers hold 1 chunks of dataset d; wait"):
            database.datasets.begin(change)
        assert database.datasets.changes() == []
        assert database.status.get(keys[1]).status is Status.PROCESSING

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (Change(ChangeKind.DELETE, "none"), "no dataset 'none'"),
            (Change(ChangeKind.RENAME, "none", "new"), "no dataset 'none'"),
            (Change(ChangeKind.COPY, "new", "none"), "no dataset 'none'"),
            (Change(ChangeKind.RENAME, "d", "other"), "'other' exists already; choose another name"),
            (Change(ChangeKind.COPY, "other", "d"), "'other' exists already; choose another name"),
        ],
    )
    def test_what_cannot_be_done_is_refused(
        self, database: Database, keys: list[ChunkKey], change: Change, message: str
    ) -> None:
        """Unknown and taken names."""
        assert keys
        with pytest.raises(InvalidRequest, match=message):
            database.datasets.begin(change)
        assert database.datasets.changes() == []

    def test_a_deletion_leaves_nothing(self, database: Database, keys: list[ChunkKey], clock: Clock) -> None:
        """Neither rows nor images; other datasets stay. A chunk that was pending or abandoned is not claimed."""
        status = database.status
        status.keep_counts("d", "a text")
        claim_chunk(status, keys[1])
        clock.advance(TTL + 1)
        begun = database.datasets.begin(DELETE)
        assert status.overview("d").phases == {Status.COMPLETED: {Phase.COMPLETE: 1}, Status.FAILED: {Phase.INIT: 1}}
        assert status.overview("d").errors == {"cancelled": 1}
        assert [record.status for record in status.find("d")] == [Status.COMPLETED, Status.FAILED]
        for _ in range(2):
            database.datasets.remove(begun)
        database.datasets.end(begun)
        assert [list(status.find("d")), list(status.history("d")), status.allocations("d", "")] == [[], [], []]
        assert (status.overview("d"), status.summary()) == (
            Overview({}, 0, 0, 0, 0.0, {}),
            {"other": {Status.PENDING: 1}},
        )
        assert (status.planned("d", "cat"), status.kept_counts("d")) == (Planned(), "")
        assert [one.dataset for name in ("d", "other") for one in database.decisions.read(name)] == ["other"]
        assert [one.name for one in database.datasets.summaries()] == ["other"]
        again = claim_chunk(status, status.ensure([listed(0)])[0].key)
        assert hold(database.seen, again, image(1)) is None
        assert KEY not in database.seen.led("d", {image(1).sha256: []})[image(1).sha256]
        assert again.chunk.id not in {key.id for key in keys}

    def test_a_deletion_spares_a_chunk_that_a_worker_holds(self, database: Database, keys: list[ChunkKey]) -> None:
        """Somebody may have retried it meanwhile."""
        begun = database.datasets.begin(DELETE)
        database.status.reopen(keys[1])
        claim_chunk(database.status, keys[1])
        with pytest.raises(InvalidRequest, match="workers hold 1 chunks"):
            database.datasets.remove(begun)
        assert len(list(database.status.find("d"))) == 2

    def test_a_renamed_dataset_keeps_everything(self, database: Database, keys: list[ChunkKey]) -> None:
        """Ids, results, attempts, lists, images and decisions are the same; URLs and listings are the new ones."""
        status, datasets = database.status, database.datasets
        status.keep_counts("d", "of the former name")
        before = list(status.find("d"))
        history = list(status.history("d"))
        begun = datasets.begin(RENAME)
        datasets.move(begun, {keys[0].id: 1, keys[1].id: 0}, "s3://b/new")
        datasets.end(begun)
        one, other = status.find("new")
        assert (list(status.find("d")), [one.chunk.id, other.chunk.id]) == ([], [key.id for key in keys])
        assert one.result == evolve(before[0].result, url="s3://b/new/data/chunk_1.zip")
        assert {part.snapshot for part in (*one.chunk.slices, *one.chunk.request.lists)} == {"new/lists/abc"}
        assert (one.chunk.candidates, one.status, other.status) == (8, Status.COMPLETED, Status.PENDING)
        assert list(status.history("new")) == [evolve(each, chunk=one.chunk.key) for each in history]
        assert [each.snapshot for each in status.allocations("new", "")] == ["new/lists/abc"]
        assert status.allocations("d", "") == []
        assert status.overview("d").phases == {}
        assert status.overview("new").phases == {Status.COMPLETED: {Phase.COMPLETE: 1}, Status.PENDING: {Phase.INIT: 1}}
        assert (status.overview("new").accepted, status.overview("new").attempts) == (7, 1)
        planned = Planned().with_chunks(each.chunk.request for each in (one, other))
        assert [status.planned("new", "cat"), status.planned("new", "cat"), status.planned("d", "cat")] == [
            planned,
            planned,
            Planned(),
        ]
        assert [status.kept_counts(name) for name in ("d", "new")] == ["", ""]
        assert len(list(database.seen.near("new", NEAR))) == 1
        assert list(database.seen.near("d", NEAR)) == []
        assert [each.dataset for each in database.decisions.read("new")] == ["new"]
        claim = claim_chunk(status, other.chunk.key)
        assert hold(database.seen, claim, image(1)) == one.chunk.key
        assert KEY in database.seen.led("new", {image(1).sha256: []})[image(1).sha256]
        assert [part.start for part in status.take(claim, 2, owned=5).taken] == [8]

    @pytest.mark.parametrize("attempts", [{1: 0, 2: 0}, {1: 1}, {1: 1, 2: 0, 3: 0}])
    def test_a_dataset_that_changed_meanwhile_is_not_renamed(
        self, database: Database, keys: list[ChunkKey], attempts: dict[int, int]
    ) -> None:
        """Its new blobs were not copied, so nothing changes until they are."""
        begun = database.datasets.begin(RENAME)
        first = keys[0].id - 1
        with pytest.raises(PlanOutdated, match="changed while they were copied"):
            database.datasets.move(begun, {first + id_: attempt for id_, attempt in attempts.items()}, "s3://b/new")
        assert len(list(database.status.find("d"))) == 2
        assert list(database.status.find("new")) == []

    def test_a_copy_appears_complete(self, database: Database, keys: list[ChunkKey]) -> None:
        """With completed chunks, their images and the decisions; the other dataset stays as it is."""
        status, datasets = database.status, database.datasets
        begun = datasets.begin(COPY)
        assert datasets.begin(COPY) == begun
        assert (begun.chunks, begun.first_id > max(key.id for key in keys)) == (2, True)
        assert list(status.find("new")) == []
        assert [one.name for one in datasets.summaries()] == ["d", "new", "other"]
        made = CopiedChunk(
            begun.first_id + 1,
            evolve(listed(0), dataset="new", lists=()),
            evolve(result(1, 1), url="file:///new/data/chunk_9.zip"),
            status.get(keys[0]),
            (image(2).sha256,),
            "here",
        )
        datasets.add(begun, [made])
        assert datasets.changes() == []
        (record,) = status.find("new")
        assert (record.chunk.id, record.status, record.attempt) == (begun.first_id + 1, Status.COMPLETED, 1)
        assert (record.result, record.store) == (made.result, "here")
        assert [each.status for each in status.history("new")] == [Status.COMPLETED]
        assert status.overview("new").phases == {Status.COMPLETED: {Phase.COMPLETE: 1}}
        assert status.planned("new", "cat") == Planned().with_chunk(made.request)
        assert [each.dataset for each in database.decisions.read("new")] == ["new"]
        assert len(list(database.seen.near("d", NEAR))) == 1
        (more,) = status.ensure([evolve(listed(1), dataset="new")], beside=1)
        claim = claim_chunk(status, more.key)
        assert [hold(database.seen, claim, image(number)) for number in (1, 2)] == [None, record.chunk.key]
        assert more.id > begun.first_id + 1

    def test_a_copy_that_was_given_up_is_not_created(self, database: Database, keys: list[ChunkKey]) -> None:
        """Its deletion is a change of its own, which ends without a chunk."""
        assert keys
        begun = database.datasets.begin(COPY)
        deletion = database.datasets.begin(Change(ChangeKind.DELETE, "new"))
        with pytest.raises(InvalidRequest, match="given up"):
            database.datasets.add(begun, [])
        database.datasets.remove(deletion)
        database.datasets.end(deletion)
        assert database.datasets.changes() == []
        assert len(list(database.status.find("d"))) == 2
