"""The status database on PostgreSQL: who is let in, what its errors mean, how it plans, and what a restart does."""

import logging
import re
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

import databases
import psycopg
import pytest
from contract.seen_images import ONE, OTHER, hold, image
from contract.status_repo import MAX_FAILURES, Clock, claimed, made, request, result
from servers import postgres as server
from servers.addresses import Postgres
from servers.fixtures import Own
from sqlalchemy import URL, Engine, Float, String, bindparam, event, exc, inspect, make_url, select

from pixcore.errors import InvalidRequest, PermanentError, StatusUnavailable
from pixcore.model.chunks import Claim, Claimed, Phase, Progress, Status
from pixcore.model.quality import NearRule
from pixcore_adapters.status_repo.database import dialect_of, engine_at, transaction, translated
from pixcore_adapters.status_repo.schema import chunks, seen_images
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages
from pixcore_adapters.status_repo.upgrade import check, migrate

Answer = TypeVar("Answer")


@pytest.fixture
def engine(postgres: Postgres) -> Iterator[Engine]:
    """Give an empty database."""
    with databases.postgres(postgres) as engine:
        yield engine


@contextmanager
def connected(url: str | URL) -> Iterator[Engine]:
    """Give the engine of a database, and close it."""
    with databases.closing_connections(engine_at(url)) as engine:
        yield engine


@pytest.fixture
def run_sql(postgres: Postgres) -> Iterator[Callable[[str], object]]:
    """Give the means to change the server itself."""
    with psycopg.connect(postgres.url(driver="postgresql"), autocommit=True) as connection:
        yield connection.execute


# --- who is let in


@pytest.mark.parametrize("place", ["PGPASSWORD", "PGPASSFILE"])
def test_the_password_comes_from_where_it_does_for_every_client(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    """URLs are shown, so the settings allow none in them: the environment has it, or a file of its user's."""
    password = str(engine.url.password)
    if place == "PGPASSFILE":
        file = tmp_path / "pgpass"
        file.touch(0o600)
        file.write_text(f"*:*:*:*:{password}\n")
        password = str(file)
    monkeypatch.setenv(place, password)
    bare = engine.url
    url = URL.create(bare.drivername, bare.username, None, bare.host, bare.port, bare.database, bare.query)
    with connected(url.render_as_string(hide_password=False)) as other:
        check(other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong"}, "rejected the login; check the user, and the password in PGPASSWORD"),
        ({"password": ""}, "rejected the login; check the user, and the password in PGPASSWORD"),
        ({"username": "nobody"}, "rejected the login.*nobody"),
        ({"database": "nothing"}, "/nothing does not exist; create it with createdb"),
        ({"query": {"sslmode": "nonsense"}}, "is not available.*sslmode"),
        ({"query": {"nonsense": "1"}}, "refused a statement.*nonsense"),
    ],
    ids=["password", "no_password", "user", "database", "option", "unknown_option"],
)
@pytest.mark.parametrize("ask", [check, migrate])
def test_a_login_that_is_refused_says_why(
    postgres: Postgres, change: dict[str, str], said: str, ask: Callable[[Engine], None]
) -> None:
    """One line names the login and the remedy, though the protocol tells clients no code."""
    with connected(make_url(postgres.url()).set(**change)) as engine:  # type: ignore[arg-type]  # one of its own
        with pytest.raises((InvalidRequest, StatusUnavailable, PermanentError), match=said) as caught:
            ask(engine)
        assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_worth_another_try(postgres: Postgres) -> None:
    """It may be about to start."""
    with (
        connected(make_url(postgres.url()).set(port=1)) as engine,
        pytest.raises(StatusUnavailable, match=r"is not available: connection failed"),
    ):
        check(engine)


def test_a_server_that_never_answers_is_given_up(postgres: Postgres) -> None:
    """Within the time that the URL gives, or else ten seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = make_url(postgres.url()).set(port=silent.getsockname()[1], query={"connect_timeout": "1"})
        with connected(url) as engine, pytest.raises(StatusUnavailable, match="timeout"):
            check(engine)


def test_what_a_user_may_not_do_is_named(engine: Engine, run_sql: Callable[[str], object]) -> None:
    """Whoever has no rights hears that they can be granted, whether he reads or would make the tables."""
    user = databases.new_name()
    run_sql(f"CREATE ROLE {user} LOGIN PASSWORD '{user}'")
    with engine.connect() as connection:
        schema = connection.exec_driver_sql("SELECT current_schema").scalar_one()
    run_sql(f"CREATE SCHEMA {user}")
    run_sql(f"GRANT USAGE ON SCHEMA {schema}, {user} TO {user}")
    asks: dict[str, Callable[[Engine], object]] = {
        schema: lambda engine: SqlStatusRepo(engine).summary(),
        user: migrate,
    }
    for place, ask in asks.items():
        url = engine.url.set(username=user, password=user, query={"options": f"-csearch_path={place}"})
        with (
            connected(url) as reader,
            pytest.raises(InvalidRequest, match=rf"{user}.* denies the user a privilege; .*GRANT"),
        ):
            ask(reader)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-cdefault_transaction_read_only=on", "is read-only; connect to the primary server"),
        ("-csearch_path=nowhere", "has no schema for the tables; create the one that search_path names"),
    ],
    ids=["read_only", "no_schema"],
)
def test_a_place_that_takes_no_tables_is_named(postgres: Postgres, options: str, said: str) -> None:
    """A replica, or a schema that nobody made."""
    url = make_url(postgres.url()).set(query={"options": options})
    with connected(url) as engine, pytest.raises((StatusUnavailable, InvalidRequest), match=said):
        migrate(engine)


def test_without_tables_it_says_how_they_are_made(postgres: Postgres) -> None:
    """A worker that started without checking hears the remedy."""
    with (
        connected(databases.bare_postgres(postgres)) as engine,
        pytest.raises(InvalidRequest, match="does not have the expected tables; run `pixcore check` once"),
    ):
        SqlStatusRepo(engine).summary()


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default installation has none."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidRequest, match=r"pip install 'pixcore\[postgres\]'"):
        engine_at("postgresql+psycopg://user@host/database")


def test_no_password_is_told(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in a log line at the finest level, nor in an exception with all that caused it."""
    caplog.set_level(logging.DEBUG)
    for name in ("sqlalchemy.engine", "sqlalchemy.pool", "psycopg", "psycopg.pool"):
        caplog.set_level(logging.DEBUG, name)
    password = str(engine.url.password)
    with connected(engine.url) as right:
        repo = SqlStatusRepo(right)
        claimed(repo, *made(repo))
        texts = [repr(repo), repr(right)]
    refusals = [engine.url.set(database="nothing"), engine.url.set(username="nobody"), engine.url.set(port=1)]
    for url in refusals:
        with connected(url) as wrong, pytest.raises((InvalidRequest, StatusUnavailable)) as caught:
            check(wrong)
        texts += traceback.format_exception(caught.value)
    assert "pixcore_chunks" in caplog.text
    assert password not in caplog.text + "".join(texts)


# --- what its errors mean

_TRANSIENT = ("08", "40", "53", "57", "58", "72", "25006", "25P03", "25P04", "55006", "55P03")
_REMEDIES = {
    "22003": "such a large number; use smaller chunk ids",
    "22021": "store this text",
    "22P05": "store this text",
    "28000": "rejected the login",
    "28P01": "rejected the login",
    "3D000": "does not exist; create it",
    "3F000": "create the one that search_path names",
    "42501": "GRANT",
    "42703": "expected tables; run `pixcore check`",
    "42P01": "expected tables; run `pixcore check`",
    "57P04": "was dropped; create it again",
    "XX001": "is damaged; restore a backup",
    "XX002": "run REINDEX",
}


def _told(engine: Engine, cause: psycopg.Error) -> Exception:
    """What the port raises for an exception of the driver, as SQLAlchemy wraps it."""
    wrapped = exc.DBAPIError.instance(
        "SELECT 'a row'", {"password": "secret"}, cause, psycopg.Error, dialect=engine.dialect
    )
    assert isinstance(wrapped, exc.DBAPIError)
    return translated(wrapped, engine)


_KINDS = sorted(
    {kind for kind in vars(psycopg.errors).values() if isinstance(kind, type) and issubclass(kind, psycopg.Error)},
    key=lambda k: k.__name__,
)


@pytest.mark.parametrize("kind", [kind for kind in _KINDS if getattr(kind, "sqlstate", None)])
def test_every_error_of_the_server_means_something(kind: type[psycopg.Error]) -> None:
    """What another try may mend is transient, what a user can mend has the remedy, the rest is permanent."""
    engine = engine_at("postgresql+psycopg://me:secret@host/db")
    told = _told(engine, kind("no luck\nDETAIL:  a row"))
    state = str(kind.sqlstate)
    if remedy := _REMEDIES.get(state):
        assert isinstance(told, InvalidRequest)
        assert remedy in str(told)
    else:
        assert isinstance(told, StatusUnavailable if state.startswith(_TRANSIENT) else PermanentError)
        assert not isinstance(told, InvalidRequest)
    assert "postgresql+psycopg://me:***@host/db" in str(told)
    assert "no luck" in str(told)
    assert not {"secret", "a row", "\n"} & {part for part in ("secret", "a row", "\n") if part in str(told)}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.OperationalError("the connection is lost"), StatusUnavailable),
        (psycopg.errors.ConnectionTimeout("connection timeout expired"), StatusUnavailable),
        (psycopg.InterfaceError("the connection is closed"), StatusUnavailable),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), InvalidRequest),
        (psycopg.ProgrammingError("no such thing"), PermanentError),
    ],
    ids=["lost", "timeout", "closed", "nul", "unknown"],
)
def test_errors_of_the_driver_itself_mean_something(error: psycopg.Error, kind: type[Exception]) -> None:
    """They have no code: what concerns the connection is transient."""
    assert isinstance(_told(engine_at("postgresql+psycopg://host/db"), error), kind)


def test_a_stricter_server_is_no_obstacle(engine: Engine) -> None:
    """Serializable by default, it would refuse claims that have nothing to do with each other."""
    options = f"{engine.url.query['options']} -cdefault_transaction_isolation=serializable"
    with connected(engine.url.set(query={"options": options})) as strict, strict.connect() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "read committed"


def test_waits_are_bounded(engine: Engine) -> None:
    """For a lock, for a statement, and for a worker that hangs within a transaction and holds others up."""
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    with engine.connect() as connection:
        waits = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]
    assert waits == ["10s", "1min", "1min"]


@pytest.mark.parametrize(
    "write",
    [migrate, lambda engine: SqlStatusRepo(engine).ensure([]), lambda engine: SqlStatusRepo(engine).cancel("d")],
    ids=["migrate", "ensure", "cancel"],
)
def test_a_lock_that_stays_is_worth_another_try(
    database: Callable[[str], URL], write: Callable[[Engine], object]
) -> None:
    """Reading goes on; who would write waits, and in the end says that the database is not available."""
    url = database("")  # the lock of a migration is a database's: other tests may not hold it for a moment
    with connected(url) as engine, connected(url) as held, connected(url) as kept_out:
        migrate(engine)
        repo = SqlStatusRepo(engine)
        made(repo)
        event.listen(kept_out, "connect", lambda connection, _: connection.execute("SET lock_timeout = 1"))
        with transaction(held) as holder:
            dialect_of(held).lock(holder)
            holder.exec_driver_sql("SELECT * FROM pixcore_registry, pixcore_chunks FOR UPDATE")
            assert repo.summary()
            with pytest.raises(StatusUnavailable, match=r"is not available .*lock timeout"):
                write(kept_out)
        write(kept_out)


# --- what it holds, and in which order


@pytest.fixture
def database(postgres: Postgres, run_sql: Callable[[str], object]) -> Iterator[Callable[[str], URL]]:
    """Give the means to make a database with options of its own."""
    name = databases.new_name()

    def make(options: str) -> URL:
        run_sql(f"CREATE DATABASE {name} TEMPLATE template0 {options}")
        return make_url(postgres.url(name))

    yield make
    run_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_names_are_in_the_order_of_code_points_whatever_the_language(engine: Engine) -> None:
    """Dictionaries sort otherwise, and an upgrade of the server's dictionaries breaks indices that follow them."""
    names = {table.name: [column.name for column in table.primary_key] for table in (chunks, seen_images)}
    with engine.connect() as connection:
        collations = {
            name: column["type"].collation
            for table in names
            for column in inspect(connection).get_columns(table)
            if (name := column["name"]) in names[table] and isinstance(column["type"], String)
        }
    assert collations == {"dataset": "C", "sha256": "C"}


def test_text_that_the_encoding_has_not_is_refused(database: Callable[[str], URL]) -> None:
    """The message says which encoding the database needs."""
    with connected(database("ENCODING 'LATIN1' LOCALE 'C'")) as engine:
        migrate(engine)
        repo = SqlStatusRepo(engine)
        assert repo.get(*made(repo, 1, "Ä"))
        with pytest.raises(InvalidRequest, match="cannot store this text; create it with ENCODING 'UTF8'"):
            made(repo, 1, "猫")


def test_time_goes_on_within_a_transaction(engine: Engine) -> None:
    """The server's now() would stand still, and a lease that was given late in one would be short."""
    now = select(dialect_of(engine).now)
    with transaction(engine) as connection:
        before = connection.execute(now).scalar_one()
        connection.exec_driver_sql("SELECT pg_sleep(0.01)")
        assert connection.execute(now).scalar_one() > before
        millisecond = select(dialect_of(engine).now * 1000)
        assert connection.execute(millisecond).scalar_one() % 1 in (
            0,
            pytest.approx(0, abs=0.01),
            pytest.approx(1, 0.01),
        )


# --- a million chunks


@pytest.mark.parametrize("size", [100_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("datasets", [1, 20])
def test_no_call_reads_a_whole_table(database: Callable[[str], URL], size: int, datasets: int) -> None:
    """The planner knows how many rows there are, and goes by an index; only the summary walks one, without the rows."""
    with connected(database("")) as engine:  # its own: transactions of other tests would keep VACUUM from its work
        migrate(engine)
        repo, seen = SqlStatusRepo(engine), SqlSeenImages(engine)
        one, other = (claimed(repo, key) for key in made(repo, 2, "d0"))
        hold(seen, one, ONE)
        _fill(engine, size, datasets)
        plans = _plans(engine)
        for claim in (one, other):
            repo.renew(claim, 60, Progress())
            repo.advance(claim, Phase.UPLOAD, Progress())
            for number in (1, 2):
                hold(seen, claim, image(number))
        hold(seen, claimed(repo, *made(repo, 1, "small")), OTHER)
        repo.complete(one, result(1))
        repo.fail(other, "oh", retry_in=None)
        repo.reopen(other.chunk)
        seen.release(other)
        assert list(seen.near("d0", NearRule(0, 0)))
        next(repo.find("d0"))
        next(repo.find("d0", Status.COMPLETED))
        next(repo.find("d0", keyword="cat"))
        next(repo.find("d0", Status.COMPLETED, "cat"))
        assert not list(repo.find("d0", keyword="dog"))
        repo.ensure([request(-(-size // 10) * 10 + 7, "d0", "dog")], beside=0)
        repo.assign([one.chunk, other.chunk], "rq")
        assert [record.chunk.key for record in repo.overdue("rq")] == [other.chunk]
        assert next(repo.overdue(""))
        repo.free(other.chunk)
        repo.summary()
        repo.cancel("small")  # of a large dataset it changes most of the table, and may well read it
    assert len(plans) > 10
    assert [plan for plan in plans if "Seq Scan on pixcore_" in plan] == []
    assert any("Index Only Scan using pixcore_chunks_by_status" in plan for plan in plans)


def test_a_dataset_that_grew_quickly_is_not_read_for_every_batch(engine: Engine) -> None:
    """The planner still believes it small, and would take any index that begins with its name."""
    repo = SqlStatusRepo(engine)
    keys = made(repo, 2000)
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE pixcore_chunks")
        connection.exec_driver_sql(
            """INSERT INTO pixcore_chunks
            (dataset, id, chunk_index, request, status, phase, attempt, failures, owner, lease_expires_at, due_at,
                cancel_requested, progress, result, error, revision, queue, keyword_sha256, accepted, claimed_at)
            SELECT dataset, id + 10000 * n, chunk_index + 10000 * n, request, status, phase, attempt, failures, owner,
                lease_expires_at, due_at, cancel_requested, progress, result, error, revision, queue, keyword_sha256,
                accepted, claimed_at
            FROM pixcore_chunks, generate_series(1, 20) n"""
        )
    plans = _plans(engine)
    repo.assign(keys[:1000], "rq")
    made(repo, 1000)
    assert len(plans) == 3
    assert [plan for plan in plans if not re.search(r"Index Cond: .*(\bid|chunk_index) >=", plan)] == []


def _fill(engine: Engine, size: int, datasets: int) -> None:
    """Copy the chunk and the image that are there: 500 images a chunk, and the planner's statistics of them."""
    chunks = """INSERT INTO pixcore_chunks
        (dataset, id, chunk_index, request, status, phase, attempt, failures, owner, lease_expires_at, due_at,
            cancel_requested, progress, result, error, revision, queue, keyword_sha256, accepted, claimed_at)
        SELECT 'd' || mod(n, {1}), n, n, request, (ARRAY['completed', 'pending', 'failed'])[mod(n, 3) + 1], phase,
            attempt, failures, owner, lease_expires_at, due_at, cancel_requested, progress, result, error, revision,
            queue, keyword_sha256, accepted, claimed_at
        FROM (SELECT * FROM pixcore_chunks WHERE id = 1) one, generate_series(10, {0}) n"""
    images = """INSERT INTO pixcore_seen_images
            (dataset, sha256, chunk_id, attempt, url, phash, dhash, hash_method, flat)
        SELECT 'd' || mod(n / 500, {1}), encode(sha256(n::text::bytea), 'hex'), 10 + n / 500, 1, url, n, n,
            hash_method, flat
        FROM pixcore_seen_images, generate_series(1, {0}) n"""
    with engine.connect() as connection:
        for statement in (chunks, images, "VACUUM ANALYZE pixcore_chunks", "VACUUM ANALYZE pixcore_seen_images"):
            connection.exec_driver_sql(statement.format(size, datasets))


def _plans(engine: Engine) -> list[str]:
    """From now on, the plan of every statement that is sent, as of that moment."""
    plans: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _(_1: object, _2: object, statement: str, parameters: dict[str, object], *_3: object) -> None:
        looks = statement.startswith(("SELECT", "UPDATE", "DELETE")) and "pixcore_registry" not in statement
        if looks and "FROM pg_catalog" not in statement:
            with explaining.connect() as connection:
                plans.append("\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()))

    explaining = engine_at(engine.url)
    event.listen(engine, "engine_disposed", lambda _: explaining.dispose())
    return plans


# --- a restart


def test_a_restart_between_two_calls_goes_unnoticed(own: Own) -> None:
    """While it is down the database is not available; no call meets a connection of before."""
    mine = own(server.prepare)
    with connected(mine.address.url()) as engine:
        migrate(engine)
        repo = SqlStatusRepo(engine)
        (key,) = made(repo)
        for looked_at_when_down in (False, True):
            with ThreadPoolExecutor(4) as pool:  # so that several connections are kept
                assert {record.chunk.key for record in pool.map(lambda _: repo.get(key), range(100))} == {key}
            mine.stop()
            if looked_at_when_down:
                with pytest.raises(StatusUnavailable, match="is not available"):
                    repo.get(key)
            mine.start()
        assert repo.get(key).chunk.key == key


def test_a_restart_in_the_middle_loses_and_doubles_nothing(own: Own) -> None:
    """Four workers go on as soon as the server is back: in the end every chunk is complete, by one claim an attempt."""
    mine = own(server.prepare)
    clock, up, guard = Clock(), Event(), Lock()
    answers: list[Claim] = []
    up.set()

    def insist(call: Callable[[], Answer]) -> Answer:
        while True:
            try:
                return call()
            except StatusUnavailable:
                assert up.wait(60)

    def restart(claim: Claim) -> None:
        up.clear()
        mine.stop()
        with pytest.raises(StatusUnavailable):
            repo.renew(claim, 60, Progress())
        mine.start()
        up.set()

    def work(owner: str) -> None:
        for key in keys:
            answer = insist(lambda key=key: repo.claim(key, owner, 60))  # type: ignore[misc]  # mypy cannot tell it
            if isinstance(answer, Claimed):
                with guard:
                    answers.append(answer.claim)
                    middle = len(answers) in (50, 120)
                if middle:
                    restart(answer.claim)
                insist(lambda claim=answer.claim: repo.renew(claim, 60, Progress()))  # type: ignore[misc]  # the same
                insist(lambda claim=answer.claim: repo.complete(claim, result(claim.attempt)))  # type: ignore[misc]

    with connected(mine.address.url()) as engine:
        migrate(engine)
        repo = SqlStatusRepo(engine, MAX_FAILURES, bindparam("now", callable_=clock, type_=Float))
        keys = [chunk.key for chunk in repo.ensure([request(index) for index in range(200)])]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, "abcd"))
        clock.advance(60)  # a claim whose answer was lost with the server
        work("last")
        records = list(repo.find("d"))
    assert len(set(answers)) == len(answers)
    assert [record.status for record in records] == [Status.COMPLETED] * 200
    assert {(record.chunk.key, record.attempt) for record in records} <= {(a.chunk, a.attempt) for a in answers}
    assert all(record.result == result(record.attempt) for record in records)
