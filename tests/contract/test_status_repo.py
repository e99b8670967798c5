"""The status repositories keep the contract."""

from collections.abc import Iterator
from pathlib import Path

import databases
import pytest
from servers.addresses import Postgres
from sqlalchemy import Float, bindparam

from contract.status_repo import MAX_FAILURES, Clock, StatusRepoContract
from pixcore.ports import StatusRepo
from pixcore_adapters.status_repo import statements
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.status_repo.sql import SqlStatusRepo

PAGE = 40


@pytest.fixture(autouse=True)
def _short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read few records at once, so that few chunks need several reads."""
    monkeypatch.setattr(statements, "PAGE", PAGE)


class TestMemoryStatusRepo(StatusRepoContract):
    """The public test double is as strict as the database."""

    @pytest.fixture
    def repo(self, clock: Clock) -> StatusRepo:
        """Return an empty repository."""
        return MemoryStatusRepo(clock, MAX_FAILURES)


class TestSqliteStatusRepo(StatusRepoContract):
    """A file keeps the same promises as a server."""

    many = PAGE + 5

    @pytest.fixture
    def repo(self, clock: Clock, tmp_path: Path) -> Iterator[StatusRepo]:
        """Return an empty repository whose time is the test's clock."""
        with databases.sqlite(tmp_path) as engine:
            yield SqlStatusRepo(engine, MAX_FAILURES, bindparam("now", callable_=clock, type_=Float))


class TestPostgresStatusRepo(StatusRepoContract):
    """A server keeps the same promises as a file."""

    many = PAGE + 5

    @pytest.fixture
    def repo(self, clock: Clock, postgres: Postgres) -> Iterator[StatusRepo]:
        """Return an empty repository whose time is the test's clock."""
        with databases.postgres(postgres) as engine:
            yield SqlStatusRepo(engine, MAX_FAILURES, bindparam("now", callable_=clock, type_=Float))
