"""A container of Azure Blob Storage, emulated by Azurite, keeps the contract."""

from base64 import b64encode
from typing import Any

import azure_stores
import pytest
from attrs import evolve
from hypothesis import settings
from servers import azurite as azurite_server
from servers.addresses import Azure
from servers.fixtures import Own
from servers.server import Server

from contract.blob_store import BlobStoreContract, BlobStoreMachine, CopyingContract, Creatable, ServerContract
from pixcore.ports import BlobStore
from pixcore_adapters.blob_store.azure import store as azure
from pixcore_adapters.blob_store.azure.store import AzureBlobStore

PAGE = 50


class TestAzureBlobStore(ServerContract, CopyingContract, BlobStoreContract):
    """The store has a prefix that is an unusual key itself."""

    many = 2 * PAGE + 5
    large = 2 * azure.BLOCK + 1
    looks = 20

    @pytest.fixture(autouse=True)
    def _short_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Use small pages, so that few blobs need several."""
        monkeypatch.setattr(azure, "_PAGE", PAGE)

    @pytest.fixture
    def missing(self, azurite: Azure) -> Creatable:
        """Return a store in a container that does not exist."""
        return azure_stores.store(azurite, azure_stores.container(), "prefix")

    @pytest.fixture
    def store(self, azurite: Azure) -> BlobStore:
        """Return an empty store."""
        made = azure_stores.store(azurite, azure_stores.container(), "the prefix/😀")
        made.create()
        return made

    @pytest.fixture
    def stranger(self, azurite: Azure, store: AzureBlobStore) -> BlobStore:
        """Return the store with a wrong key."""
        wrong = evolve(azurite, key=b64encode(b"wrong").decode())
        return azure_stores.store(wrong, store._container.container_name, "the prefix/😀")

    @pytest.fixture
    def elsewhere(self, azurite: Azure, store: AzureBlobStore) -> str:
        """Return code that opens a store of the same container in another process."""
        return f"""
import azure_stores
from servers.addresses import Azure
store = azure_stores.store({azurite}, {store._container.container_name!r}, "the prefix/😀")
"""

    @pytest.fixture
    def private(self, own: Own) -> tuple[Server[Any], Creatable]:
        """Start a separate Azurite; return it with a store on it."""
        server = own(azurite_server.prepare)
        return server, azure_stores.store(server.address, "container", retries=0)

    def holds(self, key: str) -> bool:
        r"""Azure rejects control characters, turns ``\`` into ``/``, and drops a dot at the end of a path segment."""
        control = any(ord(char) < 32 or 127 <= ord(char) < 160 or 0xE000 <= ord(char) < 0xF900 for char in key)
        return not (control or {"\\", "\ufffe", "\uffff"} & set(key) or f"{key}/".count("./"))


class AzureMachine(BlobStoreMachine):
    """The store is a whole container."""

    server: Azure

    def new_store(self) -> BlobStore:
        """Return an empty store."""
        made = azure_stores.store(self.server, azure_stores.container())
        made.create()
        return made


@pytest.fixture(autouse=True)
def _server(azurite: Azure) -> None:
    """Set the server on the machine, which hypothesis instantiates."""
    AzureMachine.server = azurite


TestAzureMachine = pytest.mark.server(pytest.mark.azurite(AzureMachine.TestCase))
TestAzureMachine.settings = settings(max_examples=10, stateful_step_count=20)  # a server responds within milliseconds
