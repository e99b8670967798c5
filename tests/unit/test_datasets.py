"""From what is asked for to the chunks of a dataset: names filled in, planned once, extended later."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pixcore import ChunkRequest, InvalidRequest, Lane, NoValidImages, Slice, StoreNotFound
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.listing import Listing
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_runners.datasets import Wanted, known_dataset, proposed

CATS = Wanted(("folder:/cats",), chunk_size=4, keyword="cats", dataset="pets")


class Folders:
    """Folders of known length whose listing grows at its end."""

    def __init__(self, **lengths: int) -> None:
        self.lengths = lengths

    @contextmanager
    def listing(self, source: str, _: str, planned: Iterable[Slice] = ()) -> Iterator[Listing]:
        """What lies behind the slices that are planned."""
        folder = source.removeprefix("folder:/")
        used = max((piece.stop for piece in planned if piece.query == folder), default=0)
        yield Listing(Lane("folder", folder, used, self.lengths[folder], snapshot="x"), BytesIO())


def extend(wanted: Wanted, status: MemoryStatusRepo, folders: Folders) -> list[ChunkRequest]:
    """Plan what is lacking and write it down; all that the dataset has then."""
    with proposed(wanted, status, folders.listing) as proposal:
        list(proposal.write_down(status, MemoryBlobStore()))
    return [record.chunk.request for record in status.find(wanted.dataset)]


def images(requests: Iterable[ChunkRequest]) -> int:
    """How many images these chunks are to have."""
    return sum(request.target for request in requests)


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "keyword", "dataset", "named"),
    [
        (("folder:/data/red panda",), "", "", ("red panda", "red-panda")),
        (("folder:/data/cats", "folder:/dogs"), "", "", ("cats", "cats")),
        (("folder:/data/cats",), "  grey cat ", "", ("grey cat", "grey-cat")),
        (("folder:/data/cats",), "cats", "mine", ("cats", "mine")),
        (("folder:/data/cats",), "../etc/passwd", "", ("../etc/passwd", "etc-passwd")),
        (("folder:/data/cats",), "红熊猫", "", ("红熊猫", "红熊猫")),
        (("folder:/data/cats",), "!?", "", ("!?", "dataset")),
        (("folder:/data/cats",), "cats " * 50, "", (("cats " * 50).strip(), "cats-" * 20)),
    ],
)
def test_names_left_out_are_filled_in(
    sources: tuple[str, ...], keyword: str, dataset: str, named: tuple[str, str]
) -> None:
    """The keyword is the first folder's name; the dataset is called as its keyword, as far as it can be."""
    wanted = Wanted(sources, 500, keyword, dataset).named()
    assert (wanted.keyword, wanted.dataset) == named


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``folder:.`` is not a keyword of one dot."""
    (tmp_path / "cats").mkdir()
    monkeypatch.chdir(tmp_path / "cats")
    assert Wanted(("folder:.",), 500).named().keyword == "cats"


@given(st.text(min_size=1).filter(str.strip))
def test_every_keyword_makes_a_dataset_name(keyword: str) -> None:
    """Nobody has to name a dataset because a keyword is odd; and a name stays itself."""
    wanted = Wanted(("folder:/cats",), 500, keyword).named()
    assert wanted.named() == wanted


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (Wanted((), 500), "no source is given"),
        (Wanted(("flickr:cats",), 500), "unknown source 'flickr:cats'"),
        (Wanted(("folder",), 500), "names nothing"),
        (Wanted(("folder:/cats",), 500, dataset=".hidden"), "dataset name '.hidden' cannot be used"),
    ],
)
def test_what_cannot_be_named_is_refused(wanted: Wanted, complaint: str) -> None:
    """Before any folder is read."""
    with pytest.raises(InvalidRequest, match=complaint):
        wanted.named()


# -- planning --------------------------------------------------------------------------------------------------------


def test_a_dataset_is_planned_once() -> None:
    """Asked again, nothing is lacking: with a count, less or none."""
    status, folders = MemoryStatusRepo(), Folders(cats=10)
    first = extend(evolve(CATS, count=10), status, folders)
    assert [request.target for request in first] == [4, 4, 2]
    for count in (10, 3, None):
        with proposed(evolve(CATS, count=count), status, folders.listing) as proposal:
            assert list(proposal.requests) == []


def test_a_count_that_is_reached_needs_no_folder() -> None:
    """The photos may be gone once they are packed."""
    status = MemoryStatusRepo()
    extend(evolve(CATS, count=4), status, Folders(cats=4))
    with proposed(evolve(CATS, count=4), status, Folders().listing) as proposal:
        assert list(proposal.requests) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(1, 60)), st.integers(1, 9)),
        min_size=1,
        max_size=6,
    )
)
def test_extending_keeps_what_is_there_and_shares_no_candidate(steps: list[tuple[int, int | None, int]]) -> None:
    """However a folder grows and whatever is asked for in whatever chunks: old chunks stay, slices are disjoint."""
    status, folders = MemoryStatusRepo(), Folders(cats=0)
    requests: list[ChunkRequest] = []
    for grown, count, chunk_size in steps:
        folders.lengths["cats"] += grown
        try:
            extended = extend(evolve(CATS, count=count, chunk_size=chunk_size), status, folders)
        except (InvalidRequest, NoValidImages):
            extended = [record.chunk.request for record in status.find("pets")]
            assert extended == requests
        else:
            assert count is None or images(extended) == max(count, images(requests))
        assert extended[: len(requests)] == requests
        requests = extended
    pieces = [piece for request in requests for piece in request.slices]
    assert all(one.stop == other.start for one, other in pairwise(pieces))
    assert [request.index for request in requests] == list(range(len(requests)))


def test_another_keyword_continues_behind_the_first() -> None:
    """One folder, two labels, no file under both; each keyword has a count of its own."""
    status, folders = MemoryStatusRepo(), Folders(cats=20)
    extend(evolve(CATS, count=4), status, folders)
    requests = extend(evolve(CATS, keyword="grey cats", count=4), status, folders)
    assert [(request.keyword, request.index) for request in requests] == [("cats", 0), ("grey cats", 1)]
    assert requests[0].slices[0].stop == requests[1].slices[0].start


def test_a_folder_named_twice_counts_once() -> None:
    """Each of its files would be downloaded twice, and dropped as a duplicate."""
    wanted = evolve(CATS, sources=("folder:/cats", "folder:/cats"))
    assert [len(request.slices) for request in extend(wanted, MemoryStatusRepo(), Folders(cats=4))] == [1]


def test_a_dataset_of_another_store_is_refused() -> None:
    """The listing that fixes its slices is not here; guessing could give a file to two chunks."""

    def missing(*_: object) -> AbstractContextManager[Listing]:
        raise StoreNotFound("there is no blob 'x'")

    with (
        pytest.raises(InvalidRequest, match=r"planned with another store .*there is no blob 'x'.*name that one"),
        proposed(CATS, MemoryStatusRepo(), missing),
    ):
        pass


def test_chunks_are_written_down_in_batches() -> None:
    """A dataset of thousands of chunks is neither held whole nor written one by one."""
    sizes: list[int] = []

    class Counting(MemoryStatusRepo):
        def ensure(self, requests: object) -> object:
            sizes.append(len(requests))
            return super().ensure(requests)

    status = Counting()
    with proposed(evolve(CATS, chunk_size=1), status, Folders(cats=2500).listing) as proposal:
        chunks = list(proposal.write_down(status, MemoryBlobStore()))
    assert sizes == [1000, 1000, 500]
    assert [chunk.request.index for chunk in chunks] == list(range(2500))


def test_an_unknown_dataset_names_the_known_ones() -> None:
    """And where to look when there is none at all."""
    status = MemoryStatusRepo()
    with pytest.raises(InvalidRequest, match=r"knows none yet.*--status"):
        known_dataset("pets", status)
    extend(CATS, status, Folders(cats=4))
    extend(evolve(CATS, dataset="zoo"), status, Folders(cats=4))
    with pytest.raises(InvalidRequest, match="no dataset 'pest' in the status database, which knows pets, zoo"):
        known_dataset("pest", status)
    assert [record.chunk.request.dataset for record in known_dataset("zoo", status)] == ["zoo"]


def test_listings_are_kept_only_when_the_chunks_are_written_down() -> None:
    """What is refused or only looked at leaves nothing in the store; each source is read once either way."""
    store, status = MemoryBlobStore(), MemoryStatusRepo()
    with proposed(CATS, status, Folders(cats=4).listing) as proposal:
        assert list(store.list()) == []
        list(proposal.write_down(status, store))
    assert [blob.key for blob in store.list()] == ["x/000000.jsonl"]
