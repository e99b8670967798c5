"""The memories of exact images of the default installation keep the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.seen_images import SeenImagesContract
from contract.status_repo import Clock
from sqlalchemy import Float, bindparam

from pixcore.duplicates import SeenImages
from pixcore.ports import StatusRepo
from pixcore_adapters.duplicates.memory import MemorySeenImages
from pixcore_adapters.duplicates.sql import SqlSeenImages
from pixcore_adapters.status_repo.database import engine_at
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.status_repo.schema import migrate
from pixcore_adapters.status_repo.sql import SqlStatusRepo


class TestMemorySeenImages(SeenImagesContract):
    """The public test double is as strict as the database that it stands for."""

    @pytest.fixture
    def repo(self, clock: Clock) -> StatusRepo:
        """Give an empty repository."""
        return MemoryStatusRepo(clock)

    @pytest.fixture
    def seen(self, repo: StatusRepo) -> SeenImages:
        """Give an empty memory."""
        return MemorySeenImages(repo)


class TestSqliteSeenImages(SeenImagesContract):
    """The status database remembers the images of all workers."""

    @pytest.fixture
    def repo(self, clock: Clock, tmp_path: Path) -> Iterator[SqlStatusRepo]:
        """Give an empty repository, whose time is the test's."""
        engine = engine_at(f"sqlite:///{tmp_path}/status.db")
        migrate(engine)
        yield SqlStatusRepo(engine, now=bindparam("now", callable_=clock, type_=Float))
        engine.dispose()

    @pytest.fixture
    def seen(self, repo: SqlStatusRepo) -> SeenImages:
        """Give an empty memory beside the repository."""
        return SqlSeenImages(repo.engine)
