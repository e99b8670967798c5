"""The SQL database behind the adapters: its engine, its transactions, its exceptions, its forks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary, finalize

from sqlalchemy import URL, Connection, Engine, Pool, exc, make_url

from pixcore.errors import InvalidRequest, PermanentError, PixcoreError, StatusUnavailable
from pixcore_adapters.status_repo.dialect import Dialect

_EXAMPLES = "sqlite:///./status.db or postgresql+psycopg://user@host/database"

_engines: "WeakKeyDictionary[Engine, finalize[[], Engine]]" = WeakKeyDictionary()  # with what closes their connections
_inherited: list[Pool] = []


def engine_at(url: str | URL | Engine) -> Engine:
    """The engine of a status database, which connects on first use; an engine that this made passes through.

    It may be shared among threads, and a process that forks while it holds one may go on using it on both sides. Its
    connections are closed when nobody holds it any more.

    Raises:
        InvalidRequest: Not the URL of an SQLite file or of a PostgreSQL database; or the driver is not installed.
    """
    if isinstance(url, Engine):
        return url
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError) as error:  # its text may quote the URL and so a password
        raise InvalidRequest(f"the status URL cannot be read; write it like {_EXAMPLES}") from error
    dialect = _dialect(parsed)
    if dialect is None or not dialect.names(parsed):
        raise InvalidRequest(f"status {name_of(parsed)} names no status database; write it like {_EXAMPLES}")
    engine = dialect.engine(parsed)
    _engines[engine] = finalize(engine, engine.pool.dispose)
    return engine


def dialect_of(engine: Engine) -> Dialect:
    """What the kind of the database does in its own way."""
    dialect = _dialect(engine.url)
    if dialect is None:
        raise InvalidRequest(f"{engine!r} is no engine of a status database; give its URL, like {_EXAMPLES}")
    return dialect


@contextmanager
def autocommit(engine: Engine) -> Iterator[Connection]:
    """A connection on which every statement is a transaction of its own.

    Raises:
        PixcoreError: Whatever the database raises, translated.
    """
    try:
        with engine.connect() as connection:
            yield connection
    except (exc.SQLAlchemyError, OverflowError, UnicodeEncodeError) as error:
        raise translated(error, engine) from error


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A connection in one transaction that may read before it writes, all or nothing.

    Raises:
        PixcoreError: Whatever the database raises, translated.
    """
    options = dialect_of(engine).transactional
    with autocommit(engine.execution_options(**options)) as connection, connection.begin():
        yield connection


@contextmanager
def migration(engine: Engine) -> Iterator[Connection]:
    """A connection in the only transaction that changes tables: the second of two processes waits here.

    Raises:
        PixcoreError: Whatever the database raises, translated.
    """
    dialect = dialect_of(engine)
    with autocommit(engine) as connection:
        dialect.before_migration(connection)
    with transaction(engine) as connection:
        dialect.lock(connection)
        yield connection


def translated(error: Exception, engine: Engine) -> PixcoreError:
    """What a port may raise for an exception of SQLAlchemy or of the driver."""
    cause = getattr(error, "orig", None) or error
    reason = str(cause).partition("\n")[0]
    dialect, name = dialect_of(engine), f"status database {name_of(engine.url)}"
    if code := dialect.code(cause):
        begins = max(filter(code.startswith, dialect.meanings), key=len, default=None)
        if begins is not None:
            kind, meaning = dialect.meanings[begins]
            return kind(f"{name} {meaning} ({reason})")
    if isinstance(cause, OverflowError):
        return InvalidRequest(f"{name} cannot hold so large a number; use smaller chunk ids")
    if isinstance(cause, UnicodeEncodeError):
        return InvalidRequest(f"{name} cannot hold text that is not Unicode ({reason})")
    if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError | exc.DisconnectionError):
        return StatusUnavailable(f"{name} is not available: {reason}")
    return PermanentError(f"{name} refused a statement: {reason}")


def file_of(engine: Engine) -> Path:
    """The file of an SQLite database."""
    return Path(engine.url.database or "")


def name_of(url: URL) -> str:
    """The URL as it may be shown to anybody."""
    return url.set(query={}).render_as_string(hide_password=True)


def _dialect(url: URL) -> Dialect | None:
    match url.drivername:  # each is imported on use, because SQLAlchemy's are slow to import
        case "sqlite":
            from pixcore_adapters.status_repo.sqlite import SQLITE  # noqa: PLC0415

            return SQLITE
        case "postgresql+psycopg":
            from pixcore_adapters.status_repo.postgres import POSTGRES  # noqa: PLC0415

            return POSTGRES
        case _:
            return None


def _forget_connections() -> None:
    # A connection must be neither used nor closed on both sides of a fork: the child keeps its copies aside for ever.
    for engine, closing in list(_engines.items()):
        closing.detach()
        _inherited.append(engine.pool)
        engine.dispose(close=False)
        _engines[engine] = finalize(engine, engine.pool.dispose)


os.register_at_fork(after_in_child=_forget_connections)
