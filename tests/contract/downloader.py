"""The contract of every downloader: the promises of ``pixcore.ports.downloader``."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from attrs import evolve

from pixcore.errors import InvalidRequest, WorkspaceFull
from pixcore.model.images import CandidateKey, Download, Miss, MissReason
from pixcore.model.requests import Slice
from pixcore.planning.plan import Lane
from pixcore.ports import Downloader

from .disk import no_file_above

# Makes a source of these results in order (None for a missing one) and returns its lane and downloader.
Serve = Callable[[Sequence[bytes | None]], tuple[Downloader, Lane]]

PICTURES = [f"picture {n}".encode() * (n + 1) for n in range(12)]


def slice_of(lane: Lane, start: int, stop: int) -> Slice:
    """Return a slice of a lane."""
    return Slice(lane.source, lane.query, start, stop, lane.snapshot)


def positions(items: Sequence[Download | Miss]) -> list[int]:
    """Return the items' positions in their source."""
    return [item.candidate.key.position for item in items]


def contents(items: Sequence[Download | Miss]) -> list[bytes | None]:
    """Return the downloaded bytes, None for a miss."""
    return [item.path.read_bytes() if isinstance(item, Download) else None for item in items]


class DownloaderContract:
    """The promises, one for each test. A subclass provides the downloader and serves the pictures to it."""

    gone: str = MissReason.GONE
    """The reason of a miss for a picture that is not there."""

    def handles(self) -> set[str]:
        """Return the open file descriptors of this process, without those of the source."""
        return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}

    @pytest.fixture
    def serve(self, tmp_path: Path) -> Serve:
        """Return a function that makes a source."""
        raise NotImplementedError

    @pytest.fixture
    def into(self, tmp_path: Path) -> Path:
        """Return an empty work directory."""
        folder = tmp_path / "work"
        folder.mkdir()
        return folder

    def test_every_candidate_comes_once_in_order_and_whole(self, serve: Serve, into: Path) -> None:
        """Every candidate is yielded once, complete and in order, so that `images/000000` does not depend on timing."""
        downloader, lane = serve(PICTURES)
        items = list(downloader.download([slice_of(lane, 0, 12)], into))
        assert positions(items) == list(range(12))
        assert contents(items) == PICTURES
        assert {(item.candidate.key.source, item.candidate.key.query) for item in items} == {(lane.source, lane.query)}

    def test_a_download_is_as_described(self, serve: Serve, into: Path) -> None:
        """A download is its own file in the work directory, with the stated size and a time in UTC."""
        downloader, lane = serve(PICTURES)
        items = [item for item in downloader.download([slice_of(lane, 0, 12)], into) if isinstance(item, Download)]
        assert {item.path for item in items} == set(into.rglob("*"))
        assert len({item.path for item in items}) == 12
        assert [item.size for item in items] == [len(picture) for picture in PICTURES]
        assert {item.fetched_at.utcoffset() for item in items} == {timedelta(0)}
        assert all(item.fetched_at.tzinfo is UTC and item.candidate.url for item in items)

    def test_a_slice_is_kept_to(self, serve: Serve, into: Path) -> None:
        """Only candidates of the slice are downloaded; the others belong to other chunks."""
        downloader, lane = serve(PICTURES)
        items = list(downloader.download([slice_of(lane, 3, 6)], into))
        assert (positions(items), contents(items)) == ([3, 4, 5], PICTURES[3:6])

    def test_slices_are_downloaded_in_order(self, serve: Serve, into: Path) -> None:
        """The slices of a chunk are downloaded in their order."""
        downloader, lane = serve(PICTURES)
        items = list(downloader.download([slice_of(lane, 8, 10), slice_of(lane, 0, 2)], into))
        assert positions(items) == [8, 9, 0, 1]
        assert contents(items) == [*PICTURES[8:10], *PICTURES[0:2]]

    @pytest.mark.parametrize(("start", "left"), [(10, [10, 11]), (12, []), (99, [])])
    def test_a_slice_beyond_the_end_yields_fewer_items(
        self, serve: Serve, into: Path, start: int, left: list[int]
    ) -> None:
        """A slice beyond the end of a source yields fewer items and no error."""
        downloader, lane = serve(PICTURES)
        assert positions(list(downloader.download([slice_of(lane, start, start + 5)], into))) == left

    def test_a_bad_candidate_is_one_miss_in_its_place(self, serve: Serve, into: Path) -> None:
        """A missing picture is one miss at its position, and the others follow."""
        served = [PICTURES[0], None, PICTURES[2]]
        downloader, lane = serve(served)
        items = list(downloader.download([slice_of(lane, 0, 3)], into))
        assert (positions(items), contents(items)) == ([0, 1, 2], served)
        miss = items[1]
        assert isinstance(miss, Miss)
        assert (miss.reason, miss.permanent) == (self.gone, True)
        assert len(list(into.iterdir())) == 2

    def test_a_slice_of_misses_is_no_error(self, serve: Serve, into: Path) -> None:
        """A slice in which every candidate is a miss is no error here; the pipeline decides."""
        downloader, lane = serve([None, None])
        assert contents(list(downloader.download([slice_of(lane, 0, 2)], into))) == [None, None]

    def test_candidates_to_skip_are_not_yielded(self, serve: Serve, into: Path) -> None:
        """Candidates in `skip` are neither fetched nor yielded again."""
        downloader, lane = serve(PICTURES)
        skip = frozenset(CandidateKey(lane.source, lane.query, n) for n in (0, 3, 4, 99))
        items = list(downloader.download([slice_of(lane, 0, 6)], into, skip))
        assert (positions(items), contents(items)) == ([1, 2, 5], [PICTURES[n] for n in (1, 2, 5)])

    def test_resuming_loses_and_repeats_nothing(self, serve: Serve, into: Path) -> None:
        """Resuming in the same work directory repeats no candidate and overwrites no file."""
        downloader, lane = serve(PICTURES)
        slices = [slice_of(lane, 6, 9), slice_of(lane, 0, 3)]
        first = downloader.download(slices, into)
        items = [next(first), next(first)]
        first.close()
        items += downloader.download(slices, into, frozenset(item.candidate.key for item in items))
        assert positions(items) == [6, 7, 8, 0, 1, 2]
        assert contents(items) == [*PICTURES[6:9], *PICTURES[0:3]]

    def test_nothing_happens_before_the_first_item_is_requested(self, serve: Serve, into: Path) -> None:
        """Nothing is fetched before the first item is requested."""
        downloader, lane = serve(PICTURES)
        downloader.download([slice_of(lane, 0, 12)], into).close()
        assert list(into.iterdir()) == []

    def test_closing_early_leaves_nothing_behind(self, serve: Serve, into: Path) -> None:
        """Closing early, as a chunk does at its target, leaves no thread, descriptor or partial file."""
        downloader, lane = serve(PICTURES)
        handles, threads = self.handles(), set(threading.enumerate())
        items = downloader.download([slice_of(lane, 0, 12)], into)
        taken = [next(items), next(items)]
        items.close()
        # what an earlier test left to the garbage collector may close meanwhile
        assert (self.handles() - handles, set(threading.enumerate()) - threads) == (set(), set())
        assert contents(taken) == PICTURES[:2]
        assert {path.read_bytes() for path in into.rglob("*")} <= set(PICTURES)

    def test_waiting_is_called_in_the_consumers_thread(self, serve: Serve, into: Path) -> None:
        """`waiting` is called in the consumer's thread, several times a second while an item is awaited."""
        downloader, lane = serve(PICTURES)
        callers: set[threading.Thread] = set()
        items = downloader.download(
            [slice_of(lane, 0, 12)], into, frozenset(), lambda: callers.add(threading.current_thread())
        )
        assert positions(list(items)) == list(range(12))
        assert callers <= {threading.current_thread()}

    def test_a_slice_of_another_source_is_refused(self, serve: Serve, into: Path) -> None:
        """A slice of another source is refused; collecting nothing would hide the mistake."""
        downloader, lane = serve(PICTURES)
        with pytest.raises(InvalidRequest, match="no such source"):
            next(downloader.download([evolve(slice_of(lane, 0, 3), source="no such source")], into))

    def test_a_full_disk_is_reported(self, serve: Serve, into: Path) -> None:
        """A full disk raises WorkspaceFull; it is not a miss."""
        downloader, lane = serve([b"small", bytes(1 << 18)])
        items = downloader.download([slice_of(lane, 0, 2)], into)
        with no_file_above(1 << 12):
            assert isinstance(next(items), Download)
            with pytest.raises(WorkspaceFull, match="free some room"):
                next(items)
