"""Plans give every candidate to at most one chunk, leave none out, and need no memory for the chunks."""

import tracemalloc
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from pixcore.errors import InvalidRequest, NoValidImages
from pixcore.model.quality import Quality
from pixcore.model.requests import ChunkRequest
from pixcore.planning.plan import DatasetRequest, KeywordRequest, Lane, plan

Place = tuple[str, str, int, str, str]

STRICT = Quality(min_width=256)


@st.composite
def lanes(draw: st.DrawFn, keyword: int) -> list[Lane]:
    """Draw up to five lanes: some empty, some shared with other keywords, one of the keyword's own."""
    lengths = draw(st.lists(st.integers(0, 120), max_size=4))
    shared = [Lane("openverse", f"{n}", 7 * n, 7 * n + length, licenses="by") for n, length in enumerate(lengths)]
    start = draw(st.integers(0, 50))
    own = Lane("folder", f"/{keyword}", start, start + draw(st.integers(1, 120)), f"list-{keyword}")
    return draw(st.permutations([*shared, own]))


@st.composite
def dataset_requests(draw: st.DrawFn) -> DatasetRequest:
    """Draw a dataset of a few keywords whose lanes have enough candidates."""
    keywords = [
        KeywordRequest(f"cat {n}", draw(lanes(n)), label="Felis", variations=n) for n in range(draw(st.integers(1, 3)))
    ]
    keywords = [evolve(one, count=draw(st.none() | st.integers(1, len(one.lanes[_own(one)])))) for one in keywords]
    return DatasetRequest("d", keywords, draw(st.integers(1, 60)), draw(st.integers(0, 9)), STRICT)


def _own(keyword: KeywordRequest) -> int:
    return next(n for n, lane in enumerate(keyword.lanes) if lane.source == "folder")


def free(given: Sequence[Lane]) -> list[Place]:
    """Return every position of the lanes, one lane after another."""
    return [
        (lane.source, lane.query, n, lane.snapshot, lane.licenses)
        for lane in given
        for n in range(lane.start, lane.stop)
    ]


def places(chunks: Iterable[ChunkRequest]) -> list[Place]:
    """Return every position that the chunks' slices cover, in order."""
    return [
        (part.source, part.query, n, part.snapshot, part.licenses)
        for chunk in chunks
        for part in chunk.slices
        for n in range(part.start, part.stop)
    ]


def by_keyword(request: DatasetRequest) -> Iterator[tuple[KeywordRequest, list[ChunkRequest]]]:
    """Yield each keyword with its chunks."""
    requested = {keyword.keyword: keyword for keyword in request.keywords}
    for name, chunks in groupby(plan(request), key=lambda chunk: chunk.keyword):
        yield requested[name], list(chunks)


@given(dataset_requests())
def test_the_chunks_share_nothing(request: DatasetRequest) -> None:
    """A position in two chunks would be fetched twice, whichever keywords they belong to."""
    taken = [place[:3] for place in places(plan(request))]
    assert len(set(taken)) == len(taken)


@given(dataset_requests())
def test_a_keyword_takes_the_free_positions_of_its_lanes_in_order(request: DatasetRequest) -> None:
    """A position that is left out is a lost image."""
    gone: set[Place] = set()
    for keyword, chunks in by_keyword(request):
        taken = places(chunks)
        assert taken == [place for place in free(keyword.lanes) if place not in gone][: len(taken)]
        gone |= set(taken)


@given(dataset_requests())
def test_all_targets_but_the_last_are_full_and_they_add_up(request: DatasetRequest) -> None:
    """A rounding error here would give a dataset with too few or too many images."""
    for keyword, chunks in by_keyword(request):
        targets = [chunk.target for chunk in chunks]
        assert sum(targets) == (keyword.count or len(places(chunks)))
        assert set(targets[:-1]) <= {request.chunk_size}
        assert 1 <= targets[-1] <= request.chunk_size


@given(dataset_requests())
def test_each_chunk_has_enough_candidates_and_not_too_many(request: DatasetRequest) -> None:
    """A chunk with too few candidates cannot reach its target; one with too many leaves too few for later chunks."""
    for chunk in plan(request):
        candidates = sum(len(part) for part in chunk.slices)
        assert chunk.target <= candidates <= 1.25 * chunk.target + 1


@given(st.lists(st.integers(0, 300), min_size=2, max_size=4), st.integers(1, 60), st.data())
def test_a_chunk_can_be_filled_without_any_one_of_its_sources(
    lengths: list[int], chunk_size: int, data: st.DataObject
) -> None:
    """A source may fail in the middle of a run; the reserve has candidates of the others, as long as there are any."""
    searched = [Lane(f"source {n}", "cat", 7, 7 + length) for n, length in enumerate(lengths)]
    assume(sum(lengths))
    request = KeywordRequest("cat", searched, data.draw(st.integers(1, sum(lengths))))
    chunks = list(plan(DatasetRequest("d", (request,), chunk_size)))
    taken = places(chunks)
    assert len({*taken}) == len(taken)
    left = {lane.source: len(lane) for lane in searched}
    for source, *_ in taken:
        left[source] -= 1
    for chunk in chunks:
        held = Counter(source for source, *_ in places([chunk]))
        for lost in held:
            enough = held.total() - held[lost] >= chunk.target
            assert enough or not any(number for source, number in left.items() if source != lost)


@given(dataset_requests())
def test_the_chunks_are_numbered_consecutively_and_repeat_the_request(request: DatasetRequest) -> None:
    """The number identifies a chunk when the dataset is planned again; its worker needs the rest."""
    chunks = list(plan(request))
    assert [chunk.index for chunk in chunks] == list(range(request.first_index, request.first_index + len(chunks)))
    assert {(chunk.dataset, chunk.label, chunk.quality) for chunk in chunks} == {("d", "Felis", STRICT)}
    assert {(chunk.keyword, chunk.variations) for chunk in chunks} == {
        (keyword.keyword, keyword.variations) for keyword in request.keywords
    }


@given(dataset_requests())
def test_the_same_request_gives_the_same_plan(request: DatasetRequest) -> None:
    """Running a dataset again plans it again, and must find the existing chunks."""
    assert list(plan(request)) == list(plan(request))


@given(dataset_requests(), st.data())
def test_an_extension_continues_where_the_dataset_ended(request: DatasetRequest, data: st.DataObject) -> None:
    """Later images must come from new chunks with new candidates."""
    first = list(plan(request))
    used = {place[:2]: place[2] + 1 for place in places(first)}
    more = []
    for keyword in request.keywords:
        rest = [evolve(lane, start=used.get((lane.source, lane.query), lane.start)) for lane in keyword.lanes]
        later = Lane("folder", f"/later {keyword.keyword}", 0, 40)
        more.append(evolve(keyword, lanes=[*rest, later], count=data.draw(st.integers(1, 40))))
    second = list(plan(evolve(request, keywords=more, first_index=request.first_index + len(first))))
    assert not {chunk.index for chunk in first} & {chunk.index for chunk in second}
    assert not set(places(first)) & set(places(second))


def of(*given: Lane, count: int | None = None, first_index: int = 0) -> DatasetRequest:
    """Return a request for a dataset of one keyword."""
    return DatasetRequest("d", [KeywordRequest("cat", given, count)], first_index=first_index)


def test_a_lane_given_twice_counts_once() -> None:
    """A user who names a source twice must not get its images twice."""
    lane = Lane("bing", "cat", 0, 10)
    assert places(plan(of(lane, lane))) == free([lane])


NOTHING = [[], [Lane("folder", "/a", 0, 0)], [Lane("folder", "/a", 7, 7), Lane("folder", "/b", 9, 3)]]


@pytest.mark.parametrize("none", NOTHING)
def test_a_plan_without_candidates_is_refused(none: list[Lane]) -> None:
    """An empty folder must be an error, not an empty dataset."""
    with pytest.raises(NoValidImages, match="nothing to collect"):
        plan(of(*none))


@pytest.mark.parametrize("none", NOTHING)
def test_a_complete_dataset_is_not_extended(none: list[Lane]) -> None:
    """Running a finished dataset again must not be an error."""
    assert list(plan(of(*none, first_index=4))) == []


@pytest.mark.parametrize("count", [0, -3])
def test_a_count_below_one_is_refused(count: int) -> None:
    """A mistyped number must not give an empty or an endless plan."""
    with pytest.raises(InvalidRequest, match=f"count of {count} "):
        KeywordRequest("cat", (), count)


def test_a_chunk_size_below_one_is_refused() -> None:
    """A plan with empty chunks would never end."""
    with pytest.raises(InvalidRequest, match="chunk size of 0 "):
        DatasetRequest("d", (), chunk_size=0)


@pytest.mark.parametrize(("first_index", "wanted"), [(0, "11 images"), (3, "11 more images")])
def test_a_count_beyond_the_candidates_is_refused_at_once_with_the_limit(first_index: int, wanted: str) -> None:
    """The call itself must raise the error, not the first chunk, and name the possible count and the remedy."""
    with pytest.raises(InvalidRequest) as refused:
        plan(of(Lane("folder", "/a", 5, 15), count=11, first_index=first_index))
    assert str(refused.value) == (
        f"{wanted} of 'cat' are wanted, but folder '/a' can give at most 10; ask for less, or name more sources"
    )


def test_candidates_of_the_first_keyword_are_not_counted_for_the_second() -> None:
    """Two keywords with the same query share its candidates, and the error must count only those that are left."""
    lane = Lane("bing", "cat", 0, 20)
    wanted = [KeywordRequest("cat", [lane], 12), KeywordRequest("Cat", [lane], 6)]
    with pytest.raises(InvalidRequest, match="6 images of 'Cat' are wanted, but bing 'cat' can give at most 5;"):
        plan(DatasetRequest("d", wanted))


INTEGER, STRING = (("n", "integer"),), (("n", "string"),)


def test_a_column_has_one_type_in_all_chunks_of_a_dataset() -> None:
    """Loaders refuse a dataset where a column is text in one archive and an integer in another."""
    numbers, texts = (Lane("urls", f"/{query}", 0, 5, columns=kind) for query, kind in (("a", INTEGER), ("b", STRING)))
    keywords = [
        KeywordRequest("a", [numbers]),
        KeywordRequest("b", [texts]),
        KeywordRequest("c", [Lane("f", "/", 0, 5)]),
    ]
    assert [chunk.columns for chunk in plan(DatasetRequest("d", keywords))] == [STRING, STRING, ()]
    assert [chunk.columns for chunk in plan(DatasetRequest("d", keywords[:1]))] == [INTEGER]
    assert [chunk.columns for chunk in plan(DatasetRequest("d", keywords[:1], columns=STRING))] == [STRING]


def test_an_integer_that_may_be_missing_is_text() -> None:
    """A row from a list without the column must not get a 0 that nobody wrote."""
    has, lacks = Lane("urls", "/a", 0, 5, columns=INTEGER), Lane("urls", "/b", 0, 5, columns=(("m", "integer"),))
    (chunk,) = plan(of(has, lacks))
    assert chunk.columns == (("n", "string"), ("m", "string"))


def test_a_column_of_stored_integers_cannot_become_text() -> None:
    """The archives that hold the integers are never rewritten, so the plan is refused."""
    keywords = [KeywordRequest("a", [Lane("urls", "/a", 3, 5, columns=STRING)])]
    with pytest.raises(
        InvalidRequest, match=r"column 'n' holds integers in the chunks that dataset 'd' has.*--drop-col"
    ):
        plan(DatasetRequest("d", keywords, first_index=1, columns=INTEGER))


def test_many_queries_are_counted_and_not_listed() -> None:
    """The error message must fit on a line."""
    given = [Lane(source, query, 0, 3) for query in ("cat", "cat photo") for source in ("bing", "openverse")]
    with pytest.raises(InvalidRequest, match="but bing with 2 queries, openverse with 2 queries can give at most 12;"):
        plan(of(*given, count=13))


def test_a_hundred_thousand_chunks_are_planned_one_by_one() -> None:
    """A plan of any size must fit into memory and start at once."""
    chunks = plan(of(Lane("folder", "/a", 0, 50_000_000)))
    deque(islice(chunks, 80_000), maxlen=0)
    tracemalloc.start()  # tracing is ten times slower, and the last 20,000 chunks show a leak as well
    try:
        last = deque(chunks, maxlen=1)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert last[0].index == 99_999
    assert places(last) == [("folder", "/a", n, "", "") for n in range(49_999_500, 50_000_000)]
