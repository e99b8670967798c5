"""The S3 store keeps the contract on a strict server that cannot replace, and on a lenient one that can."""

from typing import Any

import pytest
import s3_clients
from hypothesis import settings
from servers import juicefs as juicefs_server
from servers import ministack as ministack_server
from servers import moto as moto_server
from servers import rclone as rclone_server
from servers import swift as swift_server
from servers.addresses import S3
from servers.fixtures import Own, had
from servers.server import Server
from servers.shared import shared

from contract.blob_store import (
    BlobStoreContract,
    BlobStoreMachine,
    CopyingContract,
    Creatable,
    CreateOnlyContract,
    ServerContract,
    Stoppable,
    keys,
    noise,
    put,
)
from pixcore.errors import StoreDenied, StoreUnavailable
from pixcore.ports import BlobStore
from pixcore_adapters.blob_store.s3 import store as s3
from pixcore_adapters.blob_store.s3 import uploads, writes
from pixcore_adapters.blob_store.s3.store import S3BlobStore

PAGE = 10
WRONG = "wrong"


@pytest.fixture(autouse=True)
def _short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use small pages and small parts of copies, so that few blobs and bytes need several."""
    monkeypatch.setattr(s3, "_PAGE", PAGE)
    monkeypatch.setattr(uploads, "_COPIED_PART", 6 << 20)


class OnS3(ServerContract):
    """The fixtures for a server."""

    many = 2 * PAGE + 5
    large = 11 << 20

    @pytest.fixture
    def server(self) -> S3:
        """Return the server of the run."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, server: S3) -> BlobStore:
        """Return an empty store."""
        return s3_clients.store(s3_clients.client(server, attempts=4))

    @pytest.fixture
    def missing(self, server: S3) -> Creatable:
        """Return a store in a bucket that does not exist."""
        return S3BlobStore(s3_clients.client(server), s3_clients.bucket(), "prefix")

    @pytest.fixture
    def stranger(self, server: S3, store: S3BlobStore) -> BlobStore:
        """Return the store with a wrong secret."""
        return S3BlobStore(s3_clients.client(server, secret=WRONG), store._bucket, "some/prefix")

    @pytest.fixture
    def elsewhere(self, server: S3, store: S3BlobStore) -> str:
        """Return code that opens a store of the same bucket in another process."""
        return f"""
import s3_clients
from pixcore_adapters.blob_store.s3.store import S3BlobStore
from servers.addresses import S3
store = S3BlobStore(s3_clients.client({server}), {store._bucket!r}, "some/prefix")
"""

    @pytest.mark.soak
    def test_a_listing_has_no_last_page_of_the_servers_own(
        self, store: BlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each server returns at most a thousand keys a page, whatever the request says."""
        monkeypatch.setattr(s3, "_PAGE", 1_000)
        monkeypatch.setattr(self, "many", 1_050)
        self.test_a_listing_has_no_last_page(store)  # of the other suite, which comes with the class


class TestSwift(OnS3, CopyingContract, CreateOnlyContract):
    """Strict about signatures, checksums and create-only writes; it rejects If-Match."""

    @pytest.fixture
    def server(self, swift: S3) -> S3:
        """Return the Swift of the run."""
        return swift

    @pytest.fixture
    def private(self, own: Own) -> tuple[Server[Any], Creatable]:
        """Start a separate Swift; return it with a store on it."""
        server = own(swift_server.prepare)
        return server, S3BlobStore(s3_clients.client(server.address), "bucket", "prefix")


class TestMoto(OnS3, CopyingContract, BlobStoreContract):
    """Supports If-Match for whole writes but not for multipart ones; it checks no secret."""

    looks = 20
    one_step = False  # it checks the condition before it has the body
    lets_anybody_in = True
    forgets = True

    def can_be_asked(self, key: str) -> bool:
        """Its web framework cannot route a URL with a line break."""
        return "\n" not in key

    @pytest.fixture
    def server(self, moto: S3) -> S3:
        """Return the moto of the run."""
        return moto

    @pytest.fixture
    def private(self, own: Own) -> tuple[Server[Any], Creatable]:
        """Start a separate moto; return it with a store on it."""
        server = own(moto_server.prepare)
        return server, S3BlobStore(s3_clients.client(server.address), "bucket", "prefix")


class ClientTriedElsewhere:
    """Leaves out what concerns the client alone, which the tests of Swift and moto try at the cost of seconds."""

    test_any_key_comes_back = None
    test_a_bad_key_is_refused_everywhere = None
    test_a_large_upload_takes_little_memory = None


class TestMiniStack(ClientTriedElsewhere, OnS3, CopyingContract, BlobStoreContract):
    """Enforces If-Match for uploads in parts too; it checks no secret."""

    looks = 20
    one_step = False
    lets_anybody_in = True
    forgets = True

    @pytest.fixture
    def server(self, ministack: S3) -> S3:
        """Return the MiniStack of the run."""
        return ministack

    @pytest.fixture
    def private(self, own: Own) -> tuple[Server[Any], Creatable]:
        """Start a separate MiniStack; return it with a store on it."""
        server = own(ministack_server.prepare)
        return server, S3BlobStore(s3_clients.client(server.address), "bucket", "prefix")


def unguarded(store: S3BlobStore) -> S3BlobStore:
    """Let a store write to a server that ignores conditions, which it refuses to do otherwise."""
    store._writes._faults = {(parts, writes.CREATE): "" for parts in (False, True)}
    return store


class IgnoresConditions(ClientTriedElsewhere, OnS3, CreateOnlyContract):
    """A server that writers could use to overwrite each other: every write is refused.

    The rest of the contract holds: the tests write all the same, to have something to read.
    """

    one_step = False

    @pytest.fixture
    def store(self, server: S3) -> BlobStore:
        """Return an empty store."""
        return unguarded(s3_clients.store(s3_clients.client(server, attempts=4)))

    @pytest.fixture
    def missing(self, server: S3) -> Creatable:
        """Return a store in a bucket that does not exist."""
        return unguarded(S3BlobStore(s3_clients.client(server), s3_clients.bucket(), "prefix"))

    def test_a_second_put_changes_nothing(self, store: BlobStore) -> None:
        """Nor does a first one: the server is refused by the name of the header that it ignores."""
        assert isinstance(store, S3BlobStore)
        guarded = S3BlobStore(store._client, store._bucket, "some/prefix")
        for data in (b"x", noise(1, self.large)):
            with pytest.raises(StoreDenied, match=r"ignores the header If-None-Match.*; take another store"):
                put(guarded, "key", data)
        assert keys(guarded) == []


class TestJuiceFS(IgnoresConditions):
    """The code of MinIO's gateway; strict about signatures."""

    @pytest.fixture
    def server(self, juicefs: S3) -> S3:
        """Return the gateway of the run."""
        return juicefs

    @pytest.fixture
    def private(self, own: Own) -> tuple[Server[Any], Creatable]:
        """Start a separate gateway; return it with a store on it."""
        server = own(juicefs_server.prepare)
        return server, unguarded(S3BlobStore(s3_clients.client(server.address), "bucket", "prefix"))


class TestRclone(IgnoresConditions):
    """Objects are files in folders; strict about signatures; names of metadata have capitals."""

    @pytest.fixture
    def server(self, rclone: S3) -> S3:
        """Return the server of the run."""
        return rclone

    @pytest.fixture
    def private(self, own: Own) -> tuple[Server[Any], Creatable]:
        """Start a separate server; return it with a store on it."""
        server = own(rclone_server.prepare)
        return server, unguarded(S3BlobStore(s3_clients.client(server.address), "bucket", "prefix"))

    def test_delete_is_idempotent(self, store: BlobStore) -> None:
        """The server answers the delete of a folder with an internal error, and deletes nothing."""
        put(store, "a/b", b"first")
        for _ in range(2):
            store.delete("never/there")
            with pytest.raises(StoreUnavailable):
                store.delete("a")
        assert keys(store) == ["a/b"]
        for _ in range(2):
            store.delete("a/b")
        assert keys(store) == []

    def test_a_server_that_stops_is_worth_trying_again(self, private: tuple[Stoppable, Creatable]) -> None:
        """A stopped server raises StoreUnavailable. This one forgets metadata, so a blob is then another program's."""
        server, store = private
        store.create()
        stored = put(store, "key", b"x", metadata={"attempt": "1"})
        server.stop()
        with pytest.raises(StoreUnavailable):
            store.head("key")
        server.start()
        (found,) = store.list()
        assert (found.key, found.size, found.sha256, found.metadata) == ("key", 1, stored.sha256, {})


class MotoMachine(BlobStoreMachine):
    """On moto."""

    def new_store(self) -> BlobStore:
        """Return an empty store."""
        return s3_clients.store(s3_clients.client(had(lambda: shared(moto_server.prepare))))


TestMotoMachine = pytest.mark.server(pytest.mark.s3(MotoMachine.TestCase))
TestMotoMachine.settings = settings(
    max_examples=10, stateful_step_count=15
)  # a listing makes one request for each blob
