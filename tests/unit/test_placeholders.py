"""The bytes to which many URLs lead are a placeholder, of which a chunk keeps none."""

from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_assembly import MemoryAssembly, copy, picture

from pixcore import ChunkKey, ChunkRequest, Decision, DecisionKind, Done, Quality, Slice
from pixcore.chunk import selection
from pixcore.chunk.events import Event, ImageAccepted, ImageRejected, ImageReplaced, ImageWithdrawn, Observer
from pixcore.model.chunks import ChunkResult
from pixcore.model.decisions import placeholder
from pixcore.stored.archives import StoredArchives
from pixcore.stored.outcomes import outcome_lines
from pixcore_adapters.downloader.memory import MemoryDownloader

GONE = picture(999)
WEB, FOLDER = "//host", "folder"  # queries: the addresses of the first are URLs


@define
class Dataset:
    """A dataset in memory, whose chunks get their pictures from one query."""

    assembly: MemoryAssembly
    query: str = WEB
    observer: Observer | None = None
    chunks: list[ChunkKey] = field(factory=list)

    def run(self, pictures: list[bytes], target: int = 0, **quality: Any) -> ChunkResult:  # noqa: ANN401
        """Plan one more chunk over these pictures, and run it."""
        results = self.assembly.pictures
        first = len(results)
        results += pictures
        request = ChunkRequest(
            len(self.chunks),
            "cat",
            target or len(pictures),
            [Slice("memory", self.query, first, len(results))],
            dataset="d",
            quality=Quality(**quality),
        )
        (chunk,) = self.assembly.status.ensure([request])
        self.chunks.append(chunk.key)
        pipeline = self.assembly.pipeline(self.observer, downloader=MemoryDownloader({self.query: results}))
        outcome = pipeline.run(chunk.key)
        assert isinstance(outcome, Done)
        return outcome.result

    def outcomes(self, chunk: int = 0) -> list[str]:
        """Return the outcomes of a chunk's candidates."""
        return [str(line["outcome"]) for line in self._lines(chunk)]

    def details(self, chunk: int = 0) -> set[object]:
        """Return the details of a chunk's placeholders."""
        return {line.get("detail") for line in self._lines(chunk) if line["outcome"] == "placeholder"}

    def packed(self, chunk: int = 0) -> list[tuple[str, str]]:
        """Return the name of each image of an archive, and which picture it is."""
        rows = self._archives.rows(self.assembly.status.get(self.chunks[chunk]))
        return [(str(row["file_name"]), str(row["url"]).rpartition("/")[2]) for row in rows]

    def decided(self) -> list[str]:
        """Return the reasons of the recorded decisions."""
        return [each.reason for each in self.assembly.decisions.read("d")]

    @property
    def _archives(self) -> StoredArchives:
        return StoredArchives(self.assembly.store, [self.assembly.archiver], self.assembly.work)

    def _lines(self, chunk: int) -> list[Any]:
        return list(outcome_lines(self.assembly.status.get(self.chunks[chunk]), self._archives))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Return an empty dataset."""
    return Dataset(MemoryAssembly(tmp_path / "work", []))


def test_a_picture_behind_five_urls_is_not_kept(dataset: Dataset) -> None:
    """The copy that was kept leaves the archive, file numbers have no hole, and all counts and lines say so."""
    many = [picture(0), GONE, *map(picture, range(1, 40)), GONE, picture(40), GONE, GONE, picture(41), GONE, GONE]
    result = dataset.run(many)
    assert (result.progress.accepted, result.progress.rejected) == (42, {"placeholder": 6})
    assert dataset.packed() == [
        (f"images/{number:06d}.json", str(place))
        for number, place in enumerate(place for place, data in enumerate(many) if data != GONE)
    ]
    assert dataset.outcomes() == ["placeholder" if data == GONE else "accepted" for data in many]
    assert dataset.details() == {"6 URLs led to these bytes"}
    assert {sample.detail for sample in result.rejects} == {"6 URLs led to these bytes"}
    assert len(result.rejects) == 4
    assert dataset.decided() == ["placeholder: 6 URLs led to these bytes"]
    assert _counted(dataset.assembly.events) == (42, 6)


def _counted(events: list[Event]) -> tuple[int, int]:
    """Return how many images are accepted and rejected, by the events."""
    kinds = Counter(type(event) for event in events)
    accepted = kinds[ImageAccepted] - kinds[ImageWithdrawn]
    return accepted, kinds[ImageRejected] + kinds[ImageReplaced] + kinds[ImageWithdrawn]


def test_the_target_is_filled_by_others(dataset: Dataset) -> None:
    """A withdrawn image counts for nothing, so collecting goes on."""
    result = dataset.run([GONE, picture(0), *[GONE] * 4, picture(1), picture(2), picture(3)], target=3)
    assert (result.progress.accepted, result.shortfall) == (3, 0)
    assert [place for _, place in dataset.packed()] == ["1", "6", "7"]


@pytest.mark.parametrize(
    ("query", "quality", "copies"),
    [(FOLDER, {}, 9), (WEB, {}, 4), (WEB, {"placeholder_urls": 0}, 9), (WEB, {"placeholder_urls": 10}, 9)],
)
def test_what_is_no_placeholder(dataset: Dataset, query: str, quality: dict[str, int], copies: int) -> None:
    """Files of a folder, fewer URLs than the limit, and any number without a limit: one copy stays, as ever."""
    dataset.query = query
    dataset.run([*[GONE] * copies, picture(0)], **quality)
    assert dataset.outcomes() == ["accepted", *["duplicate"] * (copies - 1), "accepted"]
    assert dataset.decided() == []


def test_an_included_image_is_no_placeholder(dataset: Dataset) -> None:
    """A curator overrules the count."""
    at = datetime(2026, 5, 4, tzinfo=UTC)
    dataset.assembly.decisions.record([Decision("d", DecisionKind.INCLUDE, sha256(GONE).hexdigest(), by="ann", at=at)])
    dataset.run([GONE] * 6)
    assert dataset.outcomes() == ["accepted", *["duplicate"] * 5]


def test_what_a_curator_decides_meanwhile_counts(dataset: Dataset) -> None:
    """An image that is included while its chunk runs is not excluded when the chunk ends."""
    include = Decision(
        "d", DecisionKind.INCLUDE, sha256(GONE).hexdigest(), by="ann", at=datetime(2026, 5, 4, tzinfo=UTC)
    )

    def observer(event: Event) -> None:
        if isinstance(event, ImageWithdrawn):
            dataset.assembly.decisions.record([include])

    dataset.observer = observer
    dataset.run([*[GONE] * 5, picture(0)])
    assert list(dataset.assembly.decisions.read("d")) == [include]


def test_a_known_placeholder_is_rejected_at_first_sight(dataset: Dataset) -> None:
    """One URL suffices, and the detail says since when it is known."""
    at = datetime(2026, 5, 4, tzinfo=UTC)
    dataset.assembly.decisions.record([placeholder("d", sha256(GONE).hexdigest(), "it is listed", at)])
    dataset.run([GONE, picture(0)], placeholder_urls=0)
    assert dataset.outcomes() == ["placeholder", "accepted"]
    assert dataset.details() == {"it is listed, as of 2026-05-04"}


def test_the_urls_of_all_chunks_count(dataset: Dataset) -> None:
    """The chunk of the fifth URL and later ones keep none; a decision excludes the copy that the first one holds."""
    dataset.run([GONE, picture(0), GONE])
    dataset.run([picture(1), GONE])
    assert dataset.outcomes(1) == ["accepted", "seen_in_dataset"]
    dataset.run([GONE, picture(2), GONE])
    assert dataset.outcomes(2) == ["placeholder", "accepted", "placeholder"]
    assert dataset.decided() == ["placeholder: 5 URLs led to these bytes"]
    dataset.run([picture(3), GONE])
    assert dataset.outcomes(3) == ["accepted", "placeholder"]
    sha = sha256(GONE).hexdigest()
    assert dataset.assembly.seen.holders("d", [sha]) == {sha: dataset.chunks[0]}


def test_a_repeated_url_counts_once(dataset: Dataset) -> None:
    """Chunks that were planned over the same candidates, as searches may give them, add nothing."""
    for _ in range(6):
        dataset.assembly.pictures.clear()
        dataset.run([GONE, picture(len(dataset.chunks) + 1)])
    assert [dataset.outcomes(each)[0] for each in range(6)] == ["accepted", *["seen_in_dataset"] * 5]


@settings(max_examples=10)
@given(order=st.lists(st.sampled_from(range(6)), min_size=5, max_size=40), limit=st.integers(2, 6))
def test_the_result_does_not_depend_on_the_groups(
    order: list[int], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Verdicts are decided in groups as they arrive; copies, better copies and placeholders end the same."""
    pictures = [picture(0), copy(0, side=200), copy(0, side=60), picture(1), picture(2), copy(2, side=200)]
    found = set()
    for size in (1, 7):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(selection, "_GROUP", size)
            dataset = Dataset(MemoryAssembly(tmp_path_factory.mktemp("group") / "work", []))
            data = [pictures[each] for each in order] + [picture(7)]
            result = dataset.run(data, placeholder_urls=limit)
        lines = [line["outcome"] for line in dataset._lines(0)]
        found.add((str(result.progress), str(dataset.packed()), str(lines)))
        counts = Counter(lines)
        assert result.progress.accepted == counts.pop("accepted")
        assert result.progress.rejected == counts
        for each, many in Counter(data).items():
            outcomes = {line for line, one in zip(lines, data, strict=True) if one == each}
            assert (outcomes == {"placeholder"}) == (many >= limit)
    assert len(found) == 1
