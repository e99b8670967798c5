"""Listings: positions stay what they were, however long the list, however often it is taken, in bounded memory."""

import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import StoreConflict, StoreNotFound
from pixcore.model.requests import Slice
from pixcore.planning.plan import Lane
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader import listing
from pixcore_adapters.downloader.listing import read


class Store(MemoryBlobStore):
    """A store that notes what is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def open(self, key: str) -> BinaryIO:
        """Open, and note the last part of the key."""
        self.opened.append(key.rpartition("/")[2])
        return super().open(key)


@pytest.fixture
def store() -> Store:
    """Give an empty store."""
    return Store()


def listed(
    store: MemoryBlobStore | LocalBlobStore, entries: Iterable[Any], planned: Iterable[Slice] = (), *, keep: bool = True
) -> Lane:
    """List these entries, whatever was known before."""
    return grown(store, lambda _: entries, planned, keep=keep)


def grown(
    store: MemoryBlobStore | LocalBlobStore, grow: listing.Grow, planned: Iterable[Slice] = (), *, keep: bool = True
) -> Lane:
    """List what the known entries have grown to."""
    with listing.new_listing("s", "q", grow, store=store, dataset="cats", planned=planned) as made:
        if keep:
            made.keep(store)
        return made.lane


def piece(lane: Lane, start: int, stop: int) -> Slice:
    """A slice of the lane's listing."""
    return Slice(lane.source, lane.query, start, stop, lane.snapshot)


def test_a_slice_across_parts_opens_those_parts_alone(store: Store) -> None:
    """A chunk of a list of millions must cost no more than one of a list of hundreds."""
    lane = listed(store, range(30_001))
    assert (lane.start, lane.stop) == (0, 30_001)
    assert list(read(store, lane.snapshot, 9_998, 10_003)) == [9_998, 9_999, 10_000, 10_001, 10_002]
    assert store.opened == ["000000.jsonl", "000001.jsonl"]
    store.opened.clear()
    assert list(read(store, lane.snapshot, 10_000, 20_000)) == list(range(10_000, 20_000))
    assert store.opened == ["000001.jsonl"]


@pytest.mark.parametrize("entries", [0, 1, 9_999, 10_000, 10_001, 20_000])
def test_a_listing_ends_where_it_ends(store: Store, entries: int) -> None:
    """Also where that is the end of a part, and however far a slice goes beyond."""
    lane = listed(store, range(entries))
    assert list(read(store, lane.snapshot)) == list(range(entries))
    assert list(read(store, lane.snapshot, max(0, entries - 2), entries + 5)) == list(range(entries))[-2:]
    assert list(read(store, lane.snapshot, entries, entries + 20_000)) == []


def test_the_same_entries_are_the_same_listing(store: Store) -> None:
    """Planning again must find the chunks that are there, and one changed entry must be another listing."""
    one, again, other = (listed(store, entries) for entries in (["a", "b"], ["a", "b"], ["a", "c"]))
    assert one == again
    assert one.snapshot != other.snapshot
    assert len(list(store.list())) == 2


def test_what_is_added_lies_behind_what_was_planned(store: Store) -> None:
    """An extended dataset goes on where its last chunk ended, in a listing that begins with the one known."""

    def grow(known: Iterator[Any]) -> Iterator[Any]:
        yield from known
        yield from ("c", "d")

    def extended(*planned: Slice) -> Lane:
        return grown(store, grow, planned)

    first = listed(store, ["a", "b"])
    strangers = [Slice("s", "other", 0, 9, "x"), Slice("other", "q", 0, 9, "x")]
    more = extended(piece(first, 0, 1), *strangers)
    assert (more.start, more.stop) == (1, 4)
    assert list(read(store, more.snapshot)) == ["a", "b", "c", "d"]
    most = extended(piece(more, 1, 3), piece(first, 0, 1))
    assert (most.start, list(read(store, most.snapshot))) == (3, ["a", "b", "c", "d", "c", "d"])


def test_who_only_looks_writes_nothing(store: Store) -> None:
    """``plan`` tells what ``run`` would do: the same lane, and no blob."""
    looked = listed(store, range(5), keep=False)
    assert list(store.list()) == []
    assert looked == listed(store, range(5))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_missing_part_is_said(store: Store, part: int) -> None:
    """Going on without it would give candidates to the wrong positions."""
    lane = listed(store, range(25_000))
    store.delete(f"{lane.snapshot}/{part:06d}.jsonl")
    with pytest.raises(StoreNotFound):
        list(read(store, lane.snapshot, 0, 25_000))
    with pytest.raises(StoreNotFound):
        grown(store, list, [piece(lane, 0, 9)], keep=False)


def test_another_blob_in_its_place_is_not_taken_for_it(store: Store, tmp_path: Path) -> None:
    """A store may hold anything; a listing is what its name says or an error."""
    lane = listed(store, ["a"])
    kept = store.head(f"{lane.snapshot}/000000.jsonl")
    (tmp_path / "x").write_bytes(b"1")
    one = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    store.put(kept.key, tmp_path / "x", sha256=one, size=1, content_type="text/plain", metadata={}, replacing=kept.etag)
    with pytest.raises(StoreConflict):
        listed(store, ["a"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(JSON | st.text(st.characters()), max_size=6))
def test_any_entry_comes_back_as_it_was(entries: list[Any]) -> None:
    """Line ends, lone surrogates and control characters in names and titles must not shift a position."""
    store = MemoryBlobStore()
    assert list(read(store, listed(store, entries).snapshot)) == entries


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    """Lists of millions are cut into parts on the disk; neither reading what is known nor adding to it holds them."""
    store = LocalBlobStore(tmp_path)
    entries = 300_000

    def grow(known: Iterator[Any]) -> Iterator[Any]:
        yield from known
        yield "the last"

    lane = listed(store, range(entries))
    tracemalloc.start()
    try:
        longer = grown(store, grow, [piece(lane, 0, 1)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert list(read(store, longer.snapshot, entries - 1)) == [entries - 1, "the last"]
    assert peak < 4 << 20


def test_memory_does_not_grow_with_the_entries(tmp_path: Path) -> None:
    """Ten thousand of the longest lines a list may have would be a gigabyte."""
    store = LocalBlobStore(tmp_path)
    line = "x" * (1 << 17)
    tracemalloc.start()
    try:
        listed(store, (line for _ in range(300)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
