"""The contract of every blob store: the promises of ``pixcore.ports.blob_store``."""

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Barrier, Event
from types import MappingProxyType
from typing import Protocol

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pixcore.errors import StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable
from pixcore.model.archives import Blob
from pixcore.ports import BlobStore

from .memory import growth

ODD_KEYS = (
    "a b",
    "a%20b",
    "a+b",
    "%48",
    "H",
    "h",
    "what?is=#this",
    "back\\slash",
    "café",
    "cafe\N{COMBINING ACUTE ACCENT}",
    "quote'\"s",
    "~",
    "...",
    "-rf",
    "é/😀/猫.zip",
)
BAD_KEYS = (
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "./a",
    "a/.",
    "../a",
    "a/../b",
    "a\0b",
    "\ud800",
    ".pixcore",
    ".pixcore/lock",
)

_PART = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20)
KEYS = (
    st.lists(_PART.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda key: not f"{key}/".startswith(".pixcore/"))
)

# each example leaves the store unchanged, and every subclass runs the same test on its own store
_PER_STORE = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]


def put(
    store: BlobStore,
    key: str,
    data: bytes,
    *,
    replacing: str | None = None,
    content_type: str = "application/zip",
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> Blob:
    """Store bytes."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return store.put(
            key,
            Path(file.name),
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            content_type=content_type,
            metadata=metadata,
            replacing=replacing,
        )


def read(store: BlobStore, key: str) -> bytes:
    """Return a blob's bytes."""
    with store.open(key) as file:
        return file.read()


def keys(store: BlobStore, prefix: str = "") -> list[str]:
    """Return the listed keys."""
    return [blob.key for blob in store.list(prefix)]


def noise(seed: int, size: int) -> bytes:
    """Return bytes in which no two blocks are alike. The same seed gives the same bytes."""
    return hashlib.shake_128(bytes([seed])).digest(size)


def at_once(writers: list[Callable[[], Blob]]) -> list[Blob | None]:
    """Run writers at the same moment. Return what each stored, or None for a writer that was refused."""
    barrier = Barrier(len(writers))

    def go(writer: Callable[[], Blob]) -> Blob | None:
        barrier.wait()
        try:
            return writer()
        except (StoreConflict, StoreUnavailable):  # a server may answer the losing writer with "try again"
            return None

    with ThreadPoolExecutor(len(writers)) as pool:
        return list(pool.map(go, writers))


lies = pytest.mark.parametrize(
    ("size", "described"),
    [(5, b"images"), (7, b"images"), (6, b"others")],
    ids=["shorter", "longer", "other bytes"],
)
"""What is said of a file that holds ``images``."""


class _BlobStoreContract:
    """What every store must do.

    ``many`` should exceed the adapter's page of a listing, ``large`` its part of an upload or a block of a read.
    """

    many = 1_050
    large = 3 * (1 << 20) + 1

    @pytest.fixture
    def store(self) -> BlobStore:
        """Return an empty store."""
        raise NotImplementedError

    one_step = True
    """Whether the server compares and stores in one step; otherwise two writers at once may both succeed."""

    def check_winner(self, store: BlobStore, stored: list[Blob | None], contents: list[bytes]) -> None:
        """At most one writer won, and the blob is complete and from one of the writers, whatever the responses."""
        winners = [blob for blob in stored if blob]
        assert (len(winners) == 1) if self.one_step else winners
        assert list(store.list()) == [store.head("key")]
        assert store.head("key") in winners
        assert read(store, "key") == contents[stored.index(store.head("key"))]

    def holds(self, key: str) -> bool:  # noqa: ARG002 - for stores that hold fewer keys
        """Return whether the store can hold such a key. The store must refuse the others."""
        return True

    def can_be_asked(self, key: str) -> bool:  # noqa: ARG002 - for a server that cannot handle it
        """Return whether the test server can be sent such a key at all."""
        return True

    def test_a_stored_blob_comes_back(self, store: BlobStore) -> None:
        """A put stores bytes, size, sha256, content type and metadata."""
        metadata = {"chunk": "7", "attempt": "2", "note_1": "any printable ~!@#$%^&*()\"'<>\\ text"}
        stored = put(store, "d/data/chunk_7.zip", b"images", content_type="application/x-tar", metadata=metadata)
        assert stored == Blob(
            key="d/data/chunk_7.zip",
            url=stored.url,
            size=6,
            sha256=hashlib.sha256(b"images").hexdigest(),
            etag=stored.etag,
            content_type="application/x-tar",
            metadata=metadata,
        )
        assert store.head("d/data/chunk_7.zip") == stored
        assert list(store.list()) == [stored]
        assert read(store, "d/data/chunk_7.zip") == b"images"

    @settings(max_examples=25, deadline=None, suppress_health_check=_PER_STORE)
    @given(data=st.binary())
    def test_any_bytes_come_back(self, store: BlobStore, data: bytes) -> None:
        """Any bytes come back, also those that look like text, line ends or an end mark."""
        stored = put(store, "blob", data)
        assert (stored.size, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert read(store, "blob") == data
        store.delete("blob")

    def test_an_empty_blob_is_a_blob(self, store: BlobStore) -> None:
        """An empty blob exists; it differs from a missing one."""
        assert put(store, "empty", b"") == store.head("empty")
        assert read(store, "empty") == b""

    def test_a_large_blob_comes_back(self, store: BlobStore) -> None:
        """A blob copied in several parts is put together completely and in order."""
        data = noise(1, self.large)
        put(store, "large", data)
        assert read(store, "large") == data

    def test_unusual_keys_are_distinct(self, store: BlobStore) -> None:
        """Keys that decoding, case folding or normalisation would equate are different blobs."""
        held = [key for key in ODD_KEYS if self.holds(key)]
        for key in held:
            put(store, key, key.encode())
        assert {key: read(store, key) for key in held} == {key: key.encode() for key in held}
        assert keys(store) == sorted(held)

    def test_a_key_that_a_store_cannot_hold_is_refused(self, store: BlobStore) -> None:
        """A key that the store's server would change is refused, because it could become another blob's key."""
        for key in ODD_KEYS:
            if not self.holds(key):
                with pytest.raises(StoreDenied, match="key"):
                    put(store, key, b"x")
        assert keys(store) == []

    @settings(max_examples=50, deadline=None, suppress_health_check=_PER_STORE)
    @given(key=KEYS)
    def test_any_key_comes_back(self, store: BlobStore, key: str) -> None:
        """Any key comes back; keys hold dataset names in any script."""
        assume(self.can_be_asked(key))
        if not self.holds(key):
            with pytest.raises(StoreDenied, match="key"):
                put(store, key, b"x")
            return
        stored = put(store, key, b"x")
        assert stored.key == key
        assert store.head(key) == stored
        assert list(store.list()) == list(store.list(key)) == [stored]
        store.delete(key)
        assert keys(store) == []

    @pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
    def test_a_bad_key_is_refused_everywhere(self, store: BlobStore, key: str) -> None:
        """All stores refuse the same keys: those that lead out of the store, or that mean other things elsewhere."""
        for use in (lambda: put(store, key, b"x"), lambda: store.head(key), lambda: store.open(key)):
            with pytest.raises(StoreDenied, match="key"):
                use()
        with pytest.raises(StoreDenied, match="key"):
            store.delete(key)
        if key:
            with pytest.raises(StoreDenied, match="key"):
                list(store.list(key))

    @pytest.mark.parametrize("key", ["chunk_1.zip", "d/what?is=#this", "é/😀 %48"])
    def test_a_url_has_no_query(self, store: BlobStore, key: str) -> None:
        """URLs go into logs and rows, so they have no query, which could be a signature."""
        url = put(store, key, b"x").url
        assert "://" in url
        assert url.isascii()
        assert not {"?", "#", " "} & set(url)

    def test_a_second_put_changes_nothing(self, store: BlobStore) -> None:
        """A put without `replacing` never overwrites a blob, not even with the same bytes."""
        first = put(store, "key", b"first", metadata={"attempt": "1"})
        for data in (b"second", b"first"):
            with pytest.raises(StoreConflict):
                put(store, "key", data, metadata={"attempt": "2"})
        assert store.head("key") == first
        assert read(store, "key") == b"first"

    @lies
    def test_a_source_that_is_not_as_described_is_refused(
        self, store: BlobStore, tmp_path: Path, size: int, described: bytes
    ) -> None:
        """A file that changed during the upload is refused; it would be recorded with a wrong hash."""
        source = tmp_path / "source"
        source.write_bytes(b"images")
        sha256 = hashlib.sha256(described).hexdigest()
        with pytest.raises(StoreConflict):
            store.put("key", source, sha256=sha256, size=size, content_type="t/t", metadata={})
        assert keys(store) == []

    def test_a_source_that_cannot_be_read_is_refused(self, store: BlobStore, tmp_path: Path) -> None:
        """A source that is missing or a folder raises a permanent error, because it is not the store's fault."""
        for source in (tmp_path / "missing", tmp_path):
            with pytest.raises(StoreConflict, match=str(source)):
                store.put("key", source, sha256="", size=0, content_type="t/t", metadata={})
        assert keys(store) == []

    def test_a_missing_blob_is_not_found(self, store: BlobStore) -> None:
        """Neither a folder of blobs nor a path below a blob is a blob."""
        for key in ("missing", "a", "a/b/c", "a/missing"):
            with pytest.raises(StoreNotFound, match=key):
                store.head(key)
            with pytest.raises(StoreNotFound, match=key):
                store.open(key)
            if not keys(store):
                put(store, "a/b", b"x")
        assert keys(store, "a/b/c") == []

    def test_delete_is_idempotent(self, store: BlobStore) -> None:
        """Deleting a blob that is already gone is no error, so that a cleanup can be repeated after a crash."""
        store.delete("never/there")
        put(store, "a/b", b"first")
        put(store, "a/c", b"stays")
        for _ in range(2):
            store.delete("a/b")
            store.delete("a")
            store.delete("a/c/below")
        assert keys(store) == ["a/c"]
        assert put(store, "a/b", b"again") == store.head("a/b")

    def test_a_deleted_blob_takes_its_description_along(self, store: BlobStore) -> None:
        """A new blob does not inherit the metadata of a deleted one."""
        put(store, "key", b"same", metadata={"attempt": "1"})
        store.delete("key")
        put(store, "key", b"same")
        assert store.head("key").metadata == {}

    def test_the_place_of_deleted_blobs_is_free(self, store: BlobStore) -> None:
        """A key that was a folder can become a blob after its blobs are deleted, and the other way round."""
        put(store, "a/b/c", b"x")
        store.delete("a/b/c")
        put(store, "a", b"x")
        store.delete("a")
        put(store, "a/b", b"x")
        assert keys(store) == ["a/b"]

    def test_a_prefix_ends_at_a_path_part(self, store: BlobStore) -> None:
        """A prefix ends at a path part: listing dataset ``a`` does not show dataset ``aa``."""
        for key in ("a/b", "a/c/d", "aa", "ab/c", "b"):
            put(store, key, b"x")
        assert keys(store, "a") == ["a/b", "a/c/d"]
        assert keys(store, "a/c") == ["a/c/d"]
        assert keys(store, "aa") == ["aa"]
        assert keys(store, "a/bb") == keys(store, "c") == []

    def test_a_listing_is_sorted_by_whole_keys(self, store: BlobStore) -> None:
        """Listings are in the order of whole keys: ``-`` and ``.`` sort before ``/``, unlike in an order by folders."""
        unordered = ["a0", "a/b", "a-b", "a/c/d", "B", "é", "a.zip", "a/b.zip", "a/c-d/e", "aa", "😀", "\uffee"]
        for key in unordered:
            put(store, key, b"x")
        assert keys(store) == sorted(unordered)

    def test_a_listing_has_no_last_page(self, store: BlobStore) -> None:
        """A listing continues across the pages of a server, which hold a thousand keys at most."""
        expected = sorted(f"d/chunk_{number}.zip" for number in range(self.many))
        with ThreadPoolExecutor(8) as pool:
            stored = list(pool.map(lambda key: put(store, key, b"x"), expected))
        assert list(store.list("d")) == stored

    def test_a_listing_survives_deletions(self, store: BlobStore) -> None:
        """A blob may be deleted while it is being listed."""
        for number in range(5):
            put(store, f"d/{number}", b"x")
        for blob in store.list("d"):
            store.delete(blob.key)
        assert keys(store) == []

    def test_of_concurrent_writers_one_creates(self, store: BlobStore) -> None:
        """Of concurrent writers that create a blob, one wins and the others raise StoreConflict."""
        contents = [bytes([65 + number]) * 300_000 for number in range(6)]
        self.check_winner(store, at_once([partial(put, store, "key", data) for data in contents]), contents)


_WRITER = """
import sys
from pathlib import Path
source, sha256, size = sys.argv[1:]
print("now", flush=True)
store.put("key", Path(source), sha256=sha256, size=int(size), content_type="t/t", metadata={})
"""


class Creatable(BlobStore, Protocol):
    """A store whose container may have to be created first."""

    def create(self) -> None:
        """Create the container. Idempotent."""
        ...


class Stoppable(Protocol):
    """A server that tests can stop."""

    def stop(self) -> None:
        """Stop the server without notice to its clients."""
        ...

    def start(self) -> None:
        """Start the server at the same address and wait until it serves."""
        ...


class BlobStoreContract(_BlobStoreContract):
    """Subclass this for each adapter that can replace, and provide ``store``, which is empty.

    ``looks`` is how often a blob is described while it is being replaced.
    """

    looks = 200

    def test_the_named_version_is_replaced_whole(self, store: BlobStore) -> None:
        """A newer attempt replaces bytes, content type and metadata together."""
        first = put(store, "key", b"first", content_type="application/zip", metadata={"attempt": "1", "old": "yes"})
        second = put(
            store, "key", b"2nd", content_type="application/x-tar", metadata={"attempt": "2"}, replacing=first.etag
        )
        assert store.head("key") == second
        assert list(store.list()) == [second]
        assert (second.content_type, second.metadata) == ("application/x-tar", {"attempt": "2"})
        assert read(store, "key") == b"2nd"

    def test_a_version_that_is_gone_cannot_be_replaced(self, store: BlobStore) -> None:
        """An old etag cannot replace a newer version, so a worker without a valid claim changes nothing."""
        first = put(store, "key", b"first")
        second = put(store, "key", b"second", replacing=first.etag)
        with pytest.raises(StoreConflict):
            put(store, "key", b"zombie", replacing=first.etag)
        assert store.head("key") == second
        assert read(store, "key") == b"second"

    def test_a_missing_blob_cannot_be_replaced(self, store: BlobStore) -> None:
        """A replacement does not bring back a blob that was deleted."""
        gone = put(store, "key", b"first")
        store.delete("key")
        with pytest.raises(StoreConflict):
            put(store, "key", b"second", replacing=gone.etag)
        assert keys(store) == []

    def test_every_version_has_its_own_etag(self, store: BlobStore) -> None:
        """The same bytes stored again get another etag, so that old and new attempts can be distinguished."""
        versions = [put(store, "key", b"same")]
        for attempt in range(5):
            versions.append(put(store, "key", b"same", metadata={"attempt": str(attempt)}, replacing=versions[-1].etag))
        store.delete("key")
        versions.append(put(store, "key", b"same"))
        assert len({version.etag for version in versions}) == len(versions)

    @lies
    def test_a_source_that_is_not_as_described_replaces_nothing(
        self, store: BlobStore, tmp_path: Path, size: int, described: bytes
    ) -> None:
        """A source that does not match its description leaves the stored blob unchanged."""
        source = tmp_path / "source"
        source.write_bytes(b"images")
        sha256 = hashlib.sha256(described).hexdigest()
        old = put(store, "old", b"old")
        with pytest.raises(StoreConflict):
            store.put("old", source, sha256=sha256, size=size, content_type="t/t", metadata={}, replacing=old.etag)
        assert list(store.list()) == [old]
        assert read(store, "old") == b"old"

    def test_of_concurrent_writers_one_replaces(self, store: BlobStore) -> None:
        """Comparing the etag and replacing the blob are one atomic step."""
        etag = put(store, "key", b"old").etag
        contents = [bytes([65 + number]) * 300_000 for number in range(6)]
        stored = at_once([partial(put, store, "key", data, replacing=etag) for data in contents])
        self.check_winner(store, stored, contents)

    def test_a_reader_keeps_the_version_that_it_opened(self, store: BlobStore) -> None:
        """A reader that opened a version reads it to its end, even if it is replaced meanwhile."""
        old, new = noise(1, self.large), noise(2, self.large)
        etag = put(store, "key", old).etag
        with store.open("key") as file:
            beginning = file.read(1)
            put(store, "key", new, replacing=etag)
            assert beginning + file.read() == old
        assert read(store, "key") == new

    def test_a_description_is_of_one_version(self, store: BlobStore) -> None:
        """A description never mixes two versions while a blob is being replaced."""
        blob = put(store, "key", b"0", metadata={"after": "0"})
        enough = Event()

        def replacements() -> None:
            etag = blob.etag
            while not enough.is_set():
                etag = put(store, "key", etag.encode(), metadata={"after": etag}, replacing=etag).etag

        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(replacements)
            seen = [look for _ in range(self.looks) for look in (store.head("key"), *store.list())]
            enough.set()
            writer.result()
        for look in seen:
            assert look.sha256 == hashlib.sha256(look.metadata["after"].encode()).hexdigest()


class Copying(BlobStore, Protocol):
    """A store whose server copies blobs."""

    def prepare_copy(self, source: str, key: str) -> Callable[[], Blob]:
        """Return a function that copies a blob under another key; nothing is listed before it is called."""
        ...


class CopyingContract:
    """For a store with the optional method ``prepare_copy``. Subclass it too."""

    large: int

    @pytest.mark.parametrize("size", ["none", "small", "large"])
    def test_a_copy_is_listed_once_it_is_shown(self, store: Copying, size: str) -> None:
        """Until then, an export in the making is not listed; then it is as if it had been stored under its own key."""
        data = {"none": b"", "small": b"images", "large": noise(1, self.large)}[size]
        stored = put(store, "hidden/a b", data, content_type="image/png", metadata={"note": "100 %"})
        show = store.prepare_copy("hidden/a b", "é/😀/猫.png")
        assert keys(store, "é") == []
        copied = show()
        assert copied == Blob(
            "é/😀/猫.png", copied.url, stored.size, stored.sha256, copied.etag, "image/png", {"note": "100 %"}
        )
        assert list(store.list()) == [stored, copied]
        assert read(store, "é/😀/猫.png") == data
        store.delete("hidden/a b")
        assert read(store, "é/😀/猫.png") == data

    def test_a_copy_replaces_nothing(self, store: Copying) -> None:
        """Neither a blob that was stored before the copy was prepared, nor a later one, nor an earlier copy."""
        put(store, "source", b"images")
        show = store.prepare_copy("source", "key")
        kept = [put(store, "key", b"mine"), store.prepare_copy("source", "other")()]
        for attempt in (show, store.prepare_copy("source", "key"), store.prepare_copy("source", "other")):
            with pytest.raises(StoreConflict):
                attempt()
        assert [store.head("key"), store.head("other")] == kept
        assert read(store, "key") == b"mine"

    def test_only_a_blob_can_be_copied(self, store: Copying) -> None:
        """A missing source and a bad key are found before the copies of other blobs are shown."""
        put(store, "source", b"x")
        with pytest.raises(StoreNotFound, match="missing"):
            store.prepare_copy("missing", "key")
        for source, key in (("source", "a//b"), ("a//b", "key")):
            with pytest.raises(StoreDenied, match="key"):
                store.prepare_copy(source, key)
        assert keys(store) == ["source"]


class CreateOnlyContract(_BlobStoreContract):
    """For a store whose server cannot replace safely. Subclass it in place of ``BlobStoreContract``."""

    def test_nothing_is_replaced(self, store: BlobStore) -> None:
        """If the server does not enforce which version is replaced, `replacing` is refused with the remedy."""
        old = put(store, "key", b"old")
        for data in (b"new", b"old", noise(1, self.large)):
            with pytest.raises(StoreDenied, match="delete it yourself"):
                put(store, "key", data, replacing=old.etag)
        assert list(store.list()) == [old]
        assert read(store, "key") == b"old"


class ServerContract:
    """Further promises of a store on a server. Subclass it too, and provide the fixtures, and ``large`` in parts.

    ``lets_anybody_in`` and ``forgets`` say what the server itself lacks: that it checks secrets, or keeps its data when
    it stops. The stores of ``private`` and ``stranger`` do not try again.
    """

    large: int
    lets_anybody_in = False
    forgets = False

    @pytest.fixture
    def missing(self) -> Creatable:
        """Return a store whose container does not exist."""
        raise NotImplementedError

    @pytest.fixture
    def stranger(self) -> BlobStore:
        """Return the same ``store`` with a wrong secret."""
        raise NotImplementedError

    @pytest.fixture
    def elsewhere(self) -> str:
        """Return code that creates a ``store`` of the same container in another process."""
        raise NotImplementedError

    @pytest.fixture
    def private(self) -> tuple[Stoppable, Creatable]:
        """Return a server for this test alone, and a store on it whose container does not exist yet."""
        raise NotImplementedError

    def test_a_missing_container_is_named_with_the_remedy(self, missing: Creatable) -> None:
        """A missing container is reported with the remedy; it is neither an empty store nor created implicitly."""
        for use in (lambda: put(missing, "key", b"x"), lambda: missing.open("key"), lambda: list(missing.list())):
            with pytest.raises(StoreNotFound, match="--create-container"):
                use()
        with pytest.raises(StoreNotFound):
            missing.head("key")

    def test_create_is_idempotent(self, missing: Creatable) -> None:
        """Creating the container twice is no error, because two workers may do so at once."""
        for _ in range(2):
            missing.create()
        stored = put(missing, "key", b"x")
        missing.create()
        assert list(missing.list()) == [stored]

    def test_a_wrong_secret_is_denied(self, store: BlobStore, stranger: BlobStore) -> None:
        """A wrong secret raises a permanent error."""
        stored = put(store, "key", b"x")
        if self.lets_anybody_in:
            assert stranger.head("key") == stored
            return
        uses = (
            lambda: put(stranger, "new", b"x"),
            lambda: stranger.head("key"),
            lambda: stranger.open("key"),
            lambda: list(stranger.list()),
            lambda: stranger.delete("key"),
        )
        for use in uses:
            with pytest.raises(StoreDenied):
                use()
        assert list(store.list()) == [stored]

    def test_a_server_that_stops_is_worth_trying_again(self, private: tuple[Stoppable, Creatable]) -> None:
        """A stopped server raises StoreUnavailable. A blob that was read halfway is an error, never a complete blob."""
        server, store = private
        store.create()
        stored = put(store, "key", noise(1, 24 << 20))  # more than a connection buffers
        with store.open("key") as file:
            first = file.read(1)
            server.stop()
            with suppress(StoreUnavailable):  # unless all bytes had already arrived
                assert first + file.read() == noise(1, 24 << 20)
        uses = (
            lambda: put(store, "new", b"x"),
            lambda: store.head("key"),
            lambda: store.open("key"),
            lambda: list(store.list()),
            lambda: store.delete("key"),
        )
        for use in uses:
            with pytest.raises(StoreUnavailable):
                use()
        server.start()
        if self.forgets:
            store.create()
        new = put(store, "new", b"x")
        assert list(store.list()) == ([new] if self.forgets else [stored, new])

    def test_of_concurrent_uploads_in_parts_one_creates(self, store: BlobStore) -> None:
        """Of concurrent uploads in parts, one creates the blob, and the parts of the others are removed."""
        contents = [noise(number, self.large) for number in range(2)]
        self.check_winner(store, at_once([partial(put, store, "key", data) for data in contents]), contents)

    @pytest.mark.parametrize("megabytes", [64, pytest.param(1_024, marks=pytest.mark.soak)])
    def test_a_large_upload_takes_little_memory(self, store: BlobStore, tmp_path: Path, megabytes: int) -> None:
        """An upload takes bounded memory, because several workers share a machine."""
        source, digest = tmp_path / "source", hashlib.sha256()
        with source.open("wb") as file:
            for number in range(megabytes):
                digest.update(block := noise(number % 256, 1 << 20))
                file.write(block)
        size = megabytes << 20
        put(store, "warm", noise(0, self.large))  # imports and connects once
        with growth() as grown:
            store.put("key", source, sha256=digest.hexdigest(), size=size, content_type="t/t", metadata={})
        assert store.head("key").size == size
        assert grown.peak < 32 << 20

    @pytest.mark.soak
    def test_a_writer_that_is_killed_leaves_nothing_half(
        self, store: BlobStore, elsewhere: str, tmp_path: Path
    ) -> None:
        """A writer killed at any moment of an upload leaves a complete blob or none, and the next worker stores one."""
        data, source, chance = noise(1, 24 << 20), tmp_path / "source", random.Random(1)  # noqa: S311 - no secret
        source.write_bytes(data)
        code = f"{elsewhere}\n{_WRITER}"
        described = [str(source), hashlib.sha256(data).hexdigest(), str(len(data))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        whole = seconds = 0.0
        for kill in range(51):
            command = [sys.executable, "-c", code, *described]
            with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
                assert writer.stdout
                writer.stdout.readline()  # it starts
                began = time.monotonic()
                if kill:
                    with suppress(subprocess.TimeoutExpired):
                        writer.wait(chance.uniform(0, 1.2 * seconds))
                    writer.kill()
                writer.wait()
                seconds = seconds or time.monotonic() - began  # the first writer is not killed
            seen = keys(store)
            assert seen in ([], ["key"])
            whole += len(seen)
            with suppress(StoreConflict):  # the server may still finish the dead writer's last request
                put(store, "key", data)
            assert read(store, "key") == data
            store.delete("key")
        assert 1 <= whole < 51


class BlobStoreMachine(RuleBasedStateMachine):
    """Compare a store with a dict under random operations. Subclass it for each adapter that is quick enough."""

    # no key is a folder of another one, because not every store can hold both
    KEYS = st.sampled_from(["a", "aa", "b/c", "b/d/e", "b-c", "é/😀", "%48", "H"])
    PREFIXES = st.sampled_from(["", "a", "aa", "b", "b/d", "b/c", "b/c/x", "é", "nothing"])
    METADATA = st.dictionaries(st.sampled_from(["chunk", "attempt"]), st.sampled_from(["1", "2"]))

    def new_store(self) -> BlobStore:
        """Return an empty store."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.store = self.new_store()
        self.model: dict[str, tuple[Blob, bytes]] = {}
        self.past: set[tuple[str, str]] = set()

    def _stored(self, blob: Blob, data: bytes) -> None:
        assert (blob.key, blob.etag) not in self.past
        self.past.add((blob.key, blob.etag))
        self.model[blob.key] = blob, data

    @rule(key=KEYS, data=st.binary(max_size=3), metadata=METADATA)
    def create(self, key: str, data: bytes, metadata: dict[str, str]) -> None:
        """Put without a version: stored if the key is free, else refused."""
        if key in self.model:
            with pytest.raises(StoreConflict):
                put(self.store, key, data, metadata=metadata)
        else:
            self._stored(put(self.store, key, data, metadata=metadata), data)

    @precondition(lambda self: self.past)
    @rule(choice=st.data(), data=st.binary(max_size=3), metadata=METADATA)
    def replace(self, choice: st.DataObject, data: bytes, metadata: dict[str, str]) -> None:
        """Put with any earlier version: stored if it is the current one, else refused."""
        key, etag = choice.draw(st.sampled_from(sorted(self.past)))
        if key in self.model and self.model[key][0].etag == etag:
            self._stored(put(self.store, key, data, metadata=metadata, replacing=etag), data)
        else:
            with pytest.raises(StoreConflict):
                put(self.store, key, data, metadata=metadata, replacing=etag)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        """Delete a blob, whether it exists or not."""
        self.store.delete(key)
        self.model.pop(key, None)

    @rule(prefix=PREFIXES)
    def listed(self, prefix: str) -> None:
        """List the blobs at or below a prefix."""
        expected = [key for key in sorted(self.model) if not prefix or f"{key}/".startswith(f"{prefix}/")]
        assert keys(self.store, prefix) == expected

    @rule(key=KEYS)
    def looked_at(self, key: str) -> None:
        """Describe and read a blob."""
        if key in self.model:
            blob, data = self.model[key]
            assert self.store.head(key) == blob
            assert read(self.store, key) == data
        else:
            with pytest.raises(StoreNotFound):
                self.store.head(key)

    @invariant()
    def agrees(self) -> None:
        """The store holds exactly what the dict holds, unchanged."""
        expected = [self.model[key][0] for key in sorted(self.model)]
        assert list(self.store.list()) == expected
