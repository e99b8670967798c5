"""The SQL database behind the adapters: its engine, its transactions, its time and its exceptions.

Whatever is true of SQLite alone is here; the other modules speak SQL that PostgreSQL reads as well.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakSet

from sqlalchemy import URL, ColumnElement, Connection, Engine, Float, Pool, create_engine, event, exc, func, make_url

from pixcore.errors import InvalidRequest, PermanentError, PixcoreError, StatusUnavailable

# Seconds since 1970 by the database's clock, to the millisecond; unixepoch('subsec') needs SQLite 3.42.
NOW: ColumnElement[float] = (func.julianday("now", type_=Float()) - 2440587.5) * 86400.0

# Result codes of SQLite, and what each means to a user. Locked, full, I/O error and the like are worth another try.
_REFUSALS = {
    "SQLITE_NOTADB": "is another kind of file; name a new one",
    "SQLITE_CORRUPT": "is damaged; restore a copy or name a new file",
    "SQLITE_CANTOPEN": "cannot be opened; make its folder, or get the right to use it",
    "SQLITE_READONLY": "cannot be written; get the right to write the file and its folder",
    "SQLITE_PERM": "cannot be used; get the right to read and write the file",
    "SQLITE_ERROR": "does not have the expected tables; run any pixcore command once to make them",
}

_IMMEDIATE = "pixcore_immediate"
_engines: WeakSet[Engine] = WeakSet()
_inherited: list[Pool] = []


def engine_at(url: str | URL | Engine) -> Engine:
    """The engine of a status database, which connects on first use; an engine that this made passes through.

    It may be shared among threads, and a process that forks while it holds one may go on using it on both sides.

    Raises:
        InvalidRequest: Not the URL of an SQLite file.
    """
    if isinstance(url, Engine):
        return url
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError) as error:  # its text may quote the URL and so a password
        raise InvalidRequest("the status URL cannot be read; write it like sqlite:///./status.db") from error
    file = parsed.database
    if parsed.drivername != "sqlite" or parsed.query or not file or file.startswith(":"):
        raise InvalidRequest(f"status {name_of(parsed)} is no plain SQLite file; write it like sqlite:///./status.db")
    # absolute, because connections are opened at any time and the current folder may change
    engine = create_engine(parsed.set(database=str(Path(file).absolute())), isolation_level="AUTOCOMMIT")
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    _engines.add(engine)
    return engine


@contextmanager
def autocommit(engine: Engine) -> Iterator[Connection]:
    """A connection on which every statement is a transaction of its own.

    Raises:
        PixcoreError: Whatever the database raises, translated.
    """
    try:
        with engine.connect() as connection:
            yield connection
    except (exc.SQLAlchemyError, OverflowError) as error:
        raise translated(error, name_of(engine.url)) from error


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A connection in one transaction that may read before it writes, all or nothing.

    Raises:
        PixcoreError: Whatever the database raises, translated.
    """
    with autocommit(engine.execution_options(**{_IMMEDIATE: True})) as connection, connection.begin():
        yield connection


def file_of(engine: Engine) -> Path:
    """The file of the database."""
    return Path(engine.url.database or "")


def use_write_ahead_log(engine: Engine) -> None:
    """Let readers and one writer work side by side; the file itself keeps this setting."""
    with autocommit(engine) as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def translated(error: Exception, name: str) -> PixcoreError:
    """What a port may raise for an exception of SQLAlchemy or sqlite3, about the database of that name."""
    cause = getattr(error, "orig", None) or error
    reason = str(cause).partition("\n")[0]
    code: str = getattr(cause, "sqlite_errorname", "")
    for start, remedy in _REFUSALS.items():
        if code.startswith(start):
            return InvalidRequest(f"status database {name} {remedy} ({reason})")
    if isinstance(cause, OverflowError):
        return InvalidRequest(f"status database {name} cannot hold so large a number; use smaller chunk ids")
    if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError | exc.DisconnectionError):
        return StatusUnavailable(f"status database {name} is not available: {reason}")
    return PermanentError(f"status database {name} refused a statement: {reason}")


def name_of(url: URL) -> str:
    """The URL as it may be shown to anybody."""
    return url.set(query={}).render_as_string(hide_password=True)


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin(connection: Connection) -> None:
    # sqlite3 is told to leave transactions alone (AUTOCOMMIT), so the ones that are wanted begin here
    if connection.get_execution_options().get(_IMMEDIATE):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _forget_connections() -> None:
    # SQLite's connections must be neither used nor closed after a fork, so the child keeps them aside for ever
    for engine in _engines:
        _inherited.append(engine.pool)
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)
