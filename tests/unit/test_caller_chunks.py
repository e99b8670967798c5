"""Chunks that callers describe: the same call gives the same chunk, and no two chunks share a candidate."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from command import at_home, fill

from pixcore import Chunk, ChunkKey, InvalidRequest
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.planning.caller_chunks import caller_chunk
from pixcore_runners.settings import Settings


@pytest.fixture
def assembly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Assembly]:
    """Yield an assembly with an empty status database and store, and close the database."""
    at_home(tmp_path, monkeypatch)
    settings = Settings(
        store=f"file:{tmp_path}/blobs", status=f"sqlite:///{tmp_path}/status.db", chunk_size=20, source=("openverse",)
    )
    made = assemble(settings, create=True)
    yield made
    made.status.engine.dispose()


def named(assembly: Assembly, number: int, metadata: Mapping[str, Any] | None) -> Chunk:
    """Return the chunk that the call describes."""
    return caller_chunk(number, metadata, assembly, time.sleep).chunk


def positions(*chunks: Chunk) -> Counter[tuple[str, str, int]]:
    """Return how many of the chunks have each candidate."""
    return Counter(
        (part.source, part.query, position)
        for chunk in chunks
        for part in chunk.request.slices
        for position in range(part.start, part.stop)
    )


def test_a_keyword_is_all_that_is_needed(assembly: Assembly) -> None:
    """Everything but the keyword comes from the settings, and unknown keys of the caller are ignored."""
    chunk = named(assembly, 7, {"keyword": "red panda", "job": {"user": 12}, "labels": None})
    assert chunk.key == ChunkKey("", 7)
    assert (chunk.request.keyword, chunk.request.target, chunk.request.label) == ("red panda", 20, "")
    assert {part.source for part in chunk.request.slices} == {"openverse"}


@pytest.mark.parametrize("metadata", [None, {}, {"keyword": ""}, {"keyword": "  "}, {"count": 3}], ids=str)
def test_a_call_without_a_keyword_is_refused(assembly: Assembly, metadata: Mapping[str, Any] | None) -> None:
    """The ValueError must name what is missing, and no chunk may be created."""
    with pytest.raises(ValueError, match="chunk 7 has no `keyword`"):
        named(assembly, 7, metadata)
    assert not assembly.status.summary()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"count": "many"}, "count"),
        ({"count": -1}, "at least 1 image"),
        ({"dataset": "../x"}, "dataset name"),
        ({"sources": ["nowhere"]}, "nowhere"),
        ({"slices": [{"source": "urls"}]}, "slices"),
        ({"slices": [{"source": "urls", "query": "q", "start": 0, "stop": 1, "color": "red"}]}, "slices"),
        ({"slices": [{"source": "urls", "query": "q", "start": 5, "stop": 5}]}, "is empty"),
        ({"labels": 5}, "labels"),
    ],
    ids=str,
)
def test_an_invalid_value_is_refused_by_its_name(assembly: Assembly, changed: Mapping[str, Any], expected: str) -> None:
    """The message must be enough to find the mistake in one of a thousand calls."""
    with pytest.raises(InvalidRequest, match=expected):
        named(assembly, 7, {"keyword": "cat", **changed})
    assert not assembly.status.summary()


@pytest.mark.parametrize("number", [-1, "7", True, 1.5, "../../etc"], ids=repr)
def test_only_whole_numbers_are_accepted_as_the_chunk_number(assembly: Assembly, number: Any) -> None:  # noqa: ANN401 - any value that a message may contain
    """The number becomes part of the blob's name."""
    with pytest.raises(InvalidRequest, match="chunk_id cannot be"):
        named(assembly, number, {"keyword": "cat"})


def test_the_same_call_gives_the_same_chunk(assembly: Assembly) -> None:
    """A redelivery must find its chunk, even if others took candidates in between."""
    first = named(assembly, 1, {"keyword": "cat", "count": 10, "labels": ["Felis", "catus"]})
    named(assembly, 2, {"keyword": "cat", "count": 10})
    assert named(assembly, 1, {"keyword": "cat", "count": 10, "labels": ["Felis", "catus"]}) == first
    assert named(assembly, 1, {"keyword": "cat"}) == first
    assert first.request.label == "Felis,catus"


@pytest.mark.parametrize("changed", [{"keyword": "dog"}, {"count": 11}, {"labels": "Canis"}], ids=str)
def test_a_different_description_for_a_used_number_is_refused(assembly: Assembly, changed: Mapping[str, Any]) -> None:
    """Otherwise a caller would get the archive of another request."""
    named(assembly, 1, {"keyword": "cat", "count": 10})
    with pytest.raises(InvalidRequest, match="another number"):
        named(assembly, 1, {"keyword": "cat", **changed})


def test_chunks_of_one_keyword_share_no_candidate(assembly: Assembly) -> None:
    """This must hold with numbers in any order and many workers that describe chunks at once."""
    numbers = [900, 3, 17, 4, 5, 60, 7, 8]
    with ThreadPoolExecutor(len(numbers)) as pool:
        chunks = list(pool.map(lambda number: named(assembly, number, {"keyword": "cat"}), numbers))
    assert [chunk.id for chunk in chunks] == numbers
    assert set(positions(*chunks).values()) == {1}


def test_given_slices_are_used_unchanged(assembly: Assembly) -> None:
    """A caller may plan the slices; the target then defaults to all their candidates."""
    given = {"source": "openverse", "query": "cat", "start": 40, "stop": 45}
    chunk = named(assembly, 1, {"keyword": "cat", "slices": [given]})
    assert (chunk.request.target, sorted(positions(chunk))) == (5, [("openverse", "cat", n) for n in range(40, 45)])
    with pytest.raises(InvalidRequest, match="another number"):
        named(assembly, 1, {"keyword": "cat", "slices": [{**given, "stop": 50}]})


def test_a_listing_is_stored_where_other_workers_find_it(assembly: Assembly, tmp_path: Path) -> None:
    """The worker that reads the folder may be another one than the worker that runs the chunk."""
    photos = fill(tmp_path / "photos", 6)
    chunks = [named(assembly, n, {"keyword": "cat", "count": 3, "sources": [f"folder:{photos}"]}) for n in (1, 2)]
    assert sorted(positions(*chunks)) == [("folder", str(photos), n) for n in range(6)]
    (snapshot,) = {part.snapshot for chunk in chunks for part in chunk.request.slices}
    assert assembly.store.head(f"{snapshot}/000000.jsonl").size > 0


def test_a_dataset_and_a_keyword_name_a_planned_chunk(assembly: Assembly) -> None:
    """Planned chunks are sent in this form by pixcore itself; a chunk that was never planned is refused."""
    planned = named(assembly, 3, {"keyword": "cat", "dataset": "pets", "count": 10})
    assert named(assembly, planned.id, {"keyword": "cat", "dataset": "pets"}) == planned
    with pytest.raises(InvalidRequest, match="no chunk pets/999"):
        named(assembly, 999, {"keyword": "cat", "dataset": "pets"})
    with pytest.raises(InvalidRequest, match="keyword"):
        named(assembly, planned.id, {"keyword": "dog", "dataset": "pets"})


def test_in_a_dataset_of_the_caller_the_number_is_the_chunks_index(assembly: Assembly) -> None:
    """A chunk that a caller describes in a dataset must be found by the caller's number, whatever its id."""
    metadata = {"keyword": "cat", "dataset": "pets", "count": 10}
    chunks = [named(assembly, number, metadata) for number in (5, 3, 5)]
    assert [chunk.request.index for chunk in chunks] == [5, 3, 5]
    assert chunks[0] == chunks[2]
    assert set(positions(*chunks[:2]).values()) == {1}
