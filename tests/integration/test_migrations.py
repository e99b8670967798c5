"""The schema of the status database: creation, recognition and rejection."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import databases
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from contract.seen_images import ONE, OTHER, hold
from contract.status_repo import create_chunks
from sqlalchemy import Engine, event, inspect

from pixcore.errors import InvalidRequest
from pixcore.model.chunks import ChunkKey, Claim, Status
from pixcore.model.quality import NearRule
from pixcore_adapters.status_repo import migrations
from pixcore_adapters.status_repo.database import engine_at, migration
from pixcore_adapters.status_repo.schema import VERSION_TABLE, VERSIONS, metadata
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages
from pixcore_adapters.status_repo.upgrade import check, is_set_up, migrate

# the databases that the first commit created, and what later commits of the same version added
_FIRST = """
CREATE TABLE pixcore_version (version_num VARCHAR(32) PRIMARY KEY);
INSERT INTO pixcore_version VALUES ('0001');
CREATE TABLE pixcore_registry (identity VARCHAR(36) PRIMARY KEY, next_chunk_id BIGINT NOT NULL);
INSERT INTO pixcore_registry VALUES ('5b9d4a5e-0a35-4b27-9b9b-0d1cf7d8a001', 8);
CREATE TABLE pixcore_chunks (
    dataset VARCHAR(100), id BIGINT, chunk_index BIGINT NOT NULL, request TEXT NOT NULL, status VARCHAR(20) NOT NULL,
    phase VARCHAR(20) NOT NULL, attempt INTEGER NOT NULL, failures INTEGER NOT NULL, owner TEXT NOT NULL,
    lease_expires_at FLOAT(53) NOT NULL, due_at FLOAT(53) NOT NULL, cancel_requested BOOLEAN NOT NULL,
    progress TEXT NOT NULL, result TEXT, error TEXT NOT NULL, revision BIGINT NOT NULL, PRIMARY KEY (dataset, id),
    CONSTRAINT pixcore_chunks_by_index UNIQUE (dataset, chunk_index)
);
CREATE INDEX pixcore_chunks_by_status ON pixcore_chunks (dataset, status, chunk_index);
INSERT INTO pixcore_chunks VALUES (
    'd', 7, 0, '{"index": 0, "keyword": "cat", "target": 1, "slices": [{"source": "urls", "query": "list", "start": 0,
    "stop": 1, "snapshot": ""}], "dataset": "d", "label": ""}', 'completed', 'complete', 1, 0, '', 0, 0, false,
    '{"accepted": 1, "rejected": {}, "missed": {}}', '{"url": "file:///b", "sha256": "00", "bytes": 1, "target": 1,
    "attempt": 1, "progress": {"accepted": 1, "rejected": {}, "missed": {}}, "seconds": {}}', '', 2
);
CREATE TABLE pixcore_seen_images (
    dataset VARCHAR(100), sha256 VARCHAR(64), chunk_id BIGINT NOT NULL, attempt INTEGER NOT NULL,
    PRIMARY KEY (dataset, sha256)
);
CREATE INDEX pixcore_seen_images_by_chunk ON pixcore_seen_images (dataset, chunk_id);
"""
_HOLDS = "INSERT INTO pixcore_seen_images VALUES ('d', '{one}', 7, 1{rest}), ('d', '{other}', 7, 1{rest})"
_COLUMNS = ("url TEXT", "phash BIGINT", "dhash BIGINT", "hash_method TEXT", "flat BOOLEAN")


@pytest.fixture(params=databases.KINDS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Return a database without tables."""
    with databases.bare(request) as engine:
        yield engine


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Engine]:
    """Return SQLite's database, whose file does not exist yet."""
    with databases.closing_connections(engine_at(f"sqlite:///{tmp_path}/status.db")) as engine:
        yield engine


@pytest.mark.parametrize("later", [False, True], ids=["first", "later"])
def test_a_database_of_an_earlier_commit_is_brought_up_to_date(engine: Engine, later: bool) -> None:
    """Its chunks and their images stay; images without a fingerprint are near to none."""
    columns = _COLUMNS if later else ()
    rest = ", '', 0, 0, '', false" if later else ""
    alters = [f"ALTER TABLE pixcore_seen_images ADD {column} NOT NULL" for column in columns]
    with engine.connect() as connection:
        for statement in (
            *_FIRST.split(";\n")[:-1],
            *alters,
            _HOLDS.format(one=ONE.sha256, other=OTHER.sha256, rest=rest),
        ):
            connection.exec_driver_sql(statement)
    with pytest.raises(InvalidRequest, match="was created by an older pixcore; run `pixcore"):
        check(engine)
    migrate(engine)
    check(engine)
    repo, seen = SqlStatusRepo(engine), SqlSeenImages(engine)
    assert repo.identity == "5b9d4a5e-0a35-4b27-9b9b-0d1cf7d8a001"
    assert repo.get(ChunkKey("d", 7)).status is Status.COMPLETED
    (new,) = create_chunks(repo, 1, "e")
    assert new.id == 8
    assert hold(seen, Claim(ChunkKey("d", 9), "me", 1), ONE) == ChunkKey("d", 7)
    assert len(list(seen.near("d", NearRule()))) == (1 if later else 0)


def test_chunks_of_before_are_as_if_they_were_made_now(engine: Engine) -> None:
    """The new columns are filled for many pages of chunks, in every status."""
    _make_first(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "INSERT INTO pixcore_chunks SELECT dataset, id + 1, 1, replace(request, 'cat', 'caf\\udce9'), 'processing',"
            " 'download', 1, 0, 'me', 5e9, 0, false, '{\"accepted\": 3, \"rejected\": {}, \"missed\": {}}', NULL, '', 2"
            " FROM pixcore_chunks"
        )
        connection.exec_driver_sql(
            "WITH RECURSIVE n(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM n WHERE n < 3499)"
            " INSERT INTO pixcore_chunks SELECT 'e', n, n,"
            ' replace(replace(request, \'"cat"\', \'"dog"\'), \'"dataset": "d"\', \'"dataset": "e"\'), status, phase,'
            " attempt, failures, owner, lease_expires_at, due_at, cancel_requested, progress, result, error, revision"
            " FROM pixcore_chunks, n WHERE id = 7"
        )
        connection.exec_driver_sql("UPDATE pixcore_chunks SET error = 'gave up after 3 failures' WHERE id = 1234")
    migrate(engine)
    repo = SqlStatusRepo(engine)
    assert [record.chunk.id for record in repo.find("d", keyword="cat")] == [7]
    (running,) = repo.find("d", keyword="caf\udce9")
    assert (running.chunk.id, running.queue, running.running) == (8, "", 0)
    assert [record.chunk.id for record in repo.find("e", keyword="dog")] == list(range(1000, 3500))
    overview = repo.overview()
    assert (overview.accepted, overview.workers, overview.oldest) == (2500 + 1 + 3, 1, 0)
    assert (overview.attempts, overview.errors) == (2500 + 2, {"gave up after N failures": 1})
    assert repo.summary() == {"d": {Status.COMPLETED: 1, Status.PROCESSING: 1}, "e": {Status.COMPLETED: 2500}}
    planned = repo.planned("e", "dog")
    assert (planned.chunks, planned.images, [part.stop for part in planned.furthest]) == (2500, 2500, [1])
    assert list(repo.overdue("")) == []
    repo.reopen(ChunkKey("e", 1234))
    assert repo.summary()["e"] == {Status.COMPLETED: 2499, Status.PENDING: 1}


def test_the_steps_lead_to_the_tables_that_the_code_uses(engine: Engine) -> None:
    """A new database is created without the migrations; a column that only one of them has is found here."""
    with migration(engine) as connection:
        migrations.upgrade(connection)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        indices = {index["name"] for table in metadata.tables for index in inspect(connection).get_indexes(table)}
    assert indices >= {index.name for table in metadata.tables.values() for index in table.indexes}


def test_every_version_is_known_by_name() -> None:
    """The check tells older versions from newer ones without Alembic, by a list that must match the migrations."""
    steps = ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions()
    assert tuple(step.revision for step in steps)[::-1] == VERSIONS


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    """Every command migrates, so identity and rows must survive it."""
    migrate(engine)
    identity = SqlStatusRepo(engine).identity
    migrate(engine)
    check(engine)
    assert SqlStatusRepo(engine).identity == identity


def test_databases_have_identities_of_their_own(engine: Engine, tmp_path: Path) -> None:
    """Chunk ids mean something only together with the identity, so no two databases may share one."""
    migrate(engine)
    (tmp_path / "other").mkdir()
    with databases.sqlite(tmp_path / "other") as other:
        assert SqlStatusRepo(engine).identity != SqlStatusRepo(other).identity


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_processes_that_start_at_once_all_succeed(engine: Engine, old: bool) -> None:
    """Of four commands one creates or upgrades the schema, the others find it; all see one identity."""
    if old:
        _make_first(engine)
    start = (
        "import sys\n"
        "from pixcore_adapters.status_repo.database import engine_at\n"
        "from pixcore_adapters.status_repo.upgrade import migrate\n"
        "from pixcore_adapters.status_repo.sql import SqlStatusRepo\n"
        "import pixcore_adapters.status_repo.migrations\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "engine = engine_at(sys.argv[1]); migrate(engine); print(SqlStatusRepo(engine).identity)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", start, engine.url.render_as_string(hide_password=False)],
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


def test_a_missing_schema_is_named(engine: Engine) -> None:
    """A worker that only checks gets the remedy; a reader can test before."""
    assert not is_set_up(engine)
    with pytest.raises(InvalidRequest, match=r"(status\.db|/postgres) is not set up yet; run `pixcore check`"):
        check(engine)
    migrate(engine)
    assert is_set_up(engine)


def test_reading_creates_no_file(file: Engine, tmp_path: Path) -> None:
    """Connecting to SQLite would create an empty file."""
    assert not is_set_up(file)
    with pytest.raises(InvalidRequest, match="not set up yet"):
        check(file)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_has_no_schema(file: Engine, tmp_path: Path) -> None:
    """A crash before the first commit leaves such a file: the check rejects it, the migration repairs it."""
    (tmp_path / "status.db").touch()
    with pytest.raises(InvalidRequest, match="not set up yet"):
        check(file)
    migrate(file)
    check(file)


@pytest.mark.parametrize("look", [check, migrate])
def test_a_newer_schema_is_refused(engine: Engine, look: Callable[[Engine], None]) -> None:
    """An old program must not write to tables that it does not know."""
    migrate(engine)
    _pretend_version(engine, "9999")
    with pytest.raises(InvalidRequest, match=r"(status\.db|/postgres) was created by a newer pixcore; upgrade pixcore"):
        look(engine)


def test_an_older_schema_is_refused_by_the_check(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker does not upgrade the schema while others run; the message says which command does."""
    migrate(engine)
    monkeypatch.setattr("pixcore_adapters.status_repo.upgrade.VERSIONS", (*VERSIONS, "9999"))
    with pytest.raises(InvalidRequest, match=r"(status\.db|/postgres) was created by an older pixcore; run `pixcore"):
        check(engine)


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_a_step_that_fails_leaves_nothing(engine: Engine, old: bool) -> None:
    """Creating and changing the tables is one transaction; after a crash the next start begins again."""

    def fail(_1: object, _2: object, statement: str, *_3: object) -> None:
        if "pixcore_attempts_by_index" in statement:
            raise OSError("no power")

    if old:
        _make_first(engine)
    before = _columns(engine)
    event.listen(engine, "before_cursor_execute", fail)
    with pytest.raises(OSError, match="no power"):
        migrate(engine)
    assert _columns(engine) == before
    event.remove(engine, "before_cursor_execute", fail)
    migrate(engine)
    check(engine)


def test_a_new_database_is_made_without_alembic(file: Engine) -> None:
    """Importing Alembic takes a fifth of the time until a first run fetches an image."""
    make = (
        "import sys\n"
        "from pixcore_adapters.status_repo.database import engine_at\n"
        "from pixcore_adapters.status_repo.upgrade import migrate\n"
        "migrate(engine_at(sys.argv[1])); print('alembic' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", make, str(file.url)], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"
    check(file)


def test_migrating_configures_no_logging(engine: Engine) -> None:
    """The application configures logging, although Alembic could."""
    _make_first(engine)
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("alembic").level, root.disabled)
    migrate(engine)
    assert (list(root.handlers), root.level, logging.getLogger("alembic").level, root.disabled) == before


def _make_first(engine: Engine) -> None:
    with engine.connect() as connection:
        for statement in _FIRST.split(";\n")[:-1]:
            connection.exec_driver_sql(statement)


def _columns(engine: Engine) -> dict[str, list[str]]:
    with engine.connect() as connection:
        inspector = inspect(connection)
        return {
            name: [column["name"] for column in inspector.get_columns(name)] for name in inspector.get_table_names()
        }


def _pretend_version(engine: Engine, version: str) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'")  # noqa: S608  a constant
