"""An archive is rebuilt from what is stored, under other rules and decisions, and nothing is fetched."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from attrs import define, evolve, field
from memory_assembly import MemoryAssembly, copy, picture

from pixcore import (
    Accepted,
    Candidate,
    CandidateKey,
    ChunkKey,
    ChunkRequest,
    Claimed,
    Conversion,
    Decided,
    Decision,
    DecisionKind,
    Done,
    InvalidRequest,
    NearRule,
    Quality,
    Slice,
    Status,
    StoreDenied,
    TwinRule,
)
from pixcore.chunk.events import silent
from pixcore.model.chunks import ChunkResult, TwinPair
from pixcore.model.outcomes import KEYS
from pixcore.stored.archives import StoredArchives
from pixcore.stored.outcomes import outcome_lines, previews
from pixcore.stored.revisions import ChangesFinder, ChunkChanges
from pixcore_adapters.memory import MemoryConverter, MemoryPreviewer, MemoryTwinFinder, MemoryValidator, encode

EXCLUDE, INCLUDE, RELABEL = DecisionKind
SMALL = 60  # the side of a small picture; others have 100


def small(number: int) -> bytes:
    """Return a small picture that is near to no other."""
    spread = (number * 0xC2B2AE3D27D4EB4F) & (2**64 - 1)
    return encode(f"small {number}", width=SMALL, height=SMALL, phash=spread, dhash=~spread & (2**64 - 1))


def sha(data: bytes) -> str:
    """Return the sha256 of a picture."""
    return hashlib.sha256(data).hexdigest()


class _Unreachable:
    """A source that must not be asked."""

    def download(self, *_: object, **__: object) -> object:
        raise AssertionError("something was fetched")


@define
class Dataset:
    """A chunk of a list of pictures, in memory, and what a test does with it."""

    assembly: MemoryAssembly
    key: ChunkKey
    changed: dict[str, Any] = field(factory=dict[str, Any])  # of all its pipelines

    @classmethod
    def of(
        cls,
        work: Path,
        pictures: Sequence[bytes],
        target: int = 0,
        store_as: Conversion | None = None,
        **quality: Any,  # noqa: ANN401
    ) -> "Dataset":
        """Collect the pictures in a chunk of the dataset ``d``."""
        assembly = MemoryAssembly(work, [*pictures])
        part = Slice("memory", "q", 0, len(pictures), "lists/q")
        request = ChunkRequest(
            0, "cat", target or len(pictures), [part], "d", quality=Quality(**quality), store_as=store_as
        )
        (chunk,) = assembly.status.ensure([request])
        made = cls(assembly, chunk.key)
        made.run()
        return made

    def run(self, **changes: Any) -> ChunkResult:  # noqa: ANN401 - of the pipeline
        """Run the chunk to its end."""
        outcome = self.pipeline(**changes).run(self.key)
        assert isinstance(outcome, Done), outcome
        return outcome.result

    def pipeline(self, **changes: Any) -> Any:  # noqa: ANN401 - of the pipeline
        """Return the pipeline of the list."""
        return self.assembly.pipeline(
            silent,
            **{
                "listed": _listed,
                "previewer": MemoryPreviewer(),
                "converter": MemoryConverter(),
                **self.changed,
                **changes,
            },
        )

    def decide(self, kind: DecisionKind, *pictures: bytes, **values: Any) -> None:  # noqa: ANN401 - of a decision
        """Record a decision about pictures."""
        known = {"by": "ann", "at": datetime(2026, 5, 4, tzinfo=UTC), **values}
        self.assembly.decisions.record([Decision("d", kind, sha(data), **known) for data in pictures])

    def changes(self, **quality: Any) -> ChunkChanges:  # noqa: ANN401 - of the rules
        """Say what would change under other rules."""
        record = self.assembly.status.get(self.key)
        decided = Decided.of(self.assembly.decisions.read("d"))
        finder = ChangesFinder(self.archives, decided, self.pipeline(downloader=_Unreachable()))
        return finder.find(record, evolve(record.chunk.request.quality, **quality))

    def revise(self, **quality: Any) -> None:  # noqa: ANN401 - of the rules
        """Have the archive rebuilt by the next attempt, under other rules."""
        record = self.assembly.status.get(self.key)
        rules = evolve(record.chunk.request.quality, **quality)
        assert self.assembly.status.revise(self.key, rules, attempt=record.attempt, rebuild=True)

    def rebuild(self, **quality: Any) -> ChunkResult:  # noqa: ANN401 - of the rules
        """Rebuild the archive under other rules; check that the preview of the changes was right."""
        expected = self.changes(**quality)
        before = self.images
        self.revise(**quality)
        result = self.run(downloader=_Unreachable())
        after = self.images
        assert len(set(before) - set(after)) == sum(expected.removed.values())
        assert len(set(after) - set(before)) == expected.returned
        assert not self.changes().is_touched
        return result

    @property
    def archives(self) -> StoredArchives:
        """What reads the store."""
        return StoredArchives(self.assembly.store, [self.assembly.archiver], self.assembly.work)

    @property
    def images(self) -> dict[bytes, str]:
        """The images of the archive, in its order, each with its label."""
        found = {data: str(row["label"]) for row, data in self.archives.images(self.assembly.status.get(self.key))}
        names = [row["file_name"] for row in self.archives.rows(self.assembly.status.get(self.key))]
        assert names == [f"images/{number:06d}{Path(str(name)).suffix}" for number, name in enumerate(names)]
        return found

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """The outcomes of the candidates."""
        lines = list(outcome_lines(self.assembly.status.get(self.key), self.archives))
        assert [line["position"] for line in lines] == [*range(len(self.assembly.pictures))]
        assert all(list(line) == [key for key in KEYS if key in line] for line in lines)
        return lines

    @property
    def fates(self) -> list[str]:
        """The outcome of each candidate; the counts of the chunk agree with them."""
        fates = [str(line["outcome"]) for line in self.outcomes]
        progress = self.assembly.status.get(self.key).progress
        counts: Mapping[str, int] = {"accepted": progress.accepted, **progress.rejected, **progress.missed}
        assert {fate: fates.count(fate) for fate in fates if fate != "not_tried"} == counts
        return fates


def _listed(slices: Sequence[Slice]) -> Iterator[Candidate]:
    for part in slices:
        for position in range(part.start, part.stop):
            yield Candidate(CandidateKey("memory", "q", position), f"memory:q/{position}", label=f"label {position}")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return the folder of the work directories."""
    return tmp_path / "work"


def test_decisions_and_rules_change_what_they_say_and_nothing_else(work: Path) -> None:
    """A curator expects exactly these changes, in the archive, the outcomes and the counts; nothing is fetched."""
    dataset = Dataset.of(work, [picture(0), picture(1), small(2), picture(3), picture(3), small(5)])
    before = dataset.archives.rows(dataset.assembly.status.get(dataset.key))
    dataset.decide(EXCLUDE, picture(3), reason="a fox")
    dataset.decide(RELABEL, picture(1), label="giant panda")
    changes = dataset.changes(min_width=80)
    assert changes.removed == {("too_small", ""): 2, ("excluded", "by ann on 2026-05-04: a fox"): 1}
    assert (changes.relabelled, changes.returned, changes.unchanged) == (1, 0, 1)
    result = dataset.rebuild(min_width=80)
    assert dataset.images == {picture(0): "cat", picture(1): "giant panda"}
    assert dataset.fates == ["accepted", "accepted", "too_small", "excluded", "excluded", "too_small"]
    lines = dataset.outcomes
    assert (lines[1]["label"], lines[2]["detail"]) == ("giant panda", "60 x 60 of at least 80 x 50 pixels")
    assert lines[3]["detail"] == "by ann on 2026-05-04: a fox"
    after = dataset.archives.rows(dataset.assembly.status.get(dataset.key))
    assert after == (before[0], {**before[1], "label": "giant panda"})
    assert (result.shortfall, result.kept, result.quality) == (4, "0-1", Quality(min_width=80))
    assert {each.reason for each in result.rejects} >= {"excluded", "too_small"}
    stored = previews(dataset.assembly.status.get(dataset.key), dataset.archives)
    assert set(stored) == {sha(data) for data in (small(2), picture(3), small(5))}


def test_a_relabelling_that_is_taken_back_gives_the_label_of_the_list(work: Path) -> None:
    """The row holds the decided label only, so the former one has to be read from the list."""
    dataset = Dataset.of(work, [picture(0), picture(1)])
    dataset.decide(RELABEL, picture(1), label="giant panda")
    dataset.rebuild()
    dataset.assembly.decisions.take_back(dataset.assembly.decisions.read("d"))
    assert dataset.changes().relabelled == 1
    dataset.rebuild()
    assert dataset.images == {picture(0): "cat", picture(1): "label 1"}
    assert all("label" not in line for line in dataset.outcomes)


def test_kept_rejects_come_back_to_their_places(work: Path) -> None:
    """What was decided can be taken back without fetching, and the archive is then the first one again."""
    pictures = [picture(0), small(1), picture(2), small(3), picture(4)]
    dataset = Dataset.of(work, pictures, keep_rejected=True)
    first = dataset.assembly.status.get(dataset.key).result
    dataset.decide(EXCLUDE, picture(2))
    dataset.rebuild(min_width=80)
    assert list(dataset.images) == [picture(0), picture(4)]
    dataset.decide(INCLUDE, picture(2), at=datetime(2026, 5, 5, tzinfo=UTC))
    dataset.decide(INCLUDE, small(1))
    dataset.rebuild()
    assert list(dataset.images) == [picture(0), small(1), picture(2), picture(4)]
    assert dataset.fates == ["accepted", "accepted", "accepted", "too_small", "accepted"]
    result = dataset.rebuild(min_width=50)
    assert list(dataset.images) == pictures
    assert first is not None
    assert (result.sha256, result.kept, result.progress) == (first.sha256, first.kept, first.progress)


def test_rules_bring_back_no_more_than_the_target_but_a_decision_does(work: Path) -> None:
    """A full chunk needs nothing; what a curator includes by hand is wanted nevertheless."""
    dataset = Dataset.of(work, [small(0), small(1), picture(2)], target=1, min_width=80, keep_rejected=True)
    assert dataset.changes(min_width=50).spare == 2
    assert not dataset.changes(min_width=50).is_touched
    dataset.decide(INCLUDE, small(1))
    assert dataset.rebuild(min_width=50).shortfall == 0
    assert list(dataset.images) == [small(1), picture(2)]


def test_bytes_that_were_not_kept_are_counted(work: Path) -> None:
    """The user must learn that images would be acceptable, but have to be fetched again."""
    dataset = Dataset.of(work, [picture(0), small(1)], min_width=80)
    changes = dataset.changes(min_width=50)
    assert (changes.lost, changes.returned, changes.is_touched) == (1, 0, False)


def test_an_outcome_does_not_name_a_removed_image_as_kept(work: Path) -> None:
    """A copy whose bytes are gone stays out, although the image that was kept instead is no longer there."""
    dataset = Dataset.of(work, [picture(0), copy(0, side=90), picture(1)])
    before = dataset.outcomes[1]
    dataset.decide(EXCLUDE, picture(0))
    dataset.rebuild(keep_rejected=True)
    assert dataset.outcomes[1] == {**before, "detail": f"{before['detail']}; that image was removed later"}
    assert dataset.changes().lost == 1
    dataset.assembly.decisions.take_back(dataset.assembly.decisions.read("d"))
    dataset.rebuild()
    assert dataset.outcomes[1] == before


def test_a_copy_of_a_removed_image_comes_back(work: Path) -> None:
    """A copy is rejected in favour of an image that is kept; without that image, it is acceptable."""
    near, nearer = copy(0, side=80), copy(0, "second", side=70)
    pictures = [picture(0), near, nearer, picture(1)]
    dataset = Dataset.of(work, pictures, keep_rejected=True)
    assert dataset.fates == ["accepted", "near_duplicate", "near_duplicate", "accepted"]
    dataset.decide(EXCLUDE, picture(0))
    dataset.rebuild()
    assert list(dataset.images) == [near, picture(1)]
    assert dataset.fates == ["excluded", "accepted", "near_duplicate", "accepted"]
    dataset.decide(EXCLUDE, near, near=True, phash=f"{0b11:016x}", dhash=f"{2**64 - 1:016x}")
    dataset.rebuild()
    assert list(dataset.images) == [picture(1)]


def test_another_rule_for_copies_counts_for_stored_images(work: Path) -> None:
    """Copies that were only reported are dropped once the rule says so, and the other way round."""
    pictures = [picture(0), copy(0, "better", side=200), picture(1)]
    dataset = Dataset.of(work, pictures, twins=TwinRule.REPORT, keep_rejected=True)
    dataset.rebuild(twins=TwinRule.DROP)
    assert list(dataset.images) == [copy(0, "better", side=200), picture(1)]
    line = dataset.outcomes[0]
    assert (line["outcome"], line["twin_url"]) == ("near_duplicate", "memory:q/1")
    result = dataset.rebuild(twins=TwinRule.REPORT)
    assert list(dataset.images) == pictures
    (pair,) = result.twins
    assert isinstance(pair, TwinPair)
    assert {pair.one, pair.other} == {"memory:q/0", "memory:q/1"}


def test_a_new_filter_judges_stored_images_and_may_be_taken_away(work: Path) -> None:
    """A filter may need what no row holds, so the images are decoded for it; nothing else about them changes."""

    class Odd:
        """Rejects pictures of odd numbers by their hashes, which are decoded."""

        def fault(self, image: Accepted) -> str:
            return "odd" if image.fingerprint.phash & 1 else ""

    dataset = Dataset.of(work, [picture(0), picture(1), picture(2)], keep_rejected=True)
    with patch.object(dataset, "changed", {"filters": {"odd": Odd()}.__getitem__}):
        dataset.rebuild(filters=("odd",))
        assert dataset.fates == ["accepted", "odd", "accepted"]
    dataset.rebuild(filters=())
    assert list(dataset.images) == [picture(0), picture(1), picture(2)]


def test_a_dataset_that_drops_by_hashes_goes_on_to_do_so(work: Path) -> None:
    """Older datasets keep their rule: the first of two images with near hashes stays, and the distance may change."""
    pictures = [picture(0), copy(0), picture(1)]
    dataset = Dataset.of(work, pictures, twins=TwinRule.HASHES, near=NearRule(1, 1), keep_rejected=True)
    assert list(dataset.images) == pictures
    dataset.rebuild(near=NearRule())
    assert list(dataset.images) == [picture(0), picture(1)]
    dataset.rebuild(near=NearRule(1, 1))
    assert list(dataset.images) == pictures


def test_removed_images_are_held_no_longer_and_all_others_are(work: Path) -> None:
    """Twins of removed images may come in elsewhere; those of kept ones may not, whatever becomes of the attempt."""
    dataset = Dataset.of(work, [picture(0), picture(1)])
    assembly = dataset.assembly
    key = assembly.chunk(4, index=1)
    dataset.decide(EXCLUDE, picture(0))
    dataset.rebuild()
    dataset.revise(min_width=101)
    with pytest.raises(InvalidRequest, match="no image of chunk d/1 would be left"):
        dataset.run(downloader=_Unreachable())
    assert assembly.status.get(dataset.key).status is Status.COMPLETED
    assembly.decisions.take_back(assembly.decisions.read("d"))
    outcome = assembly.pipeline(silent).run(key)
    assert isinstance(outcome, Done)
    assert (outcome.result.progress.accepted, outcome.result.progress.rejected) == (1, {"seen_in_dataset": 1})


class _Dead(dict[int, BaseException]):
    """Faults from one call on: the process was killed, so it calls nothing any more."""

    def __init__(self, first: int) -> None:
        self.first = first

    def get(self, count: int, default: object = None) -> Any:  # noqa: ANN401 - as in a dict
        return SystemExit("killed") if count >= self.first else default


def test_a_death_at_any_call_leaves_the_old_archive_or_the_new_one(work: Path) -> None:
    """Whatever was stored when the process died, another attempt ends as if nothing had happened."""
    pictures = [picture(0), small(1), picture(2), near := copy(2, side=90), picture(4)]

    def begun(folder: str) -> Dataset:
        dataset = Dataset.of(work / folder, pictures, keep_rejected=True, min_width=80)
        dataset.decide(EXCLUDE, picture(2), picture(0))
        dataset.decide(RELABEL, picture(4), label="panda")
        dataset.revise(min_width=50)
        return dataset

    whole = begun("whole")
    old = whole.archives.store.head("d/data/chunk_1.json").sha256
    whole.assembly.faults.count = 0
    new = whole.run(downloader=_Unreachable())
    calls = whole.assembly.faults.count
    assert list(whole.images) == [small(1), near, picture(4)]
    met = set[str]()
    for call in (*range(1, calls - 32, 8), *range(calls - 32, calls + 1, 2)):  # most of the last ones change something
        dataset = begun(f"death-{call}")
        assembly = dataset.assembly
        assembly.faults.count, assembly.faults.plan = 0, _Dead(call)
        with pytest.raises(SystemExit):
            dataset.run(downloader=_Unreachable())
        assembly.faults.plan = {}
        found = assembly.store.head("d/data/chunk_1.json").sha256
        met.add(found)
        assembly.later()
        if assembly.status.get(dataset.key).status is not Status.COMPLETED:
            dataset.run(downloader=_Unreachable())
        record = assembly.status.get(dataset.key)
        assert record.result is not None
        assert (record.result.sha256, record.result.progress, record.result.kept) == (
            new.sha256,
            new.progress,
            new.kept,
        )
        assert (dataset.images, dataset.outcomes) == (whole.images, whole.outcomes)
        assert not dataset.changes().is_touched
        # the bytes of what was removed are still there: of a pair, only the copy that is kept meanwhile stays
        assembly.decisions.take_back(assembly.decisions.read("d"))
        assert dataset.changes().returned == 1
    assert met == {old, new.sha256}
    assert calls >= 20


def test_an_archive_that_cannot_be_replaced_or_read_stays(work: Path) -> None:
    """The chunk must not count as failed: its archive is still there, and says so under its record."""
    dataset = Dataset.of(work, [picture(0), picture(1)])
    assembly = dataset.assembly
    dataset.decide(EXCLUDE, picture(0))
    dataset.revise()

    class Refusing:
        """A store that can only create."""

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of the store
            return getattr(assembly.store, name)

        def put(self, *args: Any, replacing: str | None = None, **more: Any) -> Any:  # noqa: ANN401
            if replacing:
                raise StoreDenied("this store cannot replace a blob")
            return assembly.store.put(*args, **more)

    with pytest.raises(StoreDenied, match="cannot replace"):
        dataset.run(store=Refusing())
    record = assembly.status.get(dataset.key)
    assert (record.status, record.error) == (Status.COMPLETED, "this store cannot replace a blob")
    assert list(dataset.images) == [picture(0), picture(1)]
    assembly.store.delete("d/data/chunk_1.json")
    with pytest.raises(InvalidRequest, match="is missing"):
        dataset.changes()
    dataset.revise()
    with pytest.raises(InvalidRequest, match="is missing"):
        dataset.run()
    assert assembly.status.get(dataset.key).status is Status.COMPLETED


def test_every_claim_of_a_chunk_to_be_rebuilt_fetches_nothing(work: Path) -> None:
    """A worker that meets the chunk after `apply` was killed finishes it from stored images, too."""
    dataset = Dataset.of(work, [picture(0), picture(1)])
    dataset.decide(EXCLUDE, picture(0))
    dataset.revise()
    assert isinstance(dataset.assembly.status.claim(dataset.key, "killed", 60.0), Claimed)
    dataset.assembly.later()
    dataset.run(downloader=_Unreachable())
    assert list(dataset.images) == [picture(1)]


def test_older_chunks_have_no_outcomes_and_are_rebuilt_nevertheless(work: Path) -> None:
    """Datasets that were made before outcomes were stored can be curated, too."""
    dataset = Dataset.of(work, [picture(0), small(1), picture(2)])
    status = dataset.assembly.status
    record = status.get(dataset.key)
    assert record.result is not None
    status.reopen(dataset.key)
    answer = status.claim(dataset.key, "me", 60.0)
    assert isinstance(answer, Claimed)
    status.complete(answer.claim, evolve(record.result, outcomes=None, previews=None, quality=None))
    result = dataset.rebuild(min_width=80)
    assert list(dataset.images) == [picture(0), picture(2)]
    assert (result.progress.rejected, result.outcomes, result.kept) == ({"too_small": 1}, None, "0,2")


def test_measures_that_a_row_lacks_are_measured(work: Path) -> None:
    """A rule for sharpness must not pass images only because an older version did not measure them."""
    dataset = Dataset.of(work, [picture(0), picture(1)])
    decoded: list[str] = []

    class Measuring(MemoryValidator):
        def validate(self, downloads: Any) -> Any:  # noqa: ANN401 - as the port
            for verdict in super().validate(downloads):
                decoded.append(verdict.download.candidate.url)
                yield verdict

    finder = ChangesFinder(
        dataset.archives, Decided(), dataset.pipeline(validator=Measuring(), twins=MemoryTwinFinder())
    )
    record = dataset.assembly.status.get(dataset.key)
    assert not finder.find(record, evolve(record.chunk.request.quality, min_height=60)).is_touched
    assert decoded == []
    finder.find(record, evolve(record.chunk.request.quality, min_sharpness=100))
    assert decoded == ["memory:q/0", "memory:q/1"]


def test_an_image_that_comes_back_is_converted_like_the_others(work: Path) -> None:
    """A kept reject may be the collected image; the archive of such a dataset holds converted ones only."""
    how = Conversion(size=20, encode="webp")  # type: ignore[arg-type] # by name, as users write it
    pictures = [picture(0), small(1), picture(2)]
    dataset = Dataset.of(work, pictures, store_as=how, min_width=80, keep_rejected=True)
    before = dataset.archives.rows(dataset.assembly.status.get(dataset.key))
    dataset.decide(EXCLUDE, picture(0))
    dataset.rebuild()
    dataset.assembly.decisions.take_back(dataset.assembly.decisions.read("d"))
    dataset.rebuild(min_width=50)
    after = dataset.archives.rows(dataset.assembly.status.get(dataset.key))
    assert [row["original_sha256"] for row in after] == [sha(data) for data in pictures]
    assert after[0] == before[0]
    assert after[2]["sha256"] == before[1]["sha256"]
    assert after[1]["sha256"] == dataset.outcomes[1]["stored_sha256"] != sha(small(1))
