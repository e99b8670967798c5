"""What every downloader must keep of the promises in ``pixcore.ports.downloader``."""

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

# Makes a source of these results in order, None for one that is gone, and says how to reach them.
Serve = Callable[[Sequence[bytes | None]], tuple[Downloader, Lane]]

PICTURES = [f"picture {n}".encode() * (n + 1) for n in range(12)]


def piece(lane: Lane, start: int, stop: int) -> Slice:
    """A slice of a lane."""
    return Slice(lane.source, lane.query, start, stop, lane.snapshot)


def positions(items: Sequence[Download | Miss]) -> list[int]:
    """Where the items stand in their source."""
    return [item.candidate.key.position for item in items]


def contents(items: Sequence[Download | Miss]) -> list[bytes | None]:
    """What was downloaded, None for a miss."""
    return [item.path.read_bytes() if isinstance(item, Download) else None for item in items]


class DownloaderContract:
    """The promises, one a test. A subclass says which downloader, and serves the pictures to it."""

    gone: str = MissReason.GONE
    """The reason of a miss for a picture that is not there."""

    def handles(self) -> set[str]:
        """What this process has open, without what the source itself has."""
        return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}

    @pytest.fixture
    def serve(self, tmp_path: Path) -> Serve:
        """Give what makes a source."""
        raise NotImplementedError

    @pytest.fixture
    def into(self, tmp_path: Path) -> Path:
        """Give an empty work directory."""
        folder = tmp_path / "work"
        folder.mkdir()
        return folder

    def test_every_candidate_comes_once_in_order_and_whole(self, serve: Serve, into: Path) -> None:
        """Which picture is `images/000000` must not depend on which server was fast."""
        downloader, lane = serve(PICTURES)
        items = list(downloader.download([piece(lane, 0, 12)], into))
        assert positions(items) == list(range(12))
        assert contents(items) == PICTURES
        assert {(item.candidate.key.source, item.candidate.key.query) for item in items} == {(lane.source, lane.query)}

    def test_a_download_is_as_described(self, serve: Serve, into: Path) -> None:
        """Its own file in the work directory, of the size that it states, at a moment in UTC."""
        downloader, lane = serve(PICTURES)
        items = [item for item in downloader.download([piece(lane, 0, 12)], into) if isinstance(item, Download)]
        assert {item.path for item in items} == set(into.rglob("*"))
        assert len({item.path for item in items}) == 12
        assert [item.size for item in items] == [len(picture) for picture in PICTURES]
        assert {item.fetched_at.utcoffset() for item in items} == {timedelta(0)}
        assert all(item.fetched_at.tzinfo is UTC and item.candidate.url for item in items)

    def test_a_slice_is_kept_to(self, serve: Serve, into: Path) -> None:
        """What lies outside belongs to other chunks."""
        downloader, lane = serve(PICTURES)
        items = list(downloader.download([piece(lane, 3, 6)], into))
        assert (positions(items), contents(items)) == ([3, 4, 5], PICTURES[3:6])

    def test_slices_come_in_turn(self, serve: Serve, into: Path) -> None:
        """A chunk may get what is left of several lanes; the order of its slices counts."""
        downloader, lane = serve(PICTURES)
        items = list(downloader.download([piece(lane, 8, 10), piece(lane, 0, 2)], into))
        assert positions(items) == [8, 9, 0, 1]
        assert contents(items) == [*PICTURES[8:10], *PICTURES[0:2]]

    @pytest.mark.parametrize(("start", "left"), [(10, [10, 11]), (12, []), (99, [])])
    def test_a_slice_beyond_the_end_gives_what_there_is(
        self, serve: Serve, into: Path, start: int, left: list[int]
    ) -> None:
        """Sources promise more than they have: fewer items, no error."""
        downloader, lane = serve(PICTURES)
        assert positions(list(downloader.download([piece(lane, start, start + 5)], into))) == left

    def test_a_bad_candidate_is_one_miss_in_its_place(self, serve: Serve, into: Path) -> None:
        """One picture that is gone must cost the chunk one picture."""
        served = [PICTURES[0], None, PICTURES[2]]
        downloader, lane = serve(served)
        items = list(downloader.download([piece(lane, 0, 3)], into))
        assert (positions(items), contents(items)) == ([0, 1, 2], served)
        miss = items[1]
        assert isinstance(miss, Miss)
        assert (miss.reason, miss.permanent) == (self.gone, True)
        assert len(list(into.iterdir())) == 2

    def test_no_good_candidate_at_all_is_no_error_here(self, serve: Serve, into: Path) -> None:
        """What it means is the pipeline's to decide."""
        downloader, lane = serve([None, None])
        assert contents(list(downloader.download([piece(lane, 0, 2)], into))) == [None, None]

    def test_what_is_to_be_skipped_is_passed_over(self, serve: Serve, into: Path) -> None:
        """After a failure the chunk goes on; nothing is fetched or judged twice."""
        downloader, lane = serve(PICTURES)
        skip = frozenset(CandidateKey(lane.source, lane.query, n) for n in (0, 3, 4, 99))
        items = list(downloader.download([piece(lane, 0, 6)], into, skip))
        assert (positions(items), contents(items)) == ([1, 2, 5], [PICTURES[n] for n in (1, 2, 5)])

    def test_going_on_after_a_stop_loses_and_repeats_nothing(self, serve: Serve, into: Path) -> None:
        """Both halves lie in one work directory and must not overwrite each other."""
        downloader, lane = serve(PICTURES)
        slices = [piece(lane, 6, 9), piece(lane, 0, 3)]
        first = downloader.download(slices, into)
        items = [next(first), next(first)]
        first.close()
        items += downloader.download(slices, into, frozenset(item.candidate.key for item in items))
        assert positions(items) == [6, 7, 8, 0, 1, 2]
        assert contents(items) == [*PICTURES[6:9], *PICTURES[0:3]]

    def test_nothing_happens_before_it_is_asked_for(self, serve: Serve, into: Path) -> None:
        """Opening a chunk must cost nothing until the pipeline pulls."""
        downloader, lane = serve(PICTURES)
        downloader.download([piece(lane, 0, 12)], into).close()
        assert list(into.iterdir()) == []

    def test_closing_early_leaves_nothing_behind(self, serve: Serve, into: Path) -> None:
        """A chunk stops at its target, thousands of times a day: no thread, no descriptor, no half a file."""
        downloader, lane = serve(PICTURES)
        handles, threads = self.handles(), threading.active_count()
        items = downloader.download([piece(lane, 0, 12)], into)
        taken = [next(items), next(items)]
        items.close()
        # what an earlier test left to be closed may be gone by now
        assert (self.handles() - handles, threading.active_count()) == (set(), threads)
        assert contents(taken) == PICTURES[:2]
        assert {path.read_bytes() for path in into.rglob("*")} <= set(PICTURES)

    def test_whoever_waits_is_called_by_the_one_who_asks(self, serve: Serve, into: Path) -> None:
        """The chunk's own thread looks meanwhile whether to go on; how often depends on how long there is to wait."""
        downloader, lane = serve(PICTURES)
        callers: set[threading.Thread] = set()
        items = downloader.download(
            [piece(lane, 0, 12)], into, frozenset(), lambda: callers.add(threading.current_thread())
        )
        assert positions(list(items)) == list(range(12))
        assert callers <= {threading.current_thread()}

    def test_a_strangers_slice_is_refused(self, serve: Serve, into: Path) -> None:
        """A worker that lacks a source must say so, not collect nothing."""
        downloader, lane = serve(PICTURES)
        with pytest.raises(InvalidRequest, match="no such source"):
            next(downloader.download([evolve(piece(lane, 0, 3), source="no such source")], into))

    def test_no_room_is_said(self, serve: Serve, into: Path) -> None:
        """A full disk is no candidate's fault: it would end as a chunk of misses."""
        downloader, lane = serve([b"small", bytes(1 << 18)])
        items = downloader.download([piece(lane, 0, 2)], into)
        with no_file_above(1 << 12):
            assert isinstance(next(items), Download)
            with pytest.raises(WorkspaceFull, match="free some room"):
                next(items)
