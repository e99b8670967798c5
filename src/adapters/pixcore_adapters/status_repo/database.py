"""Access to the status database: engines, transactions, translation of exceptions, and safety across a fork."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary, finalize

from sqlalchemy import URL, Connection, Engine, Pool, exc, make_url

from pixcore.errors import InvalidRequest, PermanentError, PixcoreError, StatusUnavailable
from pixcore_adapters.status_repo.dialect import Dialect

_EXAMPLES = "sqlite:///./status.db or postgresql+psycopg://user@host/database"

# each engine with the finalizer that closes its connections
_engines: "WeakKeyDictionary[Engine, finalize[[], Engine]]" = WeakKeyDictionary()
_inherited: list[Pool] = []


def engine_at(url: str | URL | Engine) -> Engine:
    """Create the engine of a status database; return an engine that is passed in unchanged.

    The engine connects on first use. Threads may share it, and after a fork both processes may go on using it. Its
    connections are closed when the last reference to it is gone.

    Raises:
        InvalidRequest: The URL is not that of an SQLite file or of a PostgreSQL database, or the driver is not
            installed.
    """
    if isinstance(url, Engine):
        return url
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError) as error:  # its text may quote the URL and with it a password
        raise InvalidRequest(f"the status URL cannot be parsed; write it like {_EXAMPLES}") from error
    dialect = _dialect(parsed)
    if dialect is None or not dialect.names(parsed):
        raise InvalidRequest(f"{name_of(parsed)} is not the URL of a status database; write it like {_EXAMPLES}")
    engine = dialect.engine(parsed)
    _engines[engine] = finalize(engine, engine.pool.dispose)
    return engine


def dialect_of(engine: Engine) -> Dialect:
    """Return the dialect of an engine's database."""
    dialect = _dialect(engine.url)
    if dialect is None:
        raise InvalidRequest(f"{engine!r} is not an engine of a status database; pass a URL like {_EXAMPLES}")
    return dialect


@contextmanager
def autocommit(engine: Engine) -> Iterator[Connection]:
    """Open a connection on which every statement is a transaction of its own.

    Raises:
        PixcoreError: The database raised an exception; see ``translated``.
    """
    try:
        with engine.connect() as connection:
            yield connection
    except (exc.SQLAlchemyError, OverflowError, UnicodeEncodeError) as error:
        raise translated(error, engine) from error


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Open a connection with one transaction, which may read before it writes; commit it, or roll it back on error.

    Raises:
        PixcoreError: The database raised an exception; see ``translated``.
    """
    options = dialect_of(engine).transactional
    with autocommit(engine.execution_options(**options)) as connection, connection.begin():
        yield connection


@contextmanager
def migration(engine: Engine) -> Iterator[Connection]:
    """Open a connection with a transaction that may change tables. Only one runs at a time; others wait here.

    Raises:
        PixcoreError: The database raised an exception; see ``translated``.
    """
    dialect = dialect_of(engine)
    with autocommit(engine) as connection:
        dialect.before_migration(connection)
    with transaction(engine) as connection:
        dialect.lock(connection)
        yield connection


def translated(error: Exception, engine: Engine) -> PixcoreError:
    """Translate an exception of SQLAlchemy or of the driver to one that the port may raise."""
    cause = getattr(error, "orig", None) or error
    reason = str(cause).partition("\n")[0]
    dialect, name = dialect_of(engine), f"status database {name_of(engine.url)}"
    if code := dialect.code(cause):
        prefix = max(filter(code.startswith, dialect.meanings), key=len, default=None)
        if prefix is not None:
            kind, meaning = dialect.meanings[prefix]
            return kind(f"{name} {meaning} ({reason})")
    if isinstance(cause, OverflowError):
        return InvalidRequest(f"{name} cannot store such a large number; use smaller chunk ids")
    if isinstance(cause, UnicodeEncodeError):
        return InvalidRequest(f"{name} cannot store text that is not valid Unicode ({reason})")
    if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError | exc.DisconnectionError):
        return StatusUnavailable(f"{name} is not available: {reason}")
    return PermanentError(f"{name} refused a statement: {reason}")


def file_of(engine: Engine) -> Path:
    """Return the path of an SQLite database's file."""
    return Path(engine.url.database or "")


def name_of(url: URL) -> str:
    """Return the URL without its password and query, so that it is safe to print."""
    return url.set(query={}).render_as_string(hide_password=True)


def _dialect(url: URL) -> Dialect | None:
    match url.drivername:  # imported on use, because SQLAlchemy's dialects are slow to import
        case "sqlite":
            from pixcore_adapters.status_repo.sqlite import SQLITE  # noqa: PLC0415

            return SQLITE
        case "postgresql+psycopg":
            from pixcore_adapters.status_repo.postgres import POSTGRES  # noqa: PLC0415

            return POSTGRES
        case _:
            return None


def _forget_connections() -> None:
    # Parent and child must not both use or close a connection. The child keeps a reference to each inherited pool, so
    # that its connections are never closed, and opens connections of its own.
    for engine, finalizer in list(_engines.items()):
        finalizer.detach()
        _inherited.append(engine.pool)
        engine.dispose(close=False)
        _engines[engine] = finalize(engine, engine.pool.dispose)


os.register_at_fork(after_in_child=_forget_connections)
