"""The S3 store keeps the contract, on the strict server that cannot replace and on the lenient one that can."""

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

from contract.blob_store import BlobStoreContract, BlobStoreMachine, Creatable, CreateOnlyContract, ServerContract
from pixcore.ports import BlobStore
from pixcore_adapters.blob_store.s3 import store as s3
from pixcore_adapters.blob_store.s3.store import S3BlobStore

PAGE = 10
WRONG = "wrong"


@pytest.fixture(autouse=True)
def _short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Need several pages for few blobs."""
    monkeypatch.setattr(s3, "_PAGE", PAGE)


class OnS3(ServerContract):
    """The fixtures, for a server."""

    many = 2 * PAGE + 5
    large = 11 << 20

    @pytest.fixture
    def server(self) -> S3:
        """Give the run's server."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, server: S3) -> BlobStore:
        """Give an empty store."""
        return s3_clients.store(s3_clients.client(server, attempts=4))

    @pytest.fixture
    def missing(self, server: S3) -> Creatable:
        """Give a store in a bucket that is not there."""
        return S3BlobStore(s3_clients.client(server), s3_clients.bucket(), "prefix")

    @pytest.fixture
    def stranger(self, server: S3, store: S3BlobStore) -> BlobStore:
        """Give the store to somebody with a wrong secret."""
        return S3BlobStore(s3_clients.client(server, secret=WRONG), store._bucket, "some/prefix")

    @pytest.fixture
    def elsewhere(self, server: S3, store: S3BlobStore) -> str:
        """Give code that makes a store of the same bucket in another process."""
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
        """Each server gives a thousand keys at most, whatever it is asked for."""
        monkeypatch.setattr(s3, "_PAGE", 1_000)
        monkeypatch.setattr(self, "many", 1_050)
        self.test_a_listing_has_no_last_page(store)  # of the other suite, which comes with the class


class TestSwift(OnS3, CreateOnlyContract):
    """Strict about signatures, checksums and creating; it refuses If-Match."""

    @pytest.fixture
    def server(self, swift: S3) -> S3:
        """Give the run's Swift."""
        return swift

    @pytest.fixture
    def private(self, own: Own) -> tuple[Server[Any], Creatable]:
        """Give a Swift of its own, and a store on it."""
        server = own(swift_server.prepare)
        return server, S3BlobStore(s3_clients.client(server.address), "bucket", "prefix")


class TestMoto(OnS3, BlobStoreContract):
    """Knows If-Match for whole writes, not for parts; it checks no secret."""

    looks = 20
    one_step = False  # it looks at the condition before it has the body
    lets_anybody_in = True
    forgets = True

    def can_be_asked(self, key: str) -> bool:
        """Its web framework knows no address with a line break."""
        return "\n" not in key

    @pytest.fixture
    def server(self, moto: S3) -> S3:
        """Give the run's moto."""
        return moto

    @pytest.fixture
    def private(self, own: Own) -> tuple[Server[Any], Creatable]:
        """Give a moto of its own, and a store on it."""
        server = own(moto_server.prepare)
        return server, S3BlobStore(s3_clients.client(server.address), "bucket", "prefix")


class MotoMachine(BlobStoreMachine):
    """On moto."""

    def new_store(self) -> BlobStore:
        """Give an empty store."""
        return s3_clients.store(s3_clients.client(had(lambda: shared(moto_server.prepare))))


TestMotoMachine = MotoMachine.TestCase
TestMotoMachine.settings = settings(max_examples=10, stateful_step_count=15)  # a listing asks for each blob
