"""The schema of the status database: made, recognised, refused."""

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from pixcore.errors import InvalidRequest
from pixcore_adapters.status_repo import migrations
from pixcore_adapters.status_repo.database import engine_at
from pixcore_adapters.status_repo.schema import VERSION_TABLE, VERSIONS, check, metadata, migrate
from pixcore_adapters.status_repo.sql import SqlStatusRepo


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give the engine of a file that is not there yet."""
    engine = engine_at(f"sqlite:///{tmp_path}/status.db")
    yield engine
    engine.dispose()


def test_the_steps_lead_to_the_tables_that_the_code_uses(engine: Engine) -> None:
    """A column added to one and forgotten in the other is found here."""
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        indices = {index["name"] for table in metadata.tables for index in inspect(connection).get_indexes(table)}
    assert indices >= {index.name for table in metadata.tables.values() for index in table.indexes}


def test_every_version_is_known_by_name() -> None:
    """The check tells older from newer without Alembic, by a list that must match the steps."""
    steps = ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions()
    assert tuple(step.revision for step in steps)[::-1] == VERSIONS


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    """Every command migrates, so a database must keep its identity and rows through it."""
    migrate(engine)
    identity = SqlStatusRepo(engine).identity
    migrate(engine)
    check(engine)
    assert SqlStatusRepo(engine).identity == identity


def test_databases_have_identities_of_their_own(tmp_path: Path) -> None:
    """Ids mean something only beside the identity, so two databases must never share one."""
    identities = set()
    for name in ("one", "other"):
        engine = engine_at(f"sqlite:///{tmp_path}/{name}.db")
        migrate(engine)
        identities.add(SqlStatusRepo(engine).identity)
        engine.dispose()
    assert len(identities) == 2


def test_processes_that_start_at_once_all_succeed(tmp_path: Path) -> None:
    """Four commands on a new database: one makes the schema, the others find it, and all see one identity."""
    start = (
        "import sys\n"
        "from pixcore_adapters.status_repo.database import engine_at\n"
        "from pixcore_adapters.status_repo.schema import migrate\n"
        "from pixcore_adapters.status_repo.sql import SqlStatusRepo\n"
        "import pixcore_adapters.status_repo.migrations\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "engine = engine_at(sys.argv[1]); migrate(engine); print(SqlStatusRepo(engine).identity)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", start, f"sqlite:///{tmp_path}/status.db"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert {process.stdout.readline() for process in processes if process.stdout} == {"ready\n"}
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    identities = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(identities) == 1


def test_a_missing_schema_is_named_and_nothing_is_made(engine: Engine, tmp_path: Path) -> None:
    """A worker that only checks leaves no empty file behind, and its message says what to do."""
    with pytest.raises(InvalidRequest, match=r"status\.db is not made yet; run any pixcore command"):
        check(engine)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_has_no_schema(engine: Engine, tmp_path: Path) -> None:
    """As left by a crash before the first commit: refused by the check, mended by the migration."""
    (tmp_path / "status.db").touch()
    with pytest.raises(InvalidRequest, match="not made yet"):
        check(engine)
    migrate(engine)
    check(engine)


@pytest.mark.parametrize("look", [check, migrate])
def test_a_newer_schema_is_refused(engine: Engine, look: Callable[[Engine], None]) -> None:
    """An old program must not write into tables that it does not know."""
    migrate(engine)
    _pretend_version(engine, "9999")
    with pytest.raises(InvalidRequest, match=r"status\.db was made by a newer pixcore; upgrade pixcore"):
        look(engine)


def test_an_older_schema_is_refused_by_the_check(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker does not upgrade behind the back of those that run; it says who does."""
    migrate(engine)
    monkeypatch.setattr("pixcore_adapters.status_repo.schema.VERSIONS", (*VERSIONS, "9999"))
    with pytest.raises(InvalidRequest, match=r"status\.db was made by an older pixcore; run any pixcore command"):
        check(engine)


def test_a_step_that_fails_leaves_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps are one transaction: after a crash in the middle the next start begins anew."""

    def broken(connection: object) -> None:
        upgrade(connection)
        raise OSError("no power")

    upgrade = migrations.upgrade
    monkeypatch.setattr(migrations, "upgrade", broken)
    with pytest.raises(OSError, match="no power"):
        migrate(engine)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    monkeypatch.undo()
    migrate(engine)
    check(engine)


def test_migrating_configures_no_logging(engine: Engine) -> None:
    """Logging belongs to the application that uses the library."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("alembic").level, root.disabled)
    migrate(engine)
    assert (list(root.handlers), root.level, logging.getLogger("alembic").level, root.disabled) == before


def _pretend_version(engine: Engine, version: str) -> None:
    engine.dispose()
    with sqlite3.connect(engine.url.database or "") as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'")  # noqa: S608  a constant
    connection.close()
