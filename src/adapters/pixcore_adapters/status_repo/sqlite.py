"""SQLite: one file for all processes of one machine."""

import sqlite3
from pathlib import Path

from sqlalchemy import URL, BigInteger, Connection, Engine, Float, cast, create_engine, event, func
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from pixcore.errors import InvalidRequest
from pixcore_adapters.status_repo.dialect import Dialect

_IMMEDIATE = "pixcore_immediate"
_BUSY = 10  # seconds to wait for another process's lock


def _names_a_file(url: URL) -> bool:
    # rejects :memory:, because every connection would get a database of its own
    return bool(url.database) and not str(url.database).startswith(":") and not url.query


def _engine(url: URL) -> Engine:
    # absolute, because a connection may be opened after the current folder has changed
    file = url.set(database=str(Path(url.database or "").absolute()))
    engine = create_engine(file, isolation_level="AUTOCOMMIT")
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {_BUSY * 1000}")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin(connection: Connection) -> None:
    # AUTOCOMMIT keeps sqlite3 from beginning transactions, so the engine begins them here
    if connection.get_execution_options().get(_IMMEDIATE):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _exists(engine: Engine) -> bool:
    try:
        Path(engine.url.database or "").stat()
    except FileNotFoundError:
        return False
    except OSError:
        pass  # connecting will raise the exact error
    return True


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, OperationalError) and _code(error.orig or error).startswith("SQLITE_BUSY")


# If two connections change the mode at once, SQLite rejects one immediately, because waiting could deadlock.
@retry(retry=retry_if_exception(_is_busy), stop=stop_after_delay(_BUSY), wait=wait_random(0.01, 0.1), reraise=True)
def _use_write_ahead_log(connection: Connection) -> None:
    # readers do not block the writer, nor the writer them; the setting is stored in the file
    connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def _code(cause: BaseException) -> str:
    return getattr(cause, "sqlite_errorname", "")


SQLITE = Dialect(
    names=_names_a_file,
    engine=_engine,
    exists=_exists,
    transactional={_IMMEDIATE: True},
    before_migration=_use_write_ahead_log,
    lock=lambda _: None,  # BEGIN IMMEDIATE has taken the lock
    now=(func.julianday("now", type_=Float()) - 2440587.5) * 86400.0,  # unixepoch('subsec') needs SQLite 3.42
    # the text after the name begins with the number, at which the cast stops; the quotes are as in ``POSTGRES``
    number_in=lambda column, name: cast(
        func.substr(column, func.instr(column, f'"{name}": ') + len(f'"{name}": ')), BigInteger
    ),
    insert=insert,
    code=_code,
    # other codes (locked, full, I/O error) are transient
    meanings={
        "SQLITE_NOTADB": (InvalidRequest, "is not an SQLite file; use another path"),
        "SQLITE_CORRUPT": (InvalidRequest, "is damaged; restore a backup or use another path"),
        "SQLITE_CANTOPEN": (InvalidRequest, "cannot be opened; create its folder, or get permission to use it"),
        "SQLITE_READONLY": (InvalidRequest, "cannot be written; get permission to write the file and its folder"),
        "SQLITE_PERM": (InvalidRequest, "cannot be accessed; get permission to read and write the file"),
        "SQLITE_ERROR": (
            InvalidRequest,
            "does not have the expected tables; run `pixcore check` once to create them",
        ),
    },
)
