"""A container of Azure Blob Storage, as Azurite plays it, keeps the contract."""

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

from contract.blob_store import BlobStoreContract, BlobStoreMachine, Creatable, ServerContract
from pixcore.ports import BlobStore
from pixcore_adapters.blob_store.azure import store as azure
from pixcore_adapters.blob_store.azure.store import AzureBlobStore

PAGE = 50


class TestAzureBlobStore(ServerContract, BlobStoreContract):
    """Below a prefix that is itself an odd key."""

    many = 2 * PAGE + 5
    large = 2 * azure.BLOCK + 1
    looks = 20

    @pytest.fixture(autouse=True)
    def _short_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Need several pages for few blobs."""
        monkeypatch.setattr(azure, "_PAGE", PAGE)

    @pytest.fixture
    def missing(self, azurite: Azure) -> Creatable:
        """Give a store in a container that is not there."""
        return azure_stores.store(azurite, azure_stores.container(), "prefix")

    @pytest.fixture
    def store(self, azurite: Azure) -> BlobStore:
        """Give an empty store."""
        made = azure_stores.store(azurite, azure_stores.container(), "the prefix/😀")
        made.create()
        return made

    @pytest.fixture
    def stranger(self, azurite: Azure, store: AzureBlobStore) -> BlobStore:
        """Give the store to somebody with a wrong key."""
        wrong = evolve(azurite, key=b64encode(b"wrong").decode())
        return azure_stores.store(wrong, store._container.container_name, "the prefix/😀")

    @pytest.fixture
    def elsewhere(self, azurite: Azure, store: AzureBlobStore) -> str:
        """Give code that makes a store of the same container in another process."""
        return f"""
import azure_stores
from servers.addresses import Azure
store = azure_stores.store({azurite}, {store._container.container_name!r}, "the prefix/😀")
"""

    @pytest.fixture
    def private(self, own: Own) -> tuple[Server[Any], Creatable]:
        """Give an Azurite of its own, and a store on it."""
        server = own(azurite_server.prepare)
        return server, azure_stores.store(server.address, "container", retries=0)

    def holds(self, key: str) -> bool:
        r"""Azure takes no control characters, turns ``\`` into ``/``, and loses a dot at a part's end."""
        control = any(ord(char) < 32 or 127 <= ord(char) < 160 or 0xE000 <= ord(char) < 0xF900 for char in key)
        return not (control or {"\\", "\ufffe", "\uffff"} & set(key) or f"{key}/".count("./"))


class AzureMachine(BlobStoreMachine):
    """In a whole container."""

    server: Azure

    def new_store(self) -> BlobStore:
        """Give an empty store."""
        made = azure_stores.store(self.server, azure_stores.container())
        made.create()
        return made


@pytest.fixture(autouse=True)
def _server(azurite: Azure) -> None:
    """Tell the machine, which hypothesis makes, where the server is."""
    AzureMachine.server = azurite


TestAzureMachine = AzureMachine.TestCase
TestAzureMachine.settings = settings(max_examples=10, stateful_step_count=20)  # a server answers in milliseconds
