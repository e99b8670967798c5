"""The implementations of ``Decisions`` keep the contract."""

from collections.abc import Iterator
from pathlib import Path

import databases
import pytest
from servers.addresses import Postgres
from sqlalchemy import Engine, Float, bindparam

from contract.decisions import DecisionsContract, decision
from contract.status_repo import Clock
from pixcore.errors import InvalidRequest
from pixcore.model.decisions import Decision
from pixcore.ports import Decisions
from pixcore_adapters.decisions.memory import MemoryDecisions
from pixcore_adapters.status_repo.sql_decisions import SqlDecisions


class TestMemoryDecisions(DecisionsContract):
    """The public test double is as strict as the database."""

    @pytest.fixture
    def decisions(self, clock: Clock) -> Decisions:
        """Return an empty ``Decisions``."""
        return MemoryDecisions(clock)


class SqlDecisionsContract(DecisionsContract):
    """The implementation in the status database. A subclass provides an empty ``engine``."""

    @pytest.fixture
    def decisions(self, clock: Clock, engine: Engine) -> Decisions:
        """Return an empty ``Decisions``."""
        return SqlDecisions(engine, bindparam("now", callable_=clock, type_=Float))

    def test_all_or_none_are_recorded(self, decisions: Decisions) -> None:
        """A connection that breaks in the middle of an import leaves no half of the file behind."""

        def broken() -> Iterator[Decision]:
            yield from map(decision, range(2000))
            object.__setattr__(bad := decision(3000), "reason", "\udcff")  # no database stores it
            yield bad

        with pytest.raises(InvalidRequest, match="not valid Unicode"):
            decisions.record(broken())
        assert list(decisions.read("d")) == []


class TestSqliteDecisions(SqlDecisionsContract):
    """In a file."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """Return an empty database."""
        with databases.sqlite(tmp_path) as engine:
            yield engine


class TestPostgresDecisions(SqlDecisionsContract):
    """On a server."""

    @pytest.fixture
    def engine(self, postgres: Postgres) -> Iterator[Engine]:
        """Return an empty database."""
        with databases.postgres(postgres) as engine:
            yield engine
