"""The memories of images of the default installation keep the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.seen_images import ONE, OTHER, SeenImagesContract
from contract.status_repo import Clock, result
from sqlalchemy import Float, bindparam, event

from pixcore.duplicates import SeenImages
from pixcore.model import Claim
from pixcore.ports import StatusRepo
from pixcore.quality import NearRule
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

    def test_a_chunk_opened_again_during_the_search_is_left_out(
        self, seen: SqlSeenImages, repo: SqlStatusRepo, claims: list[Claim]
    ) -> None:
        """Hashes are read before the search and the rest after it: what has gone in between is no error."""
        for claim, image in zip(claims, (ONE, OTHER), strict=True):
            seen.hold(claim, image)
            repo.complete(claim, result(1))

        @event.listens_for(repo.engine, "before_cursor_execute")
        def _(_1: object, _2: object, statement: str, *_3: object) -> None:
            if statement.startswith("SELECT pixcore_seen_images") and "url" in statement:
                repo.reopen(claims[1].chunk)

        assert list(seen.near("d", NearRule())) == []
