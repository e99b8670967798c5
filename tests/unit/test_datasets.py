"""From what is asked for to the chunks of a dataset: names filled in, planned once, extended later."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixcore import Chunk, ChunkRequest, InvalidRequest, Lane, NoValidImages, Quality, Slice, StoreNotFound
from pixcore.planning import variations
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.listing import Listing
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_runners.planning import dataset_plan
from pixcore_runners.planning.dataset_plan import DatasetSpec, KeywordSpec, dataset_records, plan_missing

LIMITS = {"openverse": 24, "bing": 100}


def cats(
    count: int | None = None,
    *sources: str,
    keyword: str = "cats",
    licenses: Sequence[str] = (),
    chunk_size: int = 4,
    dataset: str = "pets",
) -> DatasetSpec:
    """What is asked for; out of the folder of cats, if no source is named."""
    one = KeywordSpec(sources or ("folder:/cats",), keyword, count, licenses=licenses)
    return DatasetSpec((one,), chunk_size, dataset)


class Sources:
    """Sources of known length whose listing grows at its end, and sources to search."""

    def __init__(self, **lengths: int) -> None:
        self.lengths = lengths

    def capacity(self, source: str, _: Sequence[str]) -> int:
        """What a query gives."""
        return LIMITS[source]

    @contextmanager
    def listing(self, source: str, _: str, planned: Iterable[Slice] = ()) -> Iterator[Listing]:
        """What lies behind the slices that are planned."""
        folder = source.removeprefix("folder:/")
        used = max((piece.stop for piece in planned if piece.query == folder), default=0)
        yield Listing(Lane("folder", folder, used, self.lengths[folder], snapshot="x"), BytesIO())


def extend(wanted: DatasetSpec, status: MemoryStatusRepo, sources: Sources) -> list[ChunkRequest]:
    """Plan what is lacking and write it down; all that the dataset has then."""
    with plan_missing(wanted, status, sources) as proposal:
        list(proposal.save(status, MemoryBlobStore()))
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
    wanted = cats(None, *sources, keyword=keyword, dataset=dataset).with_names()
    assert (wanted.keywords[0].keyword, wanted.dataset) == named


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``folder:.`` is not a keyword of one dot."""
    (tmp_path / "cats").mkdir()
    monkeypatch.chdir(tmp_path / "cats")
    assert cats(None, "folder:.", keyword="").with_names().keywords[0].keyword == "cats"


@given(st.text(min_size=1).filter(str.strip))
def test_every_keyword_makes_a_dataset_name(keyword: str) -> None:
    """Nobody has to name a dataset because a keyword is odd; and a name stays itself."""
    wanted = cats(keyword=keyword, dataset="").with_names()
    assert wanted.with_names() == wanted


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (DatasetSpec((KeywordSpec((), "cats"),), 4), "no source is given"),
        (cats(None, "flickr:cats"), "unknown source 'flickr:cats'"),
        (cats(None, "folder"), "is incomplete"),
        (cats(None, "folder:/cats", "bing", keyword=" "), "bing needs a keyword to search for"),
        (cats(dataset=".hidden"), "dataset name '.hidden' cannot be used"),
    ],
)
def test_what_cannot_be_named_is_refused(wanted: DatasetSpec, complaint: str) -> None:
    """Before any folder is read."""
    with pytest.raises(InvalidRequest, match=complaint):
        wanted.with_names()


# -- planning --------------------------------------------------------------------------------------------------------


def test_a_dataset_is_planned_once() -> None:
    """Asked again, nothing is lacking: with a count, less or none."""
    status, sources = MemoryStatusRepo(), Sources(cats=10)
    first = extend(cats(10), status, sources)
    assert [request.target for request in first] == [4, 4, 2]
    for count in (10, 3, None):
        with plan_missing(cats(count), status, sources) as proposal:
            assert list(proposal.requests) == []


def test_a_count_that_is_reached_needs_no_folder() -> None:
    """The photos may be gone once they are packed."""
    status = MemoryStatusRepo()
    extend(cats(4), status, Sources(cats=4))
    with plan_missing(cats(4), status, Sources()) as proposal:
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
    status, sources = MemoryStatusRepo(), Sources(cats=0)
    requests: list[ChunkRequest] = []
    for grown, count, chunk_size in steps:
        sources.lengths["cats"] += grown
        try:
            extended = extend(cats(count, chunk_size=chunk_size), status, sources)
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
    status, sources = MemoryStatusRepo(), Sources(cats=20)
    extend(cats(4), status, sources)
    requests = extend(cats(4, keyword="grey cats"), status, sources)
    assert [(request.keyword, request.index) for request in requests] == [("cats", 0), ("grey cats", 1)]
    assert requests[0].slices[0].stop == requests[1].slices[0].start


def test_a_folder_named_twice_counts_once() -> None:
    """Each of its files would be downloaded twice, and dropped as a duplicate."""
    wanted = cats(None, "folder:/cats", "folder:/cats")
    assert [len(request.slices) for request in extend(wanted, MemoryStatusRepo(), Sources(cats=4))] == [1]


def queries(requests: Iterable[ChunkRequest]) -> list[tuple[str, str]]:
    """Which sources are asked what, in the order in which the chunks come to it."""
    return list(dict.fromkeys((piece.source, piece.query) for request in requests for piece in request.slices))


def test_the_keyword_itself_is_asked_first_and_everywhere() -> None:
    """A small dataset is made of what the keyword finds; variations are for what lies beyond a query's limit."""
    requests = extend(cats(140, "bing", "openverse"), MemoryStatusRepo(), Sources())
    assert queries(requests) == [
        ("bing", "cats"),
        ("openverse", "cats"),
        ("bing", "cats photo"),
    ]
    assert {request.variations for request in requests} == {1}


def test_a_folder_is_asked_for_no_variations() -> None:
    """It holds what it holds, whatever the keyword."""
    requests = extend(cats(60, "openverse", "folder:/cats"), MemoryStatusRepo(), Sources(cats=30))
    assert queries(requests) == [("openverse", "cats"), ("folder", "cats"), ("openverse", "cats photo")]


def test_what_no_variation_can_give_is_refused_with_the_number() -> None:
    """Before anything starts."""
    most = 20 * (LIMITS["bing"] + LIMITS["openverse"])
    extend(cats(most, "bing", "openverse"), MemoryStatusRepo(), Sources())
    with pytest.raises(InvalidRequest, match=f"{most + 1} images of 'cats' are wanted, but .* at most {most};"):
        extend(cats(most + 1, "bing", "openverse"), MemoryStatusRepo(), Sources())


def test_a_search_needs_a_count() -> None:
    """Nobody means all that a search engine has."""
    with pytest.raises(
        InvalidRequest, match=r"the number of images of 'cats' is missing.*--count N, at most 2000 here"
    ):
        extend(cats(None, "bing"), MemoryStatusRepo(), Sources())


ENOUGH = st.integers(1, 300)  # images, fewer than the smallest of the sources can give with the over-fetch of each step
SEARCHED = st.sets(st.sampled_from(["bing", "openverse"]), min_size=1)


@given(st.lists(st.tuples(ENOUGH, SEARCHED), min_size=1, max_size=5))
def test_extending_a_search_shares_no_position(steps: list[tuple[int, set[str]]]) -> None:
    """Whatever is asked for later, from whatever sources: old chunks stay, and no result is planned twice."""
    status = MemoryStatusRepo()
    requests: list[ChunkRequest] = []
    for count, sources in steps:
        extended = extend(cats(count, *sorted(sources), chunk_size=50), status, Sources())
        assert images(extended) == max(count, images(requests))
        assert extended[: len(requests)] == requests
        requests = extended
    places = [
        (piece.source, piece.query, position)
        for request in requests
        for piece in request.slices
        for position in range(piece.start, piece.stop)
    ]
    assert len(set(places)) == len(places)


def test_a_dataset_keeps_to_the_variations_that_it_was_planned_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer list would ask again, under other words, what is asked already; a new keyword gets the newest."""
    status = MemoryStatusRepo()
    extend(cats(4, "openverse"), status, Sources())
    monkeypatch.setitem(variations.VARIATIONS, 2, ("fresh {}",))
    monkeypatch.setattr(dataset_plan, "NEWEST", 2)
    extend(cats(30, "openverse"), status, Sources())
    requests = extend(cats(4, "openverse", keyword="dogs"), status, Sources())
    assert queries(requests) == [("openverse", "cats"), ("openverse", "cats photo"), ("openverse", "fresh dogs")]
    assert [request.variations for request in requests] == [1] * 8 + [2]


def test_other_licences_are_other_results() -> None:
    """Their positions mean other images, so each counts from its own beginning; their order does not matter."""
    status = MemoryStatusRepo()
    for licenses in (("by", "cc0"), ("cc0", "by"), ("by",)):
        extend(
            cats(images(r.chunk.request for r in status.find("pets")) + 4, "openverse", licenses=licenses),
            status,
            Sources(),
        )
    pieces = [piece for record in status.find("pets") for piece in record.chunk.request.slices]
    assert [(piece.licenses, piece.start, piece.stop) for piece in pieces] == [
        ("by,cc0", 0, 5),
        ("by,cc0", 5, 10),
        ("by", 0, 5),
    ]


def test_a_folder_knows_no_licences() -> None:
    """Better refused than believed to be free."""
    with pytest.raises(InvalidRequest, match="folder:/cats gives no licences"):
        extend(cats(4, "openverse", "folder:/cats", licenses=("by",)), MemoryStatusRepo(), Sources(cats=4))


def test_several_keywords_are_one_dataset() -> None:
    """Chunks are numbered through, each of one keyword with its label, and a query two keywords share is shared out."""
    status = MemoryStatusRepo()
    wanted = DatasetSpec(
        [
            KeywordSpec(("openverse",), "cat", 26, label="Felis"),
            KeywordSpec(("openverse",), "cat photo", 8),
        ],
        chunk_size=20,
        dataset="pets",
        quality=Quality(min_width=256),
    )
    requests = extend(wanted, status, Sources())
    assert [(request.index, request.keyword, request.label, request.target) for request in requests] == [
        (0, "cat", "Felis", 20),
        (1, "cat", "Felis", 6),
        (2, "cat photo", "", 8),
    ]
    assert {request.quality.min_width for request in requests} == {256}
    assert requests[2].slices[0] == Slice("openverse", "cat photo", 8, 18)
    assert extend(wanted, status, Sources()) == requests


def test_a_dataset_of_another_store_is_refused() -> None:
    """The listing that fixes its slices is not here; guessing could give a file to two chunks."""

    class Elsewhere(Sources):
        def listing(self, *_: object) -> AbstractContextManager[Listing]:
            raise StoreNotFound("there is no blob 'x'")

    with (
        pytest.raises(InvalidRequest, match=r"planned with another store .*there is no blob 'x'.*name that store"),
        plan_missing(cats(), MemoryStatusRepo(), Elsewhere()),
    ):
        pass


def test_chunks_are_written_down_in_batches() -> None:
    """A dataset of thousands of chunks is neither held whole nor written one by one."""
    sizes: list[int] = []

    class Counting(MemoryStatusRepo):
        def ensure(self, requests: Sequence[ChunkRequest], *, beside: int | None = None) -> Sequence[Chunk]:
            sizes.append(len(requests))
            return super().ensure(requests, beside=beside)

    status = Counting()
    with plan_missing(cats(chunk_size=1), status, Sources(cats=2500)) as proposal:
        chunks = list(proposal.save(status, MemoryBlobStore()))
    assert sizes == [1000, 1000, 500]
    assert [chunk.request.index for chunk in chunks] == list(range(2500))


def test_an_unknown_dataset_names_the_known_ones() -> None:
    """And where to look when there is none at all."""
    status = MemoryStatusRepo()
    with pytest.raises(InvalidRequest, match=r"it holds: none.*--status"):
        dataset_records("pets", status)
    extend(cats(), status, Sources(cats=4))
    extend(cats(dataset="zoo"), status, Sources(cats=4))
    with pytest.raises(InvalidRequest, match="no dataset 'pest' in the status database; it holds: pets, zoo"):
        dataset_records("pest", status)
    assert [record.chunk.request.dataset for record in dataset_records("zoo", status)] == ["zoo"]


def test_listings_are_kept_only_when_the_chunks_are_written_down() -> None:
    """What is refused or only looked at leaves nothing in the store; each source is read once either way."""
    store, status = MemoryBlobStore(), MemoryStatusRepo()
    with plan_missing(cats(), status, Sources(cats=4)) as proposal:
        assert list(store.list()) == []
        list(proposal.save(status, store))
    assert [blob.key for blob in store.list()] == ["x/000000.jsonl"]
