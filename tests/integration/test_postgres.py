"""The status database on PostgreSQL: logins, errors, query plans and restarts."""

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
from attrs import evolve
from contract.seen_images import ONE, OTHER, hold, image
from contract.status_repo import MAX_FAILURES, Clock, claim_chunk, claims, create_chunks, listed, request, result
from servers import postgres as server
from servers.addresses import Postgres
from servers.fixtures import Own
from sqlalchemy import URL, Engine, Float, String, bindparam, event, exc, inspect, make_url, select

from pixcore.errors import InvalidRequest, PermanentError, StatusUnavailable
from pixcore.model.chunks import Claim, Phase, Progress, Status
from pixcore.model.claims import Claimed
from pixcore.model.quality import NearRule
from pixcore_adapters.status_repo.database import dialect_of, engine_at, transaction, translated
from pixcore_adapters.status_repo.schema import chunks, seen_images
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages
from pixcore_adapters.status_repo.upgrade import check, migrate

Answer = TypeVar("Answer")


@pytest.fixture
def engine(postgres: Postgres) -> Iterator[Engine]:
    """Return an empty database."""
    with databases.postgres(postgres) as engine:
        yield engine


@contextmanager
def connected(url: str | URL) -> Iterator[Engine]:
    """Yield the engine of a database, and dispose of it."""
    with databases.closing_connections(engine_at(url)) as engine:
        yield engine


@pytest.fixture
def run_sql(postgres: Postgres) -> Iterator[Callable[[str], object]]:
    """Return a function that changes the server."""
    with psycopg.connect(postgres.url(driver="postgresql"), autocommit=True) as connection:
        yield connection.execute


# --- logins


@pytest.mark.parametrize("place", ["PGPASSWORD", "PGPASSFILE"])
def test_the_password_comes_from_where_it_does_for_every_client(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    """The settings reject passwords in URLs, because URLs are printed: the environment or the user's file has it."""
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
    ("change", "message"),
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
    postgres: Postgres, change: dict[str, str], message: str, ask: Callable[[Engine], None]
) -> None:
    """One line names the login and the remedy, although the protocol sends clients no code."""
    with connected(make_url(postgres.url()).set(**change)) as engine:  # type: ignore[arg-type]  # one of its own
        with pytest.raises((InvalidRequest, StatusUnavailable, PermanentError), match=message) as caught:
            ask(engine)
        assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_worth_another_try(postgres: Postgres) -> None:
    """The server may be starting."""
    with (
        connected(make_url(postgres.url()).set(port=1)) as engine,
        pytest.raises(StatusUnavailable, match=r"is not available: connection failed"),
    ):
        check(engine)


def test_a_server_that_never_answers_is_given_up(postgres: Postgres) -> None:
    """The timeout is that of the URL, or ten seconds by default."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = make_url(postgres.url()).set(port=silent.getsockname()[1], query={"connect_timeout": "1"})
        with connected(url) as engine, pytest.raises(StatusUnavailable, match="timeout"):
            check(engine)


def test_a_missing_privilege_is_named(engine: Engine, run_sql: Callable[[str], object]) -> None:
    """A user without privileges learns that they can be granted, for reading and for creating the tables."""
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
    ("options", "message"),
    [
        ("-cdefault_transaction_read_only=on", "is read-only; connect to the primary server"),
        ("-csearch_path=nowhere", "has no schema for the tables; create the one that search_path names"),
    ],
    ids=["read_only", "no_schema"],
)
def test_a_place_that_takes_no_tables_is_named(postgres: Postgres, options: str, message: str) -> None:
    """A replica, or a schema that does not exist."""
    url = make_url(postgres.url()).set(query={"options": options})
    with connected(url) as engine, pytest.raises((StatusUnavailable, InvalidRequest), match=message):
        migrate(engine)


def test_without_tables_it_says_how_they_are_made(postgres: Postgres) -> None:
    """A worker that starts without the check gets an error with the remedy."""
    with (
        connected(databases.bare_postgres(postgres)) as engine,
        pytest.raises(InvalidRequest, match="does not have the expected tables; run `pixcore check` once"),
    ):
        SqlStatusRepo(engine).summary()


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default installation has no driver."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidRequest, match=r"pip install 'pixcore\[postgres\]'"):
        engine_at("postgresql+psycopg://user@host/database")


def test_no_password_is_logged_or_raised(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """The password must not be in a log line of any level, or in an exception and its causes."""
    caplog.set_level(logging.DEBUG)
    for name in ("sqlalchemy.engine", "sqlalchemy.pool", "psycopg", "psycopg.pool"):
        caplog.set_level(logging.DEBUG, name)
    password = str(engine.url.password)
    with connected(engine.url) as right:
        repo = SqlStatusRepo(right)
        claim_chunk(repo, *create_chunks(repo))
        texts = [repr(repo), repr(right)]
    refusals = [engine.url.set(database="nothing"), engine.url.set(username="nobody"), engine.url.set(port=1)]
    for url in refusals:
        with connected(url) as wrong, pytest.raises((InvalidRequest, StatusUnavailable)) as caught:
            check(wrong)
        texts += traceback.format_exception(caught.value)
    assert "pixcore_chunks" in caplog.text
    assert password not in caplog.text + "".join(texts)


# --- the meaning of errors

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


def _raised(engine: Engine, cause: psycopg.Error) -> Exception:
    """Return what the port raises for an exception of the driver, as SQLAlchemy wraps it."""
    wrapped = exc.DBAPIError.instance(
        "SELECT 'a row'", {"password": "secret"}, cause, psycopg.Error, dialect=engine.dialect
    )
    assert isinstance(wrapped, exc.DBAPIError)
    return translated(wrapped, engine)


_KINDS = sorted(
    {kind for kind in vars(psycopg.errors).values() if isinstance(kind, type) and issubclass(kind, psycopg.Error)},
    key=lambda k: k.__name__,
)


def test_every_error_of_the_server_means_something() -> None:
    """An error that a retry may fix is transient, one that the user can fix names the remedy, the rest is permanent."""
    engine = engine_at("postgresql+psycopg://me:secret@host/db")
    kinds = [kind for kind in _KINDS if getattr(kind, "sqlstate", None)]
    assert {str(kind.sqlstate) for kind in kinds} >= _REMEDIES.keys()
    for kind in kinds:
        raised = _raised(engine, kind("no luck\nDETAIL:  a row"))
        state = str(kind.sqlstate)
        if remedy := _REMEDIES.get(state):
            assert isinstance(raised, InvalidRequest), kind
            assert remedy in str(raised), kind
        else:
            assert isinstance(raised, StatusUnavailable if state.startswith(_TRANSIENT) else PermanentError), kind
            assert not isinstance(raised, InvalidRequest), kind
        assert "postgresql+psycopg://me:***@host/db" in str(raised), kind
        assert "no luck" in str(raised), kind
        assert [part for part in ("secret", "a row", "\n") if part in str(raised)] == [], kind


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
    """They have no code; those of the connection are transient."""
    assert isinstance(_raised(engine_at("postgresql+psycopg://host/db"), error), kind)


def test_a_stricter_server_is_no_obstacle(engine: Engine) -> None:
    """Serializable by default, it would reject claims that do not conflict."""
    options = f"{engine.url.query['options']} -cdefault_transaction_isolation=serializable"
    with connected(engine.url.set(query={"options": options})) as strict, strict.connect() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "read committed"


def test_waits_are_bounded(engine: Engine) -> None:
    """For a lock, for a statement, and for a worker that hangs in a transaction and blocks others."""
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
    """Readers go on; a writer waits, and in the end the database is not available."""
    url = database("")  # a migration locks the whole database, so other tests must not hold it
    with connected(url) as engine, connected(url) as held, connected(url) as kept_out:
        migrate(engine)
        repo = SqlStatusRepo(engine)
        create_chunks(repo)
        event.listen(kept_out, "connect", lambda connection, _: connection.execute("SET lock_timeout = 1"))
        with transaction(held) as holder:
            dialect_of(held).lock(holder)
            holder.exec_driver_sql("SELECT * FROM pixcore_registry, pixcore_chunks FOR UPDATE")
            assert repo.summary()
            with pytest.raises(StatusUnavailable, match=r"is not available .*lock timeout"):
                write(kept_out)
        write(kept_out)


# --- text and order


@pytest.fixture
def database(postgres: Postgres, run_sql: Callable[[str], object]) -> Iterator[Callable[[str], URL]]:
    """Return a function that creates a database with its own options."""
    name = databases.new_name()

    def make(options: str) -> URL:
        run_sql(f"CREATE DATABASE {name} TEMPLATE template0 {options}")
        return make_url(postgres.url(name))

    yield make
    run_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_names_are_in_the_order_of_code_points_whatever_the_language(engine: Engine) -> None:
    """Locales sort differently, and an upgrade of the server's locales corrupts indexes that use them."""
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
    """The message names the encoding that the database needs."""
    with connected(database("ENCODING 'LATIN1' LOCALE 'C'")) as engine:
        migrate(engine)
        repo = SqlStatusRepo(engine)
        assert repo.get(*create_chunks(repo, 1, "Ä"))
        with pytest.raises(InvalidRequest, match="cannot store this text; create it with ENCODING 'UTF8'"):
            create_chunks(repo, 1, "猫")


def test_time_goes_on_within_a_transaction(engine: Engine) -> None:
    """The server's now() would not advance, so a lease that is taken late in a transaction would be short."""
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
    """The planner knows the number of rows and uses an index; only the few counts are scanned."""
    with connected(
        database("")
    ) as engine:  # a separate database, because transactions of other tests would block VACUUM
        migrate(engine)
        repo, seen = SqlStatusRepo(engine), SqlSeenImages(engine)
        one, other = (claim_chunk(repo, key) for key in create_chunks(repo, 2, "d0"))
        hold(seen, one, ONE)
        _fill(engine, size, datasets)
        plans = _plans(engine)
        for claim in (one, other):
            repo.renew(claim, 60, Progress())
            repo.advance(claim, Phase.UPLOAD, Progress())
            for number in (1, 2):
                hold(seen, claim, image(number))
        hold(seen, claim_chunk(repo, *create_chunks(repo, 1, "small")), OTHER)
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
        (taking,) = claims(repo, evolve(listed(99, 0, 10), dataset="small"))
        assert repo.take(taking, 5, owned=10).candidates == 15
        assert len(repo.allocations("small", "")) == 1
        repo.summary()
        repo.overview()
        assert repo.overview("d0").accepted == 500
        assert repo.planned("small", "cat").chunks == 2
        assert len(list(repo.newer("small", 0))) == 2
        assert repo.numbered("d0", size - size % datasets)
        repo.cancel("small")  # of a large dataset it changes most of the table, and may well read all of it
    assert len(plans) > 10
    scanned = [table for plan in plans for table in re.findall(r"Seq Scan on (pixcore_\w+)", plan)]
    assert set(scanned) <= {"pixcore_counts", "pixcore_resting_workers"}


def test_a_dataset_that_grew_quickly_is_not_read_for_every_batch(engine: Engine) -> None:
    """The planner's statistics are of a small dataset, so it would take any index that begins with its name."""
    repo = SqlStatusRepo(engine)
    keys = create_chunks(repo, 2000)
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE pixcore_chunks")
        connection.exec_driver_sql(
            """INSERT INTO pixcore_chunks
            (dataset, id, chunk_index, request, status, phase, attempt, failures, owner, lease_expires_at, due_at,
                cancel_requested, progress, result, error, revision, queue, keyword_sha256, accepted, claimed_at, taken,
                store, priority, rebuild, error_kind)
            SELECT dataset, id + 10000 * n, chunk_index + 10000 * n, request, status, phase, attempt, failures, owner,
                lease_expires_at, due_at, cancel_requested, progress, result, error, revision, queue, keyword_sha256,
                accepted, claimed_at, taken, store, priority, rebuild, error_kind
            FROM pixcore_chunks, generate_series(1, 20) n"""
        )
    plans = _plans(engine)
    repo.assign(keys[:1000], "rq")
    create_chunks(repo, 1000)
    assert len(plans) == 2
    assert [plan for plan in plans if not re.search(r"Index Cond: .*(\bid|chunk_index) >=", plan)] == []


def _fill(engine: Engine, size: int, datasets: int) -> None:
    """Copy the existing chunk and image, 500 images a chunk, and update the planner's statistics."""
    chunks = """INSERT INTO pixcore_chunks
        (dataset, id, chunk_index, request, status, phase, attempt, failures, owner, lease_expires_at, due_at,
            cancel_requested, progress, result, error, revision, queue, keyword_sha256, accepted, claimed_at, taken,
                store, priority, rebuild, error_kind)
        SELECT 'd' || mod(n, {1}), n, n, request, (ARRAY['completed', 'pending', 'failed'])[mod(n, 3) + 1], phase,
            attempt, failures, owner, lease_expires_at, due_at, cancel_requested, progress, result, error, revision,
            queue, keyword_sha256, accepted, claimed_at, taken, store, priority, rebuild, error_kind
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
    """Collect the plan of every statement that is sent from now on."""
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


# --- restarts


def test_a_restart_between_two_calls_goes_unnoticed(own: Own) -> None:
    """While the server is down the database is not available; no later call uses an old connection."""
    instance = own(server.prepare)
    with connected(instance.address.url()) as engine:
        migrate(engine)
        repo = SqlStatusRepo(engine)
        (key,) = create_chunks(repo)
        for looked_at_when_down in (False, True):
            with ThreadPoolExecutor(4) as pool:  # so that the pool keeps several connections
                assert {record.chunk.key for record in pool.map(lambda _: repo.get(key), range(100))} == {key}
            instance.stop()
            if looked_at_when_down:
                with pytest.raises(StatusUnavailable, match="is not available"):
                    repo.get(key)
            instance.start()
        assert repo.get(key).chunk.key == key


def test_a_restart_in_the_middle_loses_and_doubles_nothing(own: Own) -> None:
    """Four workers go on once the server is back; in the end every chunk is complete, with one claim an attempt."""
    instance = own(server.prepare)
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
        instance.stop()
        with pytest.raises(StatusUnavailable):
            repo.renew(claim, 60, Progress())
        instance.start()
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

    with connected(instance.address.url()) as engine:
        migrate(engine)
        repo = SqlStatusRepo(engine, MAX_FAILURES, bindparam("now", callable_=clock, type_=Float))
        keys = [chunk.key for chunk in repo.ensure([request(index) for index in range(200)])]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, "abcd"))
        clock.advance(60)  # a claim whose answer was lost when the server stopped
        work("last")
        records = list(repo.find("d"))
    assert len(set(answers)) == len(answers)
    assert [record.status for record in records] == [Status.COMPLETED] * 200
    assert {(record.chunk.key, record.attempt) for record in records} <= {(a.chunk, a.attempt) for a in answers}
    assert all(record.result == result(record.attempt) for record in records)
