"""The status repositories of the default installation keep the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.status_repo import MAX_FAILURES, Clock, StatusRepoContract
from sqlalchemy import Float, bindparam

from pixcore.ports import StatusRepo
from pixcore_adapters.status_repo.database import engine_at
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.status_repo.schema import migrate
from pixcore_adapters.status_repo.sql import SqlStatusRepo


class TestMemoryStatusRepo(StatusRepoContract):
    """The public test double is as strict as the database that it stands for."""

    @pytest.fixture
    def repo(self, clock: Clock) -> StatusRepo:
        """Give an empty repository."""
        return MemoryStatusRepo(clock, MAX_FAILURES)


class TestSqliteStatusRepo(StatusRepoContract):
    """One file keeps the promises of a server."""

    @pytest.fixture
    def repo(self, clock: Clock, tmp_path: Path) -> Iterator[StatusRepo]:
        """Give an empty repository, whose time is the test's."""
        engine = engine_at(f"sqlite:///{tmp_path}/status.db")
        migrate(engine)
        yield SqlStatusRepo(engine, MAX_FAILURES, bindparam("now", callable_=clock, type_=Float))
        engine.dispose()
