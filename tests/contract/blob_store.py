"""What every blob store must keep of the promises in ``pixcore.ports.blob_store``."""

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

# each example leaves the store as it found it, and every subclass runs the same test on its own store
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
    """Read a blob whole."""
    with store.open(key) as file:
        return file.read()


def keys(store: BlobStore, prefix: str = "") -> list[str]:
    """List keys."""
    return [blob.key for blob in store.list(prefix)]


def noise(seed: int, size: int) -> bytes:
    """Make bytes of which no two blocks are alike, the same for each seed."""
    return hashlib.shake_128(bytes([seed])).digest(size)


def at_once(writers: list[Callable[[], Blob]]) -> list[Blob | None]:
    """Let writers go at the same moment; what each stored, or None when it was refused."""
    barrier = Barrier(len(writers))

    def go(writer: Callable[[], Blob]) -> Blob | None:
        barrier.wait()
        try:
            return writer()
        except (StoreConflict, StoreUnavailable):  # a server may answer a lost race with "try again"
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
    """What every store keeps.

    ``many`` should exceed the adapter's page of a listing, ``large`` its part of an upload or a block of a read.
    """

    many = 1_050
    large = 3 * (1 << 20) + 1

    @pytest.fixture
    def store(self) -> BlobStore:
        """Give an empty store."""
        raise NotImplementedError

    one_step = True
    """Whether the server compares and stores in one step; else two at once may both be told that they won."""

    def check_winner(self, store: BlobStore, stored: list[Blob | None], contents: list[bytes]) -> None:
        """Of the writers one won; whatever they were told, what is there is one of theirs, whole."""
        winners = [blob for blob in stored if blob]
        assert (len(winners) == 1) if self.one_step else winners
        assert list(store.list()) == [store.head("key")]
        assert store.head("key") in winners
        assert read(store, "key") == contents[stored.index(store.head("key"))]

    def holds(self, key: str) -> bool:  # noqa: ARG002 - for those that hold fewer
        """Whether the store can hold such a key; what it cannot, it refuses."""
        return True

    def can_be_asked(self, key: str) -> bool:  # noqa: ARG002 - for a poor server
        """Whether the server that stands for the real one can be asked for such a key at all."""
        return True

    def test_what_was_put_comes_back(self, store: BlobStore) -> None:
        """Bytes, size, sha256, content type and metadata are the archive's only record in the store."""
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
        """A store that knows text, lines or an end mark would damage some archive."""
        stored = put(store, "blob", data)
        assert (stored.size, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert read(store, "blob") == data
        store.delete("blob")

    def test_an_empty_blob_is_a_blob(self, store: BlobStore) -> None:
        """Nothing stored must differ from nothing there."""
        assert put(store, "empty", b"") == store.head("empty")
        assert read(store, "empty") == b""

    def test_a_large_blob_comes_back(self, store: BlobStore) -> None:
        """What is copied in several parts must be put together in order, whole."""
        data = noise(1, self.large)
        put(store, "large", data)
        assert read(store, "large") == data

    def test_odd_keys_are_told_apart(self, store: BlobStore) -> None:
        """A key that is decoded, folded or normalised on its way would overwrite another's blob."""
        held = [key for key in ODD_KEYS if self.holds(key)]
        for key in held:
            put(store, key, key.encode())
        assert {key: read(store, key) for key in held} == {key: key.encode() for key in held}
        assert keys(store) == sorted(held)

    def test_what_a_store_cannot_hold_is_refused(self, store: BlobStore) -> None:
        """A name that its server would change on the way must not become another blob's."""
        for key in ODD_KEYS:
            if not self.holds(key):
                with pytest.raises(StoreDenied, match="key"):
                    put(store, key, b"x")
        assert keys(store) == []

    @settings(max_examples=50, deadline=None, suppress_health_check=_PER_STORE)
    @given(key=KEYS)
    def test_any_key_comes_back(self, store: BlobStore, key: str) -> None:
        """Keys hold names of datasets, in any script."""
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
        """A key that leads out of the store, or is one for a server and another for a disk, is refused alike."""
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
        """URLs go into logs and rows: a query could hold a signature, and an unescaped key looks like one."""
        url = put(store, key, b"x").url
        assert "://" in url
        assert url.isascii()
        assert not {"?", "#", " "} & set(url)

    def test_a_second_put_changes_nothing(self, store: BlobStore) -> None:
        """Create-only: a blob is never overwritten by who does not know of it, not even with its own bytes."""
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
        """A file that changed under the upload would be stored as whole and recorded under a wrong hash."""
        source = tmp_path / "source"
        source.write_bytes(b"images")
        sha256 = hashlib.sha256(described).hexdigest()
        with pytest.raises(StoreConflict):
            store.put("key", source, sha256=sha256, size=size, content_type="t/t", metadata={})
        assert keys(store) == []

    def test_a_source_that_cannot_be_read_is_refused(self, store: BlobStore, tmp_path: Path) -> None:
        """A missing file, or a folder, is no fault of the store's and not worth trying again."""
        for source in (tmp_path / "missing", tmp_path):
            with pytest.raises(StoreConflict, match=str(source)):
                store.put("key", source, sha256="", size=0, content_type="t/t", metadata={})
        assert keys(store) == []

    def test_what_is_not_there_is_not_found(self, store: BlobStore) -> None:
        """Neither an empty store, nor the folder of a blob, nor what would be below a blob is a blob."""
        for key in ("missing", "a", "a/b/c", "a/missing"):
            with pytest.raises(StoreNotFound, match=key):
                store.head(key)
            with pytest.raises(StoreNotFound, match=key):
                store.open(key)
            if not keys(store):
                put(store, "a/b", b"x")
        assert keys(store, "a/b/c") == []

    def test_delete_is_idempotent(self, store: BlobStore) -> None:
        """A clean-up that is repeated after a crash meets what is gone already."""
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
        """The next blob of that key must not inherit metadata."""
        put(store, "key", b"same", metadata={"attempt": "1"})
        store.delete("key")
        put(store, "key", b"same")
        assert store.head("key").metadata == {}

    def test_the_place_of_deleted_blobs_is_free(self, store: BlobStore) -> None:
        """The map is flat: a key that was a folder a moment ago is an ordinary key, and the other way round."""
        put(store, "a/b/c", b"x")
        store.delete("a/b/c")
        put(store, "a", b"x")
        store.delete("a")
        put(store, "a/b", b"x")
        assert keys(store) == ["a/b"]

    def test_a_prefix_is_whole_parts(self, store: BlobStore) -> None:
        """Listing dataset ``a`` must not show dataset ``aa``."""
        for key in ("a/b", "a/c/d", "aa", "ab/c", "b"):
            put(store, key, b"x")
        assert keys(store, "a") == ["a/b", "a/c/d"]
        assert keys(store, "a/c") == ["a/c/d"]
        assert keys(store, "aa") == ["aa"]
        assert keys(store, "a/bb") == keys(store, "c") == []

    def test_a_listing_rises_by_whole_keys(self, store: BlobStore) -> None:
        """``-`` and ``.`` sort before ``/``: an order by folders differs from the order by keys."""
        unordered = ["a0", "a/b", "a-b", "a/c/d", "B", "é", "a.zip", "a/b.zip", "a/c-d/e", "aa", "😀", "\uffee"]
        for key in unordered:
            put(store, key, b"x")
        assert keys(store) == sorted(unordered)

    def test_a_listing_has_no_last_page(self, store: BlobStore) -> None:
        """Servers list a thousand at a time; a dataset of a million images has two thousand chunks."""
        expected = sorted(f"d/chunk_{number}.zip" for number in range(self.many))
        with ThreadPoolExecutor(8) as pool:
            stored = list(pool.map(lambda key: put(store, key, b"x"), expected))
        assert list(store.list("d")) == stored

    def test_a_listing_survives_deletions(self, store: BlobStore) -> None:
        """Whoever lists in order to delete, deletes while listing."""
        for number in range(5):
            put(store, f"d/{number}", b"x")
        for blob in store.list("d"):
            store.delete(blob.key)
        assert keys(store) == []

    def test_of_writers_at_once_one_creates(self, store: BlobStore) -> None:
        """Two workers with the same chunk: one wins whole, the others learn of it."""
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
    """A store whose container may have to be made first."""

    def create(self) -> None:
        """Make the container. Idempotent."""
        ...


class Stoppable(Protocol):
    """A server that tests may stop."""

    def stop(self) -> None:
        """Stop it, without a word to its clients."""
        ...

    def start(self) -> None:
        """Start it again at the same address, and wait until it serves."""
        ...


class BlobStoreContract(_BlobStoreContract):
    """Subclass it once an adapter and give it a ``store`` that is empty.

    ``looks`` is how often a blob is described while it is being replaced.
    """

    looks = 200

    def test_the_named_version_is_replaced_whole(self, store: BlobStore) -> None:
        """A newer attempt supersedes an older one: bytes, content type and metadata together."""
        first = put(store, "key", b"first", content_type="application/zip", metadata={"attempt": "1", "old": "yes"})
        second = put(
            store, "key", b"2nd", content_type="application/x-tar", metadata={"attempt": "2"}, replacing=first.etag
        )
        assert store.head("key") == second
        assert list(store.list()) == [second]
        assert (second.content_type, second.metadata) == ("application/x-tar", {"attempt": "2"})
        assert read(store, "key") == b"2nd"

    def test_a_version_that_is_gone_cannot_be_replaced(self, store: BlobStore) -> None:
        """A zombie worker knows an old etag; what came since must stay."""
        first = put(store, "key", b"first")
        second = put(store, "key", b"second", replacing=first.etag)
        with pytest.raises(StoreConflict):
            put(store, "key", b"zombie", replacing=first.etag)
        assert store.head("key") == second
        assert read(store, "key") == b"second"

    def test_a_missing_blob_cannot_be_replaced(self, store: BlobStore) -> None:
        """Somebody deleted it on purpose: a replacement must not bring it back."""
        gone = put(store, "key", b"first")
        store.delete("key")
        with pytest.raises(StoreConflict):
            put(store, "key", b"second", replacing=gone.etag)
        assert keys(store) == []

    def test_every_version_has_its_own_etag(self, store: BlobStore) -> None:
        """Equal bytes stored again are another version, or a zombie could not be told from its successor."""
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
        """What stands there stays, whole."""
        source = tmp_path / "source"
        source.write_bytes(b"images")
        sha256 = hashlib.sha256(described).hexdigest()
        old = put(store, "old", b"old")
        with pytest.raises(StoreConflict):
            store.put("old", source, sha256=sha256, size=size, content_type="t/t", metadata={}, replacing=old.etag)
        assert list(store.list()) == [old]
        assert read(store, "old") == b"old"

    def test_of_writers_at_once_one_replaces(self, store: BlobStore) -> None:
        """The comparison of the etag and the replacement are one step."""
        etag = put(store, "key", b"old").etag
        contents = [bytes([65 + number]) * 300_000 for number in range(6)]
        stored = at_once([partial(put, store, "key", data, replacing=etag) for data in contents])
        self.check_winner(store, stored, contents)

    def test_a_reader_keeps_the_version_that_it_opened(self, store: BlobStore) -> None:
        """A replacement under a reader must not give it the beginning of one archive and the end of another."""
        old, new = noise(1, self.large), noise(2, self.large)
        etag = put(store, "key", old).etag
        with store.open("key") as file:
            beginning = file.read(1)
            put(store, "key", new, replacing=etag)
            assert beginning + file.read() == old
        assert read(store, "key") == new

    def test_a_description_is_of_one_version(self, store: BlobStore) -> None:
        """Whoever looks while a blob is replaced must not see the hash of one attempt beside the number of another."""
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


class CreateOnlyContract(_BlobStoreContract):
    """For a store on a server that cannot replace safely: subclass it as ``BlobStoreContract``."""

    def test_nothing_is_replaced(self, store: BlobStore) -> None:
        """Where the server would not enforce which version is replaced, asking for it is refused with the remedy."""
        old = put(store, "key", b"old")
        for data in (b"new", b"old", noise(1, self.large)):
            with pytest.raises(StoreDenied, match="delete it yourself"):
                put(store, "key", data, replacing=old.etag)
        assert list(store.list()) == [old]
        assert read(store, "key") == b"old"


class ServerContract:
    """What a store on a server keeps besides: subclass it, too, and give it the fixtures, and ``large`` in parts.

    ``lets_anybody_in`` and ``forgets`` say what the server itself lacks: that it checks secrets, or keeps its data when
    it stops. The stores of ``private`` and ``stranger`` do not try again.
    """

    large: int
    lets_anybody_in = False
    forgets = False

    @pytest.fixture
    def missing(self) -> Creatable:
        """Give a store in a container that is not there."""
        raise NotImplementedError

    @pytest.fixture
    def stranger(self) -> BlobStore:
        """Give the ``store`` to somebody with a wrong secret."""
        raise NotImplementedError

    @pytest.fixture
    def elsewhere(self) -> str:
        """Give code that makes a ``store`` of the same container in another process."""
        raise NotImplementedError

    @pytest.fixture
    def private(self) -> tuple[Stoppable, Creatable]:
        """Give a server of its own, and a store on it whose container is not there yet."""
        raise NotImplementedError

    def test_a_missing_container_is_named_with_the_remedy(self, missing: Creatable) -> None:
        """A mistyped name is neither an empty store nor a container that springs into being."""
        for use in (lambda: put(missing, "key", b"x"), lambda: missing.open("key"), lambda: list(missing.list())):
            with pytest.raises(StoreNotFound, match="--create-container"):
                use()
        with pytest.raises(StoreNotFound):
            missing.head("key")

    def test_a_container_is_made_when_asked_for(self, missing: Creatable) -> None:
        """Two workers may ask at once, so a second time is no error."""
        for _ in range(2):
            missing.create()
        stored = put(missing, "key", b"x")
        missing.create()
        assert list(missing.list()) == [stored]

    def test_a_wrong_secret_is_denied(self, store: BlobStore, stranger: BlobStore) -> None:
        """Trying again would not help, so it is nothing that passes."""
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
        """Servers are restarted. What was read halfway is an error, never taken for whole."""
        server, store = private
        store.create()
        stored = put(store, "key", noise(1, 24 << 20))  # more than connections buffer
        with store.open("key") as file:
            first = file.read(1)
            server.stop()
            with suppress(StoreUnavailable):  # unless the store had it all by then
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

    def test_of_writers_of_parts_at_once_one_creates(self, store: BlobStore) -> None:
        """Parts are put together at the end, under the same condition; those of the losers go."""
        contents = [noise(number, self.large) for number in range(2)]
        self.check_winner(store, at_once([partial(put, store, "key", data) for data in contents]), contents)

    @pytest.mark.parametrize("megabytes", [64, pytest.param(1_024, marks=pytest.mark.soak)])
    def test_a_large_upload_takes_little_memory(self, store: BlobStore, tmp_path: Path, megabytes: int) -> None:
        """Several workers share a machine: what is sent is not held at once."""
        source, digest = tmp_path / "source", hashlib.sha256()
        with source.open("wb") as file:
            for number in range(megabytes):
                digest.update(block := noise(number % 256, 1 << 20))
                file.write(block)
        size = megabytes << 20
        put(store, "warm", noise(0, self.large))  # what is imported and connected once
        with growth() as grown:
            store.put("key", source, sha256=digest.hexdigest(), size=size, content_type="t/t", metadata={})
        assert store.head("key").size == size
        assert grown.peak < 32 << 20

    @pytest.mark.soak
    def test_a_writer_that_is_killed_leaves_nothing_half(
        self, store: BlobStore, elsewhere: str, tmp_path: Path
    ) -> None:
        """At any moment of an upload: what is seen then is whole or nothing, and the next worker ends with one blob."""
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
                writer.stdout.readline()  # it begins
                began = time.monotonic()
                if kill:
                    with suppress(subprocess.TimeoutExpired):
                        writer.wait(chance.uniform(0, 1.2 * seconds))
                    writer.kill()
                writer.wait()
                seconds = seconds or time.monotonic() - began  # the first one is not killed
            seen = keys(store)
            assert seen in ([], ["key"])
            whole += len(seen)
            with suppress(StoreConflict):  # the server may still end what the dead one asked for last
                put(store, "key", data)
            assert read(store, "key") == data
            store.delete("key")
        assert 1 <= whole < 51


class BlobStoreMachine(RuleBasedStateMachine):
    """Drives a store at random beside a dict. Subclass it once an adapter that is quick enough."""

    # none is a folder of another: not every store can hold both
    KEYS = st.sampled_from(["a", "aa", "b/c", "b/d/e", "b-c", "é/😀", "%48", "H"])
    PREFIXES = st.sampled_from(["", "a", "aa", "b", "b/d", "b/c", "b/c/x", "é", "nothing"])
    METADATA = st.dictionaries(st.sampled_from(["chunk", "attempt"]), st.sampled_from(["1", "2"]))

    def new_store(self) -> BlobStore:
        """Give an empty store."""
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
        """Put without a version: stored when the key is free, else refused."""
        if key in self.model:
            with pytest.raises(StoreConflict):
                put(self.store, key, data, metadata=metadata)
        else:
            self._stored(put(self.store, key, data, metadata=metadata), data)

    @precondition(lambda self: self.past)
    @rule(choice=st.data(), data=st.binary(max_size=3), metadata=METADATA)
    def replace(self, choice: st.DataObject, data: bytes, metadata: dict[str, str]) -> None:
        """Put with any version that ever was: stored when it is the present one, else refused."""
        key, etag = choice.draw(st.sampled_from(sorted(self.past)))
        if key in self.model and self.model[key][0].etag == etag:
            self._stored(put(self.store, key, data, metadata=metadata, replacing=etag), data)
        else:
            with pytest.raises(StoreConflict):
                put(self.store, key, data, metadata=metadata, replacing=etag)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        """Delete what is there or not."""
        self.store.delete(key)
        self.model.pop(key, None)

    @rule(prefix=PREFIXES)
    def listed(self, prefix: str) -> None:
        """List what is at or below a prefix."""
        expected = [key for key in sorted(self.model) if not prefix or f"{key}/".startswith(f"{prefix}/")]
        assert keys(self.store, prefix) == expected

    @rule(key=KEYS)
    def looked_at(self, key: str) -> None:
        """Describe and read."""
        if key in self.model:
            blob, data = self.model[key]
            assert self.store.head(key) == blob
            assert read(self.store, key) == data
        else:
            with pytest.raises(StoreNotFound):
                self.store.head(key)

    @invariant()
    def agrees(self) -> None:
        """The store holds exactly what the dict holds, as it was when it was put."""
        expected = [self.model[key][0] for key in sorted(self.model)]
        assert list(self.store.list()) == expected
