"""A bucket of Google Cloud Storage, emulated by fake-gcs-server, keeps the contract.

The emulator checks the conditions of uploads in one request only. A proxy checks those of copies, and a test of its own
those of resumable uploads (tests/integration/test_gs_store.py).
"""

from collections.abc import Iterator
from typing import Any

import gcs_stores
import pytest
from gcs_stores import Conditions
from hypothesis import settings
from servers import gcs as gcs_server
from servers.addresses import Google
from servers.fixtures import Own
from servers.server import Server

from contract.blob_store import BlobStoreContract, BlobStoreMachine, CopyingContract, Creatable, ServerContract
from pixcore.ports import BlobStore
from pixcore_adapters.blob_store.gs import store as gs
from pixcore_adapters.blob_store.gs.store import GoogleBlobStore

PAGE = 10


class TestGoogleBlobStore(ServerContract, CopyingContract, BlobStoreContract):
    """The store has a prefix that is an unusual key itself."""

    many = 2 * PAGE + 5
    large = 3 << 20  # larger ones are resumable uploads
    looks = 20
    lets_anybody_in = True
    forgets = True

    @pytest.fixture(autouse=True)
    def _short_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Use small pages, so that few blobs need several."""
        monkeypatch.setattr(gs, "_PAGE", PAGE)

    @pytest.fixture
    def checked(self, gcs: Google) -> Iterator[Conditions]:
        """Return a proxy in front of the server."""
        with Conditions(gcs.port) as proxy:
            yield proxy

    @pytest.fixture
    def missing(self, gcs: Google) -> Creatable:
        """Return a store in a bucket that does not exist."""
        return gcs_stores.store(gcs, gcs_stores.bucket(), "prefix")

    @pytest.fixture
    def store(self, gcs: Google, checked: Conditions) -> BlobStore:
        """Return an empty store."""
        made = gcs_stores.store(gcs, gcs_stores.bucket(), "the prefix/😀", port=checked.port)
        made.create()
        return made

    @pytest.fixture
    def stranger(self, gcs: Google, store: GoogleBlobStore) -> BlobStore:
        """Return the store once more; the server has no credentials."""
        return gcs_stores.store(gcs, store._bucket.name, "the prefix/😀")

    @pytest.fixture
    def elsewhere(self, gcs: Google, store: GoogleBlobStore) -> str:
        """Return code that opens a store of the same bucket in another process."""
        return f"""
import gcs_stores
from servers.addresses import Google
store = gcs_stores.store({gcs}, {store._bucket.name!r}, "the prefix/😀")
"""

    @pytest.fixture
    def private(self, own: Own, monkeypatch: pytest.MonkeyPatch) -> tuple[Server[Any], Creatable]:
        """Start a separate server; return it with a store on it, which does not try again."""
        server = own(gcs_server.prepare)
        monkeypatch.setitem(gs._OPTIONS, "retry", None)
        return server, gcs_stores.store(server.address, "bucket", "prefix")

    def holds(self, key: str) -> bool:
        """Names have no line breaks."""
        return not {"\r", "\n"} & set(key)


class GoogleMachine(BlobStoreMachine):
    """The store is a whole bucket."""

    server: Google

    def new_store(self) -> BlobStore:
        """Return an empty store."""
        made = gcs_stores.store(self.server, gcs_stores.bucket())
        made.create()
        return made


@pytest.fixture(autouse=True)
def _server(gcs: Google) -> None:
    """Set the server on the machine, which hypothesis instantiates."""
    GoogleMachine.server = gcs


TestGoogleMachine = pytest.mark.server(pytest.mark.gcs(GoogleMachine.TestCase))
TestGoogleMachine.settings = settings(max_examples=3, stateful_step_count=20)  # as other stores share the machine
