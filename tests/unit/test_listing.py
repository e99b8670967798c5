"""Listings keep positions for lists of any length, in bounded memory."""

import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Any, BinaryIO

import pytest
from contract.disk import no_file_above
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import StoreConflict, StoreNotFound, WorkspaceFull
from pixcore.model.archives import Blob
from pixcore.model.requests import Slice
from pixcore.planning.plan import Lane
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader import listing
from pixcore_adapters.downloader.listing import read


class Store(MemoryBlobStore):
    """A store that records the blobs that are opened, and those that are sent to it."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.sent: list[str] = []

    def put(self, key: str, source: Path, **options: Any) -> Blob:  # noqa: ANN401 - those of the store
        """Record the last part of the key and store the blob."""
        self.sent.append(key.rpartition("/")[2])
        return super().put(key, source, **options)

    def open(self, key: str) -> BinaryIO:
        """Record the last part of the key and open the blob."""
        self.opened.append(key.rpartition("/")[2])
        return super().open(key)


@pytest.fixture
def store() -> Store:
    """Return an empty store."""
    return Store()


def listed(
    store: MemoryBlobStore | LocalBlobStore, entries: Iterable[Any], planned: Iterable[Slice] = (), *, keep: bool = True
) -> Lane:
    """List these entries, whatever was known before."""
    return grown(store, lambda _: entries, planned, keep=keep)


def grown(
    store: MemoryBlobStore | LocalBlobStore, grow: listing.Grow, planned: Iterable[Slice] = (), *, keep: bool = True
) -> Lane:
    """Store the listing that ``grow`` makes and return its lane."""
    with listing.new_listing("s", "q", grow, store=store, dataset="cats", planned=planned) as new:
        if keep:
            new.keep(store)
        return new.lane


def slice_of(lane: Lane, start: int, stop: int) -> Slice:
    """Return a slice of the lane's listing."""
    return Slice(lane.source, lane.query, start, stop, lane.snapshot)


def test_a_slice_across_parts_opens_those_parts_alone(store: Store) -> None:
    """A slice opens only the parts that it covers, so that its cost does not depend on the list's length."""
    lane = listed(store, range(30_001))
    assert (lane.start, lane.stop) == (0, 30_001)
    assert list(read(store, lane.snapshot, 9_998, 10_003)) == [9_998, 9_999, 10_000, 10_001, 10_002]
    assert store.opened == ["000000.jsonl", "000001.jsonl"]
    store.opened.clear()
    assert list(read(store, lane.snapshot, 10_000, 20_000)) == list(range(10_000, 20_000))
    assert store.opened == ["000001.jsonl"]


@pytest.mark.parametrize("entries", [0, 1, 9_999, 10_000, 10_001, 20_000])
def test_a_listing_ends_after_its_last_entry(store: Store, entries: int) -> None:
    """A listing ends after its last entry, also at the end of a part or if a slice is longer."""
    lane = listed(store, range(entries))
    assert list(read(store, lane.snapshot)) == list(range(entries))
    assert list(read(store, lane.snapshot, max(0, entries - 2), entries + 5)) == list(range(entries))[-2:]
    assert list(read(store, lane.snapshot, entries, entries + 20_000)) == []


def test_the_same_entries_are_the_same_listing(store: Store) -> None:
    """The same entries give the same listing; one changed entry gives another."""
    one, again, other = (listed(store, entries) for entries in (["a", "b"], ["a", "b"], ["a", "c"]))
    assert one == again
    assert one.snapshot != other.snapshot
    assert len(list(store.list())) == 2


def test_a_stored_listing_is_not_sent_again(store: Store) -> None:
    """To plan a list of a million lines again would send a hundred megabytes for nothing; a missing part is sent."""
    lane = listed(store, range(20_001))
    store.sent.clear()
    assert listed(store, range(20_001)) == lane
    assert store.sent == []
    store.delete(f"{lane.snapshot}/000001.jsonl")
    listed(store, range(20_001))
    assert store.sent == ["000001.jsonl"]


def test_added_entries_follow_the_planned_ones(store: Store) -> None:
    """Added entries come after the planned ones, in a listing that begins with the earlier entries."""

    def grow(known: Iterator[Any]) -> Iterator[Any]:
        yield from known
        yield from ("c", "d")

    def extended(*planned: Slice) -> Lane:
        return grown(store, grow, planned)

    first = listed(store, ["a", "b"])
    strangers = [Slice("s", "other", 0, 9, "x"), Slice("other", "q", 0, 9, "x")]
    more = extended(slice_of(first, 0, 1), *strangers)
    assert (more.start, more.stop) == (1, 4)
    assert list(read(store, more.snapshot)) == ["a", "b", "c", "d"]
    most = extended(slice_of(more, 1, 3), slice_of(first, 0, 1))
    assert (most.start, list(read(store, most.snapshot))) == (3, ["a", "b", "c", "d", "c", "d"])


def test_listing_without_keep_stores_nothing(store: Store) -> None:
    """Listing without `keep`, as for ``plan``, gives the same lane and stores no blob."""
    unsaved = listed(store, range(5), keep=False)
    assert list(store.list()) == []
    assert unsaved == listed(store, range(5))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_missing_part_is_an_error(store: Store, part: int) -> None:
    """A missing part is an error: skipping it would shift positions."""
    lane = listed(store, range(25_000))
    store.delete(f"{lane.snapshot}/{part:06d}.jsonl")
    with pytest.raises(StoreNotFound):
        list(read(store, lane.snapshot, 0, 25_000))
    with pytest.raises(StoreNotFound):
        grown(store, list, [slice_of(lane, 0, 9)], keep=False)


def test_another_blob_in_its_place_is_not_taken_for_it(store: Store, tmp_path: Path) -> None:
    """Another blob at a listing's key is an error."""
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
def test_any_entry_comes_back_unchanged(entries: list[Any]) -> None:
    """Any entry comes back unchanged, also with line ends, lone surrogates and control characters."""
    store = MemoryBlobStore()
    assert list(read(store, listed(store, entries).snapshot)) == entries


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    """Memory does not grow with the number of entries, neither for known nor for added ones."""
    store = LocalBlobStore(tmp_path)
    entries = 100_000  # a list of as many strings would take twice the bound

    def grow(known: Iterator[Any]) -> Iterator[Any]:
        yield from known
        yield "the last"

    lane = listed(store, range(entries))
    tracemalloc.start()
    try:
        longer = grown(store, grow, [slice_of(lane, 0, 1)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert list(read(store, longer.snapshot, entries - 1)) == [entries - 1, "the last"]
    assert peak < 4 << 20


def test_memory_does_not_grow_with_the_entries(tmp_path: Path) -> None:
    """Memory does not grow with the length of entries: ten thousand of the longest would take a gigabyte."""
    store = LocalBlobStore(tmp_path)
    line = "x" * (1 << 17)
    tracemalloc.start()
    try:
        listed(store, (line for _ in range(300)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_a_full_folder_for_temporary_files_is_named(store: Store) -> None:
    """Listings are not in the work directory, so a larger disk for `work` would not help."""
    with no_file_above(100), pytest.raises(WorkspaceFull, match=f"room in {gettempdir()}, or set TMPDIR"):
        listed(store, ["x" * 1000])
