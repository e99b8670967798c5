"""The implementations of ``Datasets`` keep the contract."""

from collections.abc import Iterator
from pathlib import Path

import databases
import pytest
from servers.addresses import Postgres
from sqlalchemy import Engine, Float, bindparam

from contract.datasets import Database, DatasetsContract
from contract.status_repo import MAX_FAILURES, Clock
from pixcore_adapters.decisions.memory import MemoryDecisions
from pixcore_adapters.seen_images.memory import MemorySeenImages
from pixcore_adapters.status_repo import sql_datasets
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.status_repo.memory_datasets import MemoryDatasets
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.sql_datasets import SqlDatasets
from pixcore_adapters.status_repo.sql_decisions import SqlDecisions
from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages


class TestMemoryDatasets(DatasetsContract):
    """The public test double is as strict as the database."""

    @pytest.fixture
    def database(self, clock: Clock) -> Database:
        """Return the ports on an empty database."""
        status, decisions = MemoryStatusRepo(clock, MAX_FAILURES), MemoryDecisions(clock)
        seen = MemorySeenImages(status)
        return Database(status, seen, decisions, MemoryDatasets(status, seen, decisions))


class SqlDatasetsContract(DatasetsContract):
    """The implementation in the status database. A subclass provides an empty ``engine``."""

    @pytest.fixture
    def database(self, clock: Clock, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Database:
        """Return the ports on an empty database. Each page has one row."""
        monkeypatch.setattr(sql_datasets, "PAGE", 1)
        now = bindparam("now", callable_=clock, type_=Float)
        status = SqlStatusRepo(engine, MAX_FAILURES, now)
        return Database(status, SqlSeenImages(engine), SqlDecisions(engine, now), SqlDatasets(engine, now))


class TestSqliteDatasets(SqlDatasetsContract):
    """In a file."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """Return an empty database."""
        with databases.sqlite(tmp_path) as engine:
            yield engine


class TestPostgresDatasets(SqlDatasetsContract):
    """On a server."""

    @pytest.fixture
    def engine(self, postgres: Postgres) -> Iterator[Engine]:
        """Return an empty database."""
        with databases.postgres(postgres) as engine:
            yield engine
