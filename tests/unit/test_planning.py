"""A plan shares nothing between chunks, loses nothing, and costs no memory."""

import tracemalloc
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import InvalidRequest, NoValidImages
from pixcore.model.quality import Quality
from pixcore.model.requests import ChunkRequest
from pixcore.planning.plan import DatasetRequest, KeywordRequest, Lane, plan

Place = tuple[str, str, int, str, str]

STRICT = Quality(min_width=256)


@st.composite
def lanes(draw: st.DrawFn, keyword: int) -> list[Lane]:
    """Up to five lanes, some of them empty, some of which other keywords have as well; one is the keyword's own."""
    lengths = draw(st.lists(st.integers(0, 120), max_size=4))
    shared = [Lane("openverse", f"{n}", 7 * n, 7 * n + length, licenses="by") for n, length in enumerate(lengths)]
    start = draw(st.integers(0, 50))
    own = Lane("folder", f"/{keyword}", start, start + draw(st.integers(1, 120)), f"list-{keyword}")
    return draw(st.permutations([*shared, own]))


@st.composite
def asked(draw: st.DrawFn) -> DatasetRequest:
    """A dataset of some keywords that the lanes can give."""
    some = [
        KeywordRequest(f"cat {n}", draw(lanes(n)), label="Felis", variations=n) for n in range(draw(st.integers(1, 3)))
    ]
    some = [evolve(one, count=draw(st.none() | st.integers(1, len(one.lanes[_own(one)])))) for one in some]
    return DatasetRequest("d", some, draw(st.integers(1, 60)), draw(st.integers(0, 9)), STRICT)


def _own(keyword: KeywordRequest) -> int:
    return next(n for n, lane in enumerate(keyword.lanes) if lane.source == "folder")


def free(some: Sequence[Lane]) -> list[Place]:
    """Every position of the lanes, laid end to end."""
    return [
        (lane.source, lane.query, n, lane.snapshot, lane.licenses)
        for lane in some
        for n in range(lane.start, lane.stop)
    ]


def places(chunks: Iterable[ChunkRequest]) -> list[Place]:
    """Every position that the chunks' slices cover, in order."""
    return [
        (piece.source, piece.query, n, piece.snapshot, piece.licenses)
        for chunk in chunks
        for piece in chunk.slices
        for n in range(piece.start, piece.stop)
    ]


def by_keyword(request: DatasetRequest) -> Iterator[tuple[KeywordRequest, list[ChunkRequest]]]:
    """Each keyword with its chunks."""
    asked_for = {keyword.keyword: keyword for keyword in request.keywords}
    for name, chunks in groupby(plan(request), key=lambda chunk: chunk.keyword):
        yield asked_for[name], list(chunks)


@given(asked())
def test_the_chunks_share_nothing(request: DatasetRequest) -> None:
    """A position in two chunks is fetched twice, whichever keywords they belong to."""
    taken = [place[:3] for place in places(plan(request))]
    assert len(set(taken)) == len(taken)


@given(asked())
def test_a_keyword_takes_what_others_left_of_its_lanes_from_their_beginning(request: DatasetRequest) -> None:
    """A position passed over is an image lost."""
    gone: set[Place] = set()
    for keyword, chunks in by_keyword(request):
        taken = places(chunks)
        assert taken == [place for place in free(keyword.lanes) if place not in gone][: len(taken)]
        gone |= set(taken)


@given(asked())
def test_the_targets_are_full_but_for_the_last_and_add_up(request: DatasetRequest) -> None:
    """A rounding error here is a dataset with too few or too many images."""
    for keyword, chunks in by_keyword(request):
        targets = [chunk.target for chunk in chunks]
        assert sum(targets) == (keyword.count or len(places(chunks)))
        assert set(targets[:-1]) <= {request.chunk_size}
        assert 1 <= targets[-1] <= request.chunk_size


@given(asked())
def test_each_chunk_can_reach_its_target_and_hoards_nothing(request: DatasetRequest) -> None:
    """A chunk with too few candidates is short by plan; one with too many starves those after it."""
    for chunk in plan(request):
        candidates = sum(len(piece) for piece in chunk.slices)
        assert chunk.target <= candidates <= 1.25 * chunk.target + 1


@given(asked())
def test_the_chunks_are_numbered_on_and_say_what_was_asked(request: DatasetRequest) -> None:
    """The number is what makes a chunk the same when the plan is made again; the rest is what its worker goes by."""
    chunks = list(plan(request))
    assert [chunk.index for chunk in chunks] == list(range(request.first_index, request.first_index + len(chunks)))
    assert {(chunk.dataset, chunk.label, chunk.quality) for chunk in chunks} == {("d", "Felis", STRICT)}
    assert {(chunk.keyword, chunk.variations) for chunk in chunks} == {
        (keyword.keyword, keyword.variations) for keyword in request.keywords
    }


@given(asked())
def test_the_same_question_has_the_same_answer(request: DatasetRequest) -> None:
    """Running a dataset again plans it again, and must find its chunks."""
    assert list(plan(request)) == list(plan(request))


@given(asked(), st.data())
def test_an_extension_goes_on_where_the_dataset_ended(request: DatasetRequest, data: st.DataObject) -> None:
    """More images later must be new chunks of new candidates."""
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


def of(*some: Lane, count: int | None = None, first_index: int = 0) -> DatasetRequest:
    """A dataset of one keyword."""
    return DatasetRequest("d", [KeywordRequest("cat", some, count)], first_index=first_index)


def test_the_same_lane_twice_is_one() -> None:
    """Whoever names a source twice gets nothing twice."""
    lane = Lane("bing", "cat", 0, 10)
    assert places(plan(of(lane, lane))) == free([lane])


NOTHING = [[], [Lane("folder", "/a", 0, 0)], [Lane("folder", "/a", 7, 7), Lane("folder", "/b", 9, 3)]]


@pytest.mark.parametrize("none", NOTHING)
def test_nothing_to_collect_is_said(none: list[Lane]) -> None:
    """An empty folder is no empty dataset."""
    with pytest.raises(NoValidImages, match="nothing to collect"):
        plan(of(*none))


@pytest.mark.parametrize("none", NOTHING)
def test_a_dataset_that_has_all_is_not_extended(none: list[Lane]) -> None:
    """Running again what is finished is no error."""
    assert list(plan(of(*none, first_index=4))) == []


@pytest.mark.parametrize("count", [0, -3])
def test_a_count_below_one_is_refused(count: int) -> None:
    """A mistyped number must not plan nothing, or for ever."""
    with pytest.raises(InvalidRequest, match=f"count of {count} "):
        KeywordRequest("cat", (), count)


def test_a_chunk_size_below_one_is_refused() -> None:
    """Chunks of nothing would never end."""
    with pytest.raises(InvalidRequest, match="chunk size of 0 "):
        DatasetRequest("d", (), chunk_size=0)


@pytest.mark.parametrize(("first_index", "said"), [(0, "11 images"), (3, "11 more images")])
def test_more_than_there_is_is_refused_at_once_with_the_number(first_index: int, said: str) -> None:
    """The refusal must come from the call, not from the first chunk, and say what would do."""
    with pytest.raises(InvalidRequest) as refused:
        plan(of(Lane("folder", "/a", 5, 15), count=11, first_index=first_index))
    assert str(refused.value) == (
        f"{said} of 'cat' are wanted, but folder '/a' can give at most 10; ask for less, or name more sources"
    )


def test_what_the_first_keyword_takes_is_not_offered_to_the_second() -> None:
    """Two keywords that are asked alike have less between them than each has alone, and the refusal counts that."""
    lane = Lane("bing", "cat", 0, 20)
    wanted = [KeywordRequest("cat", [lane], 12), KeywordRequest("Cat", [lane], 6)]
    with pytest.raises(InvalidRequest, match="6 images of 'Cat' are wanted, but bing 'cat' can give at most 5;"):
        plan(DatasetRequest("d", wanted))


def test_many_queries_are_counted_and_not_listed() -> None:
    """A refusal fits on a line."""
    some = [Lane(source, query, 0, 3) for query in ("cat", "cat photo") for source in ("bing", "openverse")]
    with pytest.raises(InvalidRequest, match="but bing with 2 queries, openverse with 2 queries can give at most 12;"):
        plan(of(*some, count=13))


def test_a_hundred_thousand_chunks_are_planned_one_by_one() -> None:
    """A plan of any size must fit into memory and begin at once."""
    chunks = plan(of(Lane("folder", "/a", 0, 50_000_000)))
    deque(islice(chunks, 80_000), maxlen=0)
    tracemalloc.start()  # slows down tenfold: what a chunk leaves behind shows in these as well
    try:
        last = deque(chunks, maxlen=1)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert last[0].index == 99_999
    assert places(last) == [("folder", "/a", n, "", "") for n in range(49_999_500, 50_000_000)]
