"""Turn a specification into the chunks of a dataset: fill in names, plan once, extend later."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pixcore import (
    Chunk,
    ChunkRequest,
    Claim,
    Claimed,
    InvalidRequest,
    Lane,
    NoValidImages,
    PlanOutdated,
    Quality,
    Slice,
    StoreNotFound,
)
from pixcore.model.quality import NearRule, TwinRule
from pixcore.planning import variations
from pixcore.stored.identity import identity_of
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.listing import Listing
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_runners.planning import dataset_plan
from pixcore_runners.planning.dataset_plan import Plan, dataset_records, plan_missing
from pixcore_runners.planning.saving import saved
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec

LIMITS = {"openverse": 24, "bing": 100}


def cats(
    count: int | None = None,
    *sources: str,
    keyword: str = "cats",
    licenses: Sequence[str] = (),
    chunk_size: int = 4,
    dataset: str = "pets",
) -> DatasetSpec:
    """Return a specification of one keyword, by default from the folder of cats."""
    one = KeywordSpec(sources or ("folder:/cats",), keyword, count, licenses=licenses)
    return DatasetSpec((one,), chunk_size, dataset)


class Sources:
    """Sources of known length whose listing grows at its end, and sources to search."""

    def __init__(self, **lengths: int) -> None:
        self.lengths = lengths
        self.columns: tuple[tuple[str, str], ...] = ()

    def is_exact(self, source: str, keyword: str) -> bool:
        """See ``Catalogue``; of these sources, one knows numbers."""
        return source == "openverse" and keyword.isdecimal()

    def capacity(self, source: str, _: Sequence[str]) -> int:
        """Return how many results a query has."""
        return LIMITS[source]

    @contextmanager
    def listing(self, source: str, _: str, planned: Iterable[Slice] = (), options: object = None) -> Iterator[Listing]:
        """Yield the lane behind the slices that are planned already."""
        del options
        folder = source.removeprefix("folder:/")
        used = max((part.stop for part in planned if part.query == folder), default=0)
        yield Listing(Lane("folder", folder, used, self.lengths[folder], snapshot="x", columns=self.columns), BytesIO())


def extend(wanted: DatasetSpec, status: MemoryStatusRepo, sources: Sources) -> list[ChunkRequest]:
    """Plan and save the missing chunks; return all requests of the dataset."""
    with plan_missing(wanted, status, sources) as proposal:
        list(proposal.save(status, MemoryBlobStore()))
    return [record.chunk.request for record in status.find(wanted.dataset)]


def images(requests: Iterable[ChunkRequest]) -> int:
    """Return the number of images that these chunks are to have."""
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
    """The keyword defaults to the first folder's name, and the dataset's name to the keyword in safe characters."""
    wanted = cats(None, *sources, keyword=keyword, dataset=dataset).with_names()
    assert (wanted.keywords[0].keyword, wanted.dataset) == named


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keyword of ``folder:.`` must be the name of the current folder, not a dot."""
    (tmp_path / "cats").mkdir()
    monkeypatch.chdir(tmp_path / "cats")
    assert cats(None, "folder:.", keyword="").with_names().keywords[0].keyword == "cats"


@given(st.text(min_size=1).filter(str.strip))
def test_every_keyword_gives_a_valid_dataset_name(keyword: str) -> None:
    """A user must never have to name a dataset because of an unusual keyword; filling in names is idempotent."""
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
def test_a_specification_without_usable_names_is_refused(wanted: DatasetSpec, complaint: str) -> None:
    """The error must come before any folder is read."""
    with pytest.raises(InvalidRequest, match=complaint):
        wanted.with_names()


# -- planning --------------------------------------------------------------------------------------------------------


def test_a_dataset_is_planned_once() -> None:
    """Planning again with the same count, a smaller one or none must give no further chunk."""
    status, sources = MemoryStatusRepo(), Sources(cats=10)
    first = extend(cats(10), status, sources)
    assert [request.target for request in first] == [4, 4, 2]
    for count in (10, 3, None):
        with plan_missing(cats(count), status, sources) as proposal:
            assert list(proposal.requests) == []


def test_rules_that_existing_chunks_do_not_follow_are_named() -> None:
    """Changed rules must not be ignored in silence: chunks keep those that they were planned with."""
    status, sources = MemoryStatusRepo(), Sources(cats=10)
    extend(cats(8), status, sources)

    def changes(wanted: DatasetSpec) -> tuple[str, ...]:
        with plan_missing(wanted, status, sources) as missing:
            return tuple(missing.changes)

    assert changes(cats(8)) == changes(cats(10)) == ()
    for other in (2, 9):
        assert changes(cats(8, chunk_size=other)) == (
            f"existing chunks have up to 4 images each, and keep that; chunk_size = {other} is only for new chunks",
        )
    rules = evolve(cats(8), quality=Quality(min_width=300, near=NearRule(3, 10), twins=TwinRule.OFF, drop=("dark",)))
    (sentence,) = changes(rules)
    assert sentence.startswith(
        "existing chunks were planned with drop = none instead of dark, min_width = 50 instead of 300, near = drop"
        " instead of off, near_phash = 10 instead of 3, and keep that"
    )


def test_an_extension_begins_behind_what_chunks_took() -> None:
    """Whatever a chunk took beyond its plan is no candidate of a later chunk, nor is what no plan has yet lost."""
    status, sources = MemoryStatusRepo(), Sources(cats=100)
    first = extend(cats(4), status, sources)
    assert first[0].slices == (Slice("folder", "cats", 0, 4, "x"),)
    assert first[0].lists == (Slice("folder", "cats", 0, 100, "x"),)
    claim = claimed(status)
    assert status.take(claim, 20, owned=4).candidates == 24
    *_, added = extend(cats(8), status, sources)
    assert added.slices == (Slice("folder", "cats", 24, 28, "x"),)
    assert status.take(claim, 3, owned=24).taken[-1].stop == 31


def test_an_extension_uses_what_chunks_gave_back() -> None:
    """Candidates that no chunk has any more must be planned before new ones, and count for what is possible."""
    status, sources = MemoryStatusRepo(), Sources(cats=12)
    extend(cats(4), status, sources)
    claim = claimed(status)
    status.take(claim, 5, owned=4)
    extend(cats(7), status, sources)
    status.give_back(claim, 6)
    with pytest.raises(InvalidRequest, match=r"4 more images of 'cats' are wanted, but .* can give at most 3;"):
        extend(cats(11), status, sources)
    *_, added = extend(cats(10), status, sources)
    assert added.slices == (Slice("folder", "cats", 6, 9, "x"),)
    assert all(not allocation.unclaimed for allocation in status.allocations("pets", ""))


def test_what_is_taken_while_a_dataset_is_planned_is_planned_again() -> None:
    """The chunks of a plan begin behind it, and each is created once."""
    status, sources = MemoryStatusRepo(), Sources(cats=100)
    extend(cats(4), status, sources)
    claim, owned = claimed(status), [4]

    def save(plan: Plan) -> Iterator[Chunk]:
        if len(owned) < 3:
            owned.append(status.take(claim, 10, owned=owned[-1]).candidates)
        return plan.save(status, MemoryBlobStore())

    assert saved(lambda: plan_missing(cats(12), status, sources), save) == 2
    assert [request.slices[0].start for request in (record.chunk.request for record in status.find("pets"))] == [
        0,
        24,
        28,
    ]


def test_a_plan_that_is_outdated_again_and_again_gives_up() -> None:
    """With the error that says why."""
    status, sources = MemoryStatusRepo(), Sources(cats=100)
    extend(cats(4), status, sources)
    claim, owned = claimed(status), [4]

    def save(plan: Plan) -> Iterator[Chunk]:
        owned.append(status.take(claim, 1, owned=owned[-1]).candidates)
        return plan.save(status, MemoryBlobStore())

    with pytest.raises(PlanOutdated, match="plan again"):
        saved(lambda: plan_missing(cats(8), status, sources), save)


def claimed(status: MemoryStatusRepo) -> Claim:
    """Claim the first chunk."""
    key = next(status.find("pets")).chunk.key
    answer = status.claim(key, "me", 60.0)
    assert isinstance(answer, Claimed)
    return answer.claim


def test_a_count_that_is_reached_needs_no_folder() -> None:
    """The user may delete the photos once they are packed."""
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
def test_extending_keeps_the_chunks_and_shares_no_candidate(steps: list[tuple[int, int | None, int]]) -> None:
    """However a folder grows and whatever counts and chunk sizes are given, old chunks stay and slices are disjoint."""
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
    slices = [part for request in requests for part in request.slices]
    assert all(one.stop == other.start for one, other in pairwise(slices))
    assert [request.index for request in requests] == list(range(len(requests)))


def test_another_keyword_continues_behind_the_first() -> None:
    """Two keywords of one folder must share no file, and each has a count of its own."""
    status, sources = MemoryStatusRepo(), Sources(cats=20)
    extend(cats(4), status, sources)
    requests = extend(cats(4, keyword="grey cats"), status, sources)
    assert [(request.keyword, request.index) for request in requests] == [("cats", 0), ("grey cats", 1)]
    assert requests[0].slices[0].stop == requests[1].slices[0].start


def test_a_list_that_grew_keeps_the_types_of_its_columns() -> None:
    """A column that was text stays text; one that was an integer cannot become text in further chunks."""
    status, sources = MemoryStatusRepo(), Sources(cats=20)
    sources.columns = (("note", "string"), ("n", "integer"))
    extend(cats(4), status, sources)
    sources.columns = (("note", "integer"), ("n", "integer"))
    requests = extend(cats(8), status, sources)
    assert [request.columns for request in requests] == [(("note", "string"), ("n", "integer"))] * 2
    sources.columns = (("n", "string"),)
    with pytest.raises(InvalidRequest, match="the column 'n' holds integers"):
        extend(cats(12), status, sources)


def test_a_folder_named_twice_counts_once() -> None:
    """Otherwise each of its files would be downloaded twice and dropped as a duplicate."""
    wanted = cats(None, "folder:/cats", "folder:/cats")
    assert [len(request.slices) for request in extend(wanted, MemoryStatusRepo(), Sources(cats=4))] == [1]


def queries(requests: Iterable[ChunkRequest]) -> list[tuple[str, str]]:
    """Return the distinct pairs of source and query, in the order of the chunks."""
    return list(dict.fromkeys((part.source, part.query) for request in requests for part in request.slices))


def test_the_keyword_itself_is_searched_first_in_every_source() -> None:
    """A small dataset needs only the keyword; variations are for counts beyond the limit of one query."""
    requests = extend(cats(140, "bing", "openverse"), MemoryStatusRepo(), Sources())
    assert queries(requests) == [
        ("bing", "cats"),
        ("openverse", "cats"),
        ("bing", "cats photo"),
    ]
    assert {request.variations for request in requests} == {1}


def test_a_keyword_that_names_a_set_has_no_variations() -> None:
    """A dataset must not count on results for "Ailurus fulgens photo", which is no species."""
    requests = extend(cats(24, "openverse", keyword="7"), MemoryStatusRepo(), Sources())
    assert queries(requests) == [("openverse", "7")]
    with pytest.raises(InvalidRequest, match=r"25 images of '7' are wanted, but openverse .*can give at most 24"):
        extend(cats(25, "openverse", keyword="7"), MemoryStatusRepo(), Sources())


def test_a_folder_has_no_variations() -> None:
    """A folder gives the same files for every keyword."""
    requests = extend(cats(60, "openverse", "folder:/cats"), MemoryStatusRepo(), Sources(cats=30))
    assert queries(requests) == [("openverse", "cats"), ("folder", "cats"), ("openverse", "cats photo")]


def test_a_count_beyond_all_variations_is_refused_with_the_limit() -> None:
    """The error must come before any work begins."""
    most = 20 * (LIMITS["bing"] + LIMITS["openverse"])
    extend(cats(most, "bing", "openverse"), MemoryStatusRepo(), Sources())
    with pytest.raises(InvalidRequest, match=f"{most + 1} images of 'cats' are wanted, but .* at most {most};"):
        extend(cats(most + 1, "bing", "openverse"), MemoryStatusRepo(), Sources())


def test_a_search_needs_a_count() -> None:
    """A search without a count must be an error, because it would collect all results of a search engine."""
    with pytest.raises(
        InvalidRequest, match=r"the number of images of 'cats' is missing.*--count N, at most 2000 here"
    ):
        extend(cats(None, "bing"), MemoryStatusRepo(), Sources())


ENOUGH = st.integers(1, 300)  # fewer images than the smallest source has, including the surplus candidates of each step
SEARCHED = st.sets(st.sampled_from(["bing", "openverse"]), min_size=1)


@given(st.lists(st.tuples(ENOUGH, SEARCHED), min_size=1, max_size=5))
def test_extending_a_search_shares_no_position(steps: list[tuple[int, set[str]]]) -> None:
    """Whatever counts and sources come later, old chunks stay and no result is planned twice."""
    status = MemoryStatusRepo()
    requests: list[ChunkRequest] = []
    for count, sources in steps:
        extended = extend(cats(count, *sorted(sources), chunk_size=50), status, Sources())
        assert images(extended) == max(count, images(requests))
        assert extended[: len(requests)] == requests
        requests = extended
    places = [
        (part.source, part.query, position)
        for request in requests
        for part in request.slices
        for position in range(part.start, part.stop)
    ]
    assert len(set(places)) == len(places)


def test_a_dataset_keeps_the_variations_that_it_was_planned_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer list of variations could repeat queries of the old one, so only new keywords use the newest."""
    status = MemoryStatusRepo()
    extend(cats(4, "openverse"), status, Sources())
    monkeypatch.setitem(variations.VARIATIONS, 2, ("fresh {}",))
    monkeypatch.setattr(dataset_plan, "NEWEST", 2)
    extend(cats(30, "openverse"), status, Sources())
    requests = extend(cats(4, "openverse", keyword="dogs"), status, Sources())
    assert queries(requests) == [("openverse", "cats"), ("openverse", "cats photo"), ("openverse", "fresh dogs")]
    assert [request.variations for request in requests] == [1] * 8 + [2]


def test_each_set_of_licences_has_positions_of_its_own() -> None:
    """With other licences a position is another image, so each set starts at 0; the order of licences is irrelevant."""
    status = MemoryStatusRepo()
    for licenses in (("by", "cc0"), ("cc0", "by"), ("by",)):
        extend(
            cats(images(r.chunk.request for r in status.find("pets")) + 4, "openverse", licenses=licenses),
            status,
            Sources(),
        )
    slices = [part for record in status.find("pets") for part in record.chunk.request.slices]
    assert [(part.licenses, part.start, part.stop) for part in slices] == [
        ("by,cc0", 0, 5),
        ("by,cc0", 5, 10),
        ("by", 0, 5),
    ]


def test_licences_are_refused_for_a_folder() -> None:
    """A user must not believe that the files of a folder have the given licences."""
    with pytest.raises(InvalidRequest, match="folder:/cats gives no licences"):
        extend(cats(4, "openverse", "folder:/cats", licenses=("by",)), MemoryStatusRepo(), Sources(cats=4))


def test_several_keywords_are_one_dataset() -> None:
    """Chunks are numbered across keywords, each has one keyword and label, and a shared query is divided."""
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
    """Without the listing that fixes the slices, a new plan could give one file to two chunks."""

    class Elsewhere(Sources):
        def listing(self, *_: object) -> AbstractContextManager[Listing]:
            raise StoreNotFound("there is no blob 'x'")

    with (
        pytest.raises(InvalidRequest, match=r"planned with another store .*there is no blob 'x'.*name that store"),
        plan_missing(cats(), MemoryStatusRepo(), Elsewhere()),
    ):
        pass


def test_chunks_are_saved_in_batches() -> None:
    """Thousands of chunks must be neither held in memory at once nor saved one by one."""
    sizes: list[int] = []

    class Counting(MemoryStatusRepo):
        def ensure(
            self, requests: Sequence[ChunkRequest], *, beside: int | None = None, store: str = ""
        ) -> Sequence[Chunk]:
            sizes.append(len(requests))
            return super().ensure(requests, beside=beside, store=store)

    status = Counting()
    with plan_missing(cats(chunk_size=1), status, Sources(cats=2500)) as proposal:
        chunks = list(proposal.save(status, MemoryBlobStore()))
    assert sizes == [1000, 1000, 500]
    assert [chunk.request.index for chunk in chunks] == list(range(2500))


def test_an_unknown_dataset_names_the_known_ones() -> None:
    """The error lists the known datasets, or names the option to check if there is none."""
    status = MemoryStatusRepo()
    with pytest.raises(InvalidRequest, match=r"it holds: none.*--status"):
        dataset_records("pets", status)
    extend(cats(), status, Sources(cats=4))
    extend(cats(dataset="zoo"), status, Sources(cats=4))
    with pytest.raises(InvalidRequest, match="no dataset 'pest' in the status database; it holds: pets, zoo"):
        dataset_records("pest", status)
    assert [record.chunk.request.dataset for record in dataset_records("zoo", status)] == ["zoo"]


def test_listings_are_stored_only_when_the_chunks_are_saved() -> None:
    """A plan that is refused or only shown must leave nothing in the store."""
    store, status = MemoryBlobStore(), MemoryStatusRepo()
    with plan_missing(cats(), status, Sources(cats=4)) as proposal:
        assert list(store.list()) == []
        (chunk,) = proposal.save(status, store)
    assert [blob.key for blob in store.list()] == ["pixcore-store.json", "x/000000.jsonl"]
    assert status.get(chunk.key).store == identity_of(store)
