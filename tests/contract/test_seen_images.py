"""The implementations of ``SeenImages`` keep the contract."""

from collections.abc import Iterator
from pathlib import Path

import databases
import pytest
from servers.addresses import Postgres
from sqlalchemy import Engine, Float, bindparam, event

from contract.seen_images import ONE, OTHER, SeenImagesContract, hold, image, urls
from contract.status_repo import Clock, result
from pixcore.model.chunks import Claim
from pixcore.model.quality import NearRule
from pixcore.ports import StatusRepo
from pixcore.ports.seen_images import SeenImages
from pixcore_adapters.seen_images.memory import MemorySeenImages
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages


class TestMemorySeenImages(SeenImagesContract):
    """The public test double is as strict as the database."""

    @pytest.fixture
    def repo(self, clock: Clock) -> StatusRepo:
        """Return an empty repository."""
        return MemoryStatusRepo(clock)

    @pytest.fixture
    def seen(self, repo: StatusRepo) -> SeenImages:
        """Return an empty ``SeenImages``."""
        return MemorySeenImages(repo)


class SqlSeenImagesContract(SeenImagesContract):
    """The implementation in the status database. A subclass provides an empty ``engine``."""

    @pytest.fixture
    def repo(self, clock: Clock, engine: Engine) -> SqlStatusRepo:
        """Return an empty repository whose time is the test's clock."""
        return SqlStatusRepo(engine, now=bindparam("now", callable_=clock, type_=Float))

    @pytest.fixture
    def seen(self, repo: SqlStatusRepo) -> SeenImages:
        """Return an empty ``SeenImages`` on the repository's database."""
        return SqlSeenImages(repo.engine)

    def test_a_url_may_hold_anything(self, seen: SqlSeenImages, repo: SqlStatusRepo, claims: list[Claim]) -> None:
        """A source may send a NUL, which PostgreSQL cannot store; the image is kept."""
        for claim, number in zip(claims, (1, 2), strict=True):
            assert hold(seen, claim, image(number, url="https://host/\0.jpg")) is None
            repo.complete(claim, result(1))
        assert urls(list(seen.near("d", NearRule()))) == [["\\x00.jpg", "\\x00.jpg"]]

    def test_a_chunk_opened_again_during_the_search_is_left_out(
        self, seen: SqlSeenImages, repo: SqlStatusRepo, claims: list[Claim]
    ) -> None:
        """Hashes are read before the search, other columns after it; images that are gone by then are no error."""
        for claim, held in zip(claims, (ONE, OTHER), strict=True):
            hold(seen, claim, held)
            repo.complete(claim, result(1))

        @event.listens_for(repo.engine, "before_cursor_execute")
        def _(_1: object, _2: object, statement: str, *_3: object) -> None:
            if statement.startswith("SELECT pixcore_seen_images") and "url" in statement:
                repo.reopen(claims[1].chunk)

        assert list(seen.near("d", NearRule())) == []


class TestSqliteSeenImages(SqlSeenImagesContract):
    """In a file."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """Return an empty database."""
        with databases.sqlite(tmp_path) as engine:
            yield engine


class TestPostgresSeenImages(SqlSeenImagesContract):
    """On a server."""

    @pytest.fixture
    def engine(self, postgres: Postgres) -> Iterator[Engine]:
        """Return an empty database."""
        with databases.postgres(postgres) as engine:
            yield engine
