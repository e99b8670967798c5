"""The S3 store keeps the contract on a strict server that cannot replace, and on a lenient one that can."""

from typing import Any

import pytest
import s3_clients
from hypothesis import settings
from servers import moto as moto_server
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
)
from pixcore.ports import BlobStore
from pixcore_adapters.blob_store.s3 import store as s3
from pixcore_adapters.blob_store.s3 import uploads
from pixcore_adapters.blob_store.s3.store import S3BlobStore

PAGE = 10
WRONG = "wrong"


@pytest.fixture(autouse=True)
def _short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use small pages and small parts of copies, so that few blobs and bytes need several."""
    monkeypatch.setattr(s3, "_PAGE", PAGE)
    monkeypatch.setattr(uploads, "_COPIED_PART", 6 << 20)


class OnS3(ServerContract, CopyingContract):
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


class TestSwift(OnS3, CreateOnlyContract):
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


class TestMoto(OnS3, BlobStoreContract):
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


class MotoMachine(BlobStoreMachine):
    """On moto."""

    def new_store(self) -> BlobStore:
        """Return an empty store."""
        return s3_clients.store(s3_clients.client(had(lambda: shared(moto_server.prepare))))


TestMotoMachine = pytest.mark.server(pytest.mark.s3(MotoMachine.TestCase))
TestMotoMachine.settings = settings(
    max_examples=10, stateful_step_count=15
)  # a listing makes one request for each blob
