"""The blob stores that need no server keep the contract."""

import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from contract.blob_store import BlobStoreContract, BlobStoreMachine
from pixcore.model.archives import Blob
from pixcore.ports import BlobStore
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.blob_store.memory import MemoryBlobStore


class TestMemoryBlobStore(BlobStoreContract):
    """The public test double is as strict as the real stores."""

    @pytest.fixture
    def store(self) -> BlobStore:
        """Return an empty store."""
        return MemoryBlobStore()


class TestLocalBlobStore(BlobStoreContract):
    """A folder keeps the same promises as a server."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        """Return an empty store whose folder does not exist yet."""
        return LocalBlobStore(tmp_path / "the store")


class MemoryMachine(BlobStoreMachine):
    """In memory."""

    def new_store(self) -> BlobStore:
        """Return an empty store."""
        return MemoryBlobStore()


class Alternating(LocalBlobStore):
    """A local store of which every second ``put`` takes the file over."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._puts = count()

    def put(self, key: str, source: Path, **described: Any) -> Blob:  # noqa: ANN401 - as the port says
        """Store a file, by a copy or by a link."""
        return (self.take_over if next(self._puts) % 2 else super().put)(key, source, **described)


class LocalMachine(BlobStoreMachine):
    """In a folder."""

    def new_store(self) -> BlobStore:
        """Return an empty store."""
        self.folder = tempfile.mkdtemp()
        return Alternating(Path(self.folder))

    def teardown(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)


TestMemoryMachine = MemoryMachine.TestCase
TestLocalMachine = LocalMachine.TestCase
TestLocalMachine.settings = settings(max_examples=30, stateful_step_count=30)  # every put is synced to the disk
