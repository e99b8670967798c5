"""The SQL database of the status repository: races, query plans, exceptions and forks."""

import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import databases
import pytest
from contract.seen_images import ONE, OTHER, hold
from sqlalchemy import Engine, create_engine, event, exc

from pixcore.errors import InvalidRequest, PermanentError, StatusUnavailable
from pixcore.model.chunks import ChunkKey, ChunkResult, Claim, Phase, Progress, Status
from pixcore.model.claims import Busy, Claimed
from pixcore.model.quality import NearRule
from pixcore.model.requests import ChunkRequest, Slice
from pixcore_adapters.status_repo import statements
from pixcore_adapters.status_repo.database import engine_at, translated
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages
from pixcore_adapters.status_repo.upgrade import check, migrate

Ask = Callable[[Engine], object]


@contextmanager
def tracing() -> Iterator[Callable[[], int]]:
    """Return a function that measures Python's peak memory since the start, in bytes."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def requests(count: int, dataset: str = "d") -> list[ChunkRequest]:
    """Build the requests of a dataset's first chunks."""
    return [ChunkRequest(i, "cat", 500, (Slice("urls", "list", i, i + 1),), dataset) for i in range(count)]


@pytest.fixture(params=databases.KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Return an empty database of each kind."""
    with databases.empty(request) as engine:
        yield engine


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of SQLite's file."""
    return tmp_path / "status.db"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Return SQLite's database, empty."""
    with databases.sqlite(tmp_path) as engine:
        yield engine


# --- races

_WORKERS = """
import os, sys
from pixcore.model.claims import Claimed
from pixcore_adapters.status_repo.sql import SqlStatusRepo
repo = SqlStatusRepo(sys.argv[1])
keys = [record.chunk.key for record in repo.find("d")]
wait, start = os.pipe()
def work(owner):
    os.close(start)
    os.read(wait, 1)  # until all have started
    own = [str(key.id) for key in keys if isinstance(repo.claim(key, owner, 600), Claimed)]
    os.write(1, (" ".join(own) + "\\n").encode())  # at once, which keeps the lines apart
for worker in range(8):
    if not os.fork():
        try:
            work(str(worker))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
os.close(start)
ends = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(8)]
assert ends == [0] * 8, ends
"""


def test_eight_processes_claim_every_chunk_once(database: Engine) -> None:
    """Each goes through the same 200 chunks until none is left; no chunk is claimed twice."""
    repo = SqlStatusRepo(database)
    keys = [chunk.key for chunk in repo.ensure(requests(200))]
    command = [sys.executable, "-c", _WORKERS, _url(database)]
    work = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120)
    claimed = [[int(id_) for id_ in line.split()] for line in work.stdout.splitlines()]
    assert len(claimed) == 8
    assert sorted(id_ for ids in claimed for id_ in ids) == sorted(key.id for key in keys)
    assert {record.attempt for record in repo.find("d")} == {1}


@pytest.mark.parametrize("meanwhile", ["claimed", "cancelled", "assigned"])
def test_a_changed_row_is_read_again(database: Engine, meanwhile: str) -> None:
    """If another process changes the row before the compare-and-set, the answer must be that of the new row."""
    rival = SqlStatusRepo(database.url)
    repo = SqlStatusRepo(database)
    (chunk,) = repo.ensure(requests(1))
    interfere = {
        "claimed": lambda: rival.claim(chunk.key, "rival", 60),
        "cancelled": lambda: rival.cancel("d"),
        "assigned": lambda: rival.assign([chunk.key], "rq"),
    }
    turns: Iterator[Callable[[], object]] = iter([interfere[meanwhile]])

    @event.listens_for(database, "after_cursor_execute")
    def _(_1: object, _2: object, statement: str, *_3: object) -> None:
        if statement.startswith("SELECT pixcore_chunks"):
            next(turns, lambda: None)()

    answer = repo.claim(chunk.key, "me", 60)
    record = repo.get(chunk.key)
    rival.engine.dispose()
    if meanwhile == "claimed":
        assert isinstance(answer, Busy)
        assert (record.owner, record.attempt) == ("rival", 1)
    elif meanwhile == "assigned":
        assert isinstance(answer, Claimed)
        assert (record.owner, record.queue) == ("me", "rq")
    else:
        assert not isinstance(answer, Claimed)
        assert (record.status, record.attempt) == (Status.FAILED, 0)


@pytest.mark.parametrize("taken", [True, False])
def test_an_image_is_looked_at_again_when_its_holder_changed(database: Engine, taken: bool) -> None:
    """Between two statements another chunk takes over an image of an ended attempt, or releases its own."""
    repo, seen = SqlStatusRepo(database), SqlSeenImages(database)
    mine, rivals, dead = (Claim(chunk.key, "somebody", 1) for chunk in repo.ensure(requests(3)))
    for claim in (mine, rivals, dead):
        repo.claim(claim.chunk, "somebody", 60)
    rival = SqlSeenImages(database.url)
    if taken:
        hold(seen, dead, ONE)
        repo.release(dead)
    else:
        hold(rival, rivals, ONE)
    turns = iter([partial(hold, rival, rivals, ONE) if taken else partial(rival.release, rivals)])

    @event.listens_for(database, "before_cursor_execute")
    def _(_1: object, _2: object, statement: str, *_3: object) -> None:
        if statement.startswith("UPDATE" if taken else "SELECT"):
            next(turns, lambda: None)()

    holder = hold(seen, mine, ONE)
    rival.engine.dispose()
    assert holder == (rivals.chunk if taken else None)


_FORK = """
import os, sys
from sqlalchemy import event
from pixcore.model.chunks import ChunkKey
from pixcore.model.claims import Claimed
from pixcore_adapters.status_repo.sql import SqlStatusRepo
repo = SqlStatusRepo(sys.argv[1])
keys = [record.chunk.key for record in repo.find("d")]
connected_in = []
event.listen(repo.engine, "connect", lambda *_: connected_in.append(os.getpid()))
child = os.fork()
claimed = isinstance(repo.claim(keys[0 if child else 1], "me", 60), Claimed)
assert claimed
assert connected_in == ([] if child else [os.getpid()])
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_fork_inherits_no_connection(database: Engine) -> None:
    """Using a connection on both sides of a fork breaks SQLite's locks and mixes PostgreSQL's responses."""
    repo = SqlStatusRepo(database)
    repo.ensure(requests(2))
    subprocess.run([sys.executable, "-W", "error", "-c", _FORK, _url(database)], check=True, timeout=60)
    assert {record.attempt for record in repo.find("d")} == {1}


# --- a million chunks


def test_no_call_reads_the_whole_table(engine: Engine) -> None:
    """The database's plan of each statement uses an index; only the few counts are scanned and sorted."""
    statements: list[tuple[str, object]] = []
    repo, seen = SqlStatusRepo(engine), SqlSeenImages(engine)
    event.listen(
        engine,
        "before_cursor_execute",
        lambda _1, _2, statement, parameters, *_: statements.append((statement, parameters)),
    )
    one, other = (chunk.key for chunk in repo.ensure(requests(2)))
    for key in (one, other):
        answer = repo.claim(key, "me", 60)
        assert isinstance(answer, Claimed)
        hold(seen, answer.claim, ONE)
        hold(seen, answer.claim, OTHER)
    repo.renew(Claim(one, "me", 1), 60, Progress())
    repo.advance(Claim(one, "me", 1), Phase.UPLOAD, Progress())
    repo.complete(Claim(one, "me", 1), ChunkResult("file:///b", "0" * 64, 1, 1, 1, Progress(), {}))
    repo.fail(Claim(other, "me", 1), "oh", retry_in=None)
    hold(seen, Claim(one, "me", 1), ONE)
    assert len(list(seen.near("d", NearRule()))) == 1
    seen.release(Claim(one, "me", 1))
    repo.reopen(other)
    repo.cancel("d")
    list(repo.find("d"))
    list(repo.find("d", Status.COMPLETED))
    list(repo.find("d", keyword="cat"))
    list(repo.find("d", Status.COMPLETED, "cat"))
    repo.ensure(requests(3), beside=0)
    repo.assign([one, other], "rq")
    assert len(list(repo.overdue("rq"))) == 0
    assert len(list(repo.overdue(""))) == 1
    repo.free(one)
    repo.summary()
    repo.overview()
    repo.overview("d")
    repo.planned("d", "cat")
    repo.ensure(requests(4), beside=0)
    list(repo.newer("d", one.id))
    assert repo.numbered("d", 3)
    scans = []
    with engine.connect() as connection:
        for statement, parameters in statements.copy():
            if statement.startswith(("SELECT", "UPDATE", "DELETE")) and "pixcore_registry" not in statement:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
                few = "pixcore_counts" in statement or "DISTINCT" in statement  # is sorted, as its rows are few
                scans += [row[3] for row in plan if "SCAN" in row[3] or ("TEMP B-TREE" in row[3] and not few)]
    small = ("pixcore_counts", "every_count", "pixcore_changes", "pixcore_resting_workers", "CONSTANT ROW")
    assert [scan for scan in scans if not scan.startswith(tuple(f"SCAN {table}" for table in small))] == []


def test_an_overview_needs_no_memory_for_its_chunks(database: Engine) -> None:
    """The database counts; only a few numbers are read for thousands of chunks."""
    repo = SqlStatusRepo(database)
    for start in range(0, 5000, 1000):
        repo.ensure(requests(5000)[start : start + 1000])
    repo.overview("d")
    with tracing() as peak:
        overview = repo.overview("d")
        assert peak() < 200_000  # the chunks' requests alone have ten times that size
    assert overview.phases == {Status.PENDING: {Phase.INIT: 5000}}


def test_a_batch_costs_few_statements(database: Engine) -> None:
    """A thousand chunks are planned and assigned in a handful of round trips."""
    statements: list[str] = []
    event.listen(database, "before_cursor_execute", lambda _1, _2, statement, *_: statements.append(statement))
    repo = SqlStatusRepo(database)
    keys = [chunk.key for chunk in repo.ensure(requests(1000))]
    repo.ensure(requests(1000))
    repo.assign(keys, "rq")
    repo.assign(keys, "rq")
    assert len(statements) < 15


def test_a_large_dataset_is_cancelled_in_parts(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """One statement for a million chunks would end at the server's limit; no chunk is left out between two parts."""
    monkeypatch.setattr(statements, "_PART", 3)
    repo = SqlStatusRepo(database)
    keys = [chunk.key for chunk in repo.ensure(requests(9))]
    repo.claim(keys[4], "me", 60)
    assert repo.cancel("d") == 9
    assert repo.overview("d").phases == {Status.FAILED: {Phase.INIT: 8}, Status.PROCESSING: {Phase.INIT: 1}}
    assert repo.overview("d").errors == {"cancelled": 8}


# --- errors


def _subclasses(of: type[Exception]) -> set[type[Exception]]:
    return {of}.union(*map(_subclasses, of.__subclasses__()))


@pytest.mark.parametrize("kind", sorted(_subclasses(exc.SQLAlchemyError), key=lambda kind: kind.__name__))
def test_every_exception_of_sqlalchemy_is_translated(kind: type[Exception]) -> None:
    """Every present and future exception of SQLAlchemy is translated; errors of the connection are transient."""
    error = kind.__new__(kind)
    if isinstance(error, exc.StatementError):
        message = () if isinstance(error, exc.DBAPIError) else ("no luck",)
        error = kind(*message, "SELECT 'a row'", {"password": "secret"}, sqlite3.Error("no luck\nat all"))
    result = translated(error, engine_at("sqlite:////status.db"))
    assert isinstance(result, StatusUnavailable | PermanentError)
    transient = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, exc.DisconnectionError)
    assert isinstance(result, StatusUnavailable) is issubclass(kind, transient)
    assert "sqlite:////status.db" in str(result)
    assert "secret" not in str(result)
    assert "\n" not in str(result)


def _looks(engine: Engine) -> object:
    return SqlStatusRepo(engine).get(ChunkKey("d", 1))


@pytest.mark.parametrize("ask", [check, migrate, _looks])
@pytest.mark.parametrize("content", [b"GIF89a, and no database at all" * 99, b"<!doctype html>"])
def test_another_kind_of_file_is_refused(file: Path, content: bytes, ask: Ask) -> None:
    """The message names the file, and the file does not change."""
    file.write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"status\.db is not an SQLite file; use another path"):
        ask(engine_at(f"sqlite:///{file}"))
    assert file.read_bytes() == content


@pytest.mark.parametrize("ask", [migrate, _looks])
@pytest.mark.parametrize("place", ["no/such/folder/status.db", ""])
def test_a_place_that_cannot_be_opened_is_refused(tmp_path: Path, place: str, ask: Ask) -> None:
    """The folder is missing, or the URL names a folder; the message names the path and the remedy."""
    with pytest.raises(InvalidRequest, match=f"{tmp_path}.* cannot be opened; create its folder"):
        ask(engine_at(f"sqlite:///{tmp_path / place}"))


def test_a_damaged_database_is_refused(engine: Engine, file: Path) -> None:
    """Overwritten pages are not a chunk's failure, and a retry does not help."""
    repo = SqlStatusRepo(engine)
    repo.ensure(requests(500))
    engine.dispose()
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(InvalidRequest, match=r"status\.db is damaged; restore a backup"):
        list(repo.find("d"))


def test_a_database_that_may_only_be_read_is_refused(engine: Engine) -> None:
    """Reading works; the first write raises an error with the remedy."""
    repo = SqlStatusRepo(engine)
    (chunk,) = repo.ensure(requests(1))
    engine.dispose()
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only = ON"))
    assert repo.get(chunk.key).chunk == chunk
    with pytest.raises(InvalidRequest, match=r"cannot be written; get permission to write"):
        repo.claim(chunk.key, "me", 60)


def test_a_database_without_tables_is_refused(file: Path) -> None:
    """A worker that starts without the check gets an error that says how to create the tables."""
    engine = engine_at(f"sqlite:///{file}")
    with pytest.raises(InvalidRequest, match=r"does not have the expected tables; run `pixcore check` once"):
        _looks(engine)
    engine.dispose()


def test_a_full_disk_is_worth_another_try(engine: Engine) -> None:
    """Space may come back, and the budget of failures bounds the retries; no part of the batch is created."""

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 20")

    engine.dispose()
    repo = SqlStatusRepo(engine)
    with pytest.raises(StatusUnavailable, match="full"):
        repo.ensure(requests(1000))
    assert repo.summary() == {}


@pytest.mark.parametrize(
    "write",
    [migrate, lambda engine: SqlStatusRepo(engine).ensure([]), lambda engine: SqlStatusRepo(engine).cancel("d")],
)
def test_a_lock_that_stays_is_worth_another_try(engine: Engine, file: Path, write: Ask) -> None:
    """Readers go on beside a writer; another writer waits, and in the end the database is not available."""
    engine.dispose()
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 1"))
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert SqlStatusRepo(engine).summary() == {}
    with pytest.raises(StatusUnavailable, match=r"status\.db is not available: database is locked"):
        write(engine)
    holder.execute("COMMIT")
    holder.close()
    write(engine)


def test_a_reader_blocks_no_writer(engine: Engine, file: Path) -> None:
    """A command that reads for a long time neither blocks the workers nor sees half of a change."""
    repo = SqlStatusRepo(engine)
    repo.ensure(requests(1))
    engine.dispose()
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 1"))
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    look = "SELECT count(*) FROM pixcore_chunks"
    assert reader.execute(look).fetchone() == (1,)
    repo.ensure(requests(2))
    assert reader.execute(look).fetchone() == (1,)
    reader.close()


def test_a_number_beyond_the_database_is_refused(database: Engine) -> None:
    """A caller's id may be any integer; if it cannot be stored, that is the caller's error."""
    repo = SqlStatusRepo(database)
    huge = ChunkRequest(2**63, "cat", 1, (Slice("urls", "list", 0, 1),))
    for ask in (lambda: repo.ensure([huge]), lambda: repo.get(ChunkKey("", 2**63))):
        with pytest.raises(InvalidRequest, match="cannot store such a large number"):
            ask()


@pytest.mark.parametrize("dataset", ["a\0b", "caf\udce9"], ids=["nul", "surrogate"])
def test_text_that_no_database_holds_is_refused(database: Engine, dataset: str) -> None:
    """No chunk has such a name, so the request is the caller's error."""
    with pytest.raises(InvalidRequest):
        SqlStatusRepo(database).get(ChunkKey(dataset, 1))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("status.db", "cannot be parsed; write it like sqlite:///"),
        ("sqlite://host:port/status.db", "cannot be parsed; write it like sqlite:///"),
        (
            "postgresql://me:secret@host/db",
            r"me:\*\*\*@host/db is not the URL of a status database; write it like sqlite:///",
        ),
        (
            "postgresql+psycopg://me:secret@host",
            r"me:\*\*\*@host is not the URL of a status database; .* or postgresql\+psycopg://",
        ),
        ("sqlite+pysqlcipher://:secret@/a.db", "is not the URL of a status database"),
        ("sqlite:///a.db?key=secret", "is not the URL of a status database"),
        ("sqlite://", "is not the URL of a status database"),
        ("sqlite:///:memory:", "is not the URL of a status database"),
    ],
)
def test_a_url_of_anything_else_is_refused(url: str, message: str) -> None:
    """One line shows how to write it, without a password. In memory, every thread would get another database."""
    with pytest.raises(InvalidRequest, match=message) as caught:
        engine_at(url)
    assert "secret" not in str(caught.value)


def test_a_foreign_engine_is_refused() -> None:
    """Its statements would not be separate transactions."""
    with pytest.raises(InvalidRequest, match="is not an engine of a status database; pass a URL"):
        SqlStatusRepo(create_engine("sqlite+pysqlite://"))


def test_nothing_connects_before_it_must(file: Path) -> None:
    """An engine and its repository may be created before a fork, and before the folder exists."""
    SqlStatusRepo(f"sqlite:///{file.parent}/later/status.db")
    assert list(file.parent.iterdir()) == []


def test_the_file_stays_when_the_current_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that changes its folder opens the next connection to the same database."""
    monkeypatch.chdir(tmp_path)
    engine = engine_at("sqlite:///./status.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    migrate(engine)
    engine.dispose()
    assert (tmp_path / "status.db").is_file()


def test_the_databases_own_clock_counts_seconds(database: Engine) -> None:
    """Leases use the database's time, to a fraction of a second."""
    repo = SqlStatusRepo(database)
    (chunk,) = repo.ensure(requests(1))
    assert isinstance(repo.claim(chunk.key, "me", 1000), Claimed)
    answer = repo.claim(chunk.key, "other", 1000)
    assert isinstance(answer, Busy)
    assert 900 < answer.retry_in <= 1000
    record = repo.get(chunk.key)
    assert record.lease_left <= answer.retry_in


def _url(database: Engine) -> str:
    return database.url.render_as_string(hide_password=False)
