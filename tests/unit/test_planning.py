"""A plan shares nothing between chunks, loses nothing, and costs no memory."""

import tracemalloc
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import InvalidRequest, NoValidImages
from pixcore.model import ChunkRequest
from pixcore.planning import DatasetRequest, Lane, plan

Place = tuple[str, str, int, str]


@st.composite
def lanes(draw: st.DrawFn) -> list[Lane]:
    """Up to five lanes of different queries, some of them empty, but not all."""
    spans = draw(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 120)), min_size=1, max_size=5))
    if not any(length for _, length in spans):
        spans.append((draw(st.integers(0, 50)), draw(st.integers(1, 120))))
    return [Lane("folder", f"/{n}", start, start + length, f"list-{n}") for n, (start, length) in enumerate(spans)]


@st.composite
def asked(draw: st.DrawFn) -> tuple[DatasetRequest, list[Lane]]:
    """A dataset that the lanes can give."""
    some = draw(lanes())
    count = draw(st.none() | st.integers(1, len(free(some))))
    return DatasetRequest("d", "cat", count, draw(st.integers(1, 60)), "Felis", draw(st.integers(0, 9))), some


def free(some: Sequence[Lane]) -> list[Place]:
    """Every position of the lanes, laid end to end."""
    return [(lane.source, lane.query, n, lane.snapshot) for lane in some for n in range(lane.start, lane.stop)]


def places(chunks: Iterable[ChunkRequest]) -> list[Place]:
    """Every position that the chunks' slices cover, in order."""
    return [
        (piece.source, piece.query, n, piece.snapshot)
        for chunk in chunks
        for piece in chunk.slices
        for n in range(piece.start, piece.stop)
    ]


@given(asked())
def test_the_chunks_share_nothing_and_take_the_lanes_from_their_beginning(
    case: tuple[DatasetRequest, list[Lane]],
) -> None:
    """A position in two chunks is fetched twice; a position passed over is an image lost."""
    request, some = case
    taken = places(plan(request, some))
    assert len(set(taken)) == len(taken)
    assert taken == free(some)[: len(taken)]


@given(asked())
def test_the_targets_are_full_but_for_the_last_and_add_up(case: tuple[DatasetRequest, list[Lane]]) -> None:
    """A rounding error here is a dataset with too few or too many images."""
    request, some = case
    targets = [chunk.target for chunk in plan(request, some)]
    assert sum(targets) == (request.count or len(free(some)))
    assert set(targets[:-1]) <= {request.chunk_size}
    assert 1 <= targets[-1] <= request.chunk_size


@given(asked())
def test_each_chunk_can_reach_its_target_and_hoards_nothing(case: tuple[DatasetRequest, list[Lane]]) -> None:
    """A chunk with too few candidates is short by plan; one with too many starves those after it."""
    for chunk in plan(*case):
        candidates = sum(len(piece) for piece in chunk.slices)
        assert chunk.target <= candidates <= 1.25 * chunk.target + 1


@given(asked())
def test_the_chunks_are_numbered_on_and_say_what_was_asked(case: tuple[DatasetRequest, list[Lane]]) -> None:
    """The number is what makes a chunk the same when the plan is made again."""
    request, some = case
    chunks = list(plan(request, some))
    assert [chunk.index for chunk in chunks] == list(range(request.first_index, request.first_index + len(chunks)))
    assert {(chunk.dataset, chunk.keyword, chunk.label) for chunk in chunks} == {("d", "cat", "Felis")}


@given(asked())
def test_the_same_question_has_the_same_answer(case: tuple[DatasetRequest, list[Lane]]) -> None:
    """Running a dataset again plans it again, and must find its chunks."""
    assert list(plan(*case)) == list(plan(*case))


@given(asked(), st.data())
def test_an_extension_goes_on_where_the_dataset_ended(
    case: tuple[DatasetRequest, list[Lane]], data: st.DataObject
) -> None:
    """More images later must be new chunks of new candidates."""
    request, some = case
    first = list(plan(request, some))
    used = {query: position + 1 for _, query, position, _ in places(first)}
    rest = [evolve(lane, start=used.get(lane.query, lane.start)) for lane in some]
    rest.append(Lane("folder", "/later", 0, 40))
    more = evolve(
        request, count=data.draw(st.integers(1, len(free(rest)))), first_index=request.first_index + len(first)
    )
    second = list(plan(more, rest))
    assert not {chunk.index for chunk in first} & {chunk.index for chunk in second}
    assert not set(places(first)) & set(places(second))


NOTHING = [[], [Lane("folder", "/a", 0, 0)], [Lane("folder", "/a", 7, 7), Lane("folder", "/b", 9, 3)]]


@pytest.mark.parametrize("none", NOTHING)
def test_nothing_to_collect_is_said(none: list[Lane]) -> None:
    """An empty folder is no empty dataset."""
    with pytest.raises(NoValidImages, match="nothing to collect"):
        plan(DatasetRequest("d", "cat"), none)


@pytest.mark.parametrize("none", NOTHING)
def test_a_dataset_that_has_all_is_not_extended(none: list[Lane]) -> None:
    """Running again what is finished is no error."""
    assert list(plan(DatasetRequest("d", "cat", first_index=4), none)) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"count": 0}, "count of 0 "), ({"count": -3}, "count of -3 "), ({"chunk_size": 0}, "chunk size of 0 ")],
)
def test_a_number_below_one_is_refused(wrong: dict[str, int], said: str) -> None:
    """A mistyped number must not plan nothing, or for ever."""
    with pytest.raises(InvalidRequest, match=said):
        DatasetRequest("d", "cat", **wrong)  # type: ignore[arg-type] # numbers only


@pytest.mark.parametrize(("first_index", "said"), [(0, "11 images are wanted"), (3, "11 more images are wanted")])
def test_more_than_there_is_is_refused_at_once_with_the_number(first_index: int, said: str) -> None:
    """The refusal must come from the call, not from the first chunk, and say what would do."""
    with pytest.raises(InvalidRequest, match=f"{said}, but folder '/a' can give at most 10;"):
        plan(DatasetRequest("d", "cat", 11, first_index=first_index), [Lane("folder", "/a", 5, 15)])


def test_a_million_chunks_are_planned_one_by_one() -> None:
    """A plan of any size must fit into memory and begin at once."""
    tracemalloc.start()
    try:
        chunks = plan(DatasetRequest("d", "cat", chunk_size=500), [Lane("folder", "/a", 0, 500_000_000)])
        last = deque(islice(chunks, 20_000), maxlen=1)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert last[0].index == 19_999
    assert places(last) == [("folder", "/a", n, "") for n in range(9_999_500, 10_000_000)]
