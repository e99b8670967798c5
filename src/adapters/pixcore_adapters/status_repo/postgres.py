"""PostgreSQL: one server, for the workers of any number of machines. Psycopg is imported when the first engine is made.

Passwords come from ``PGPASSWORD`` or ``~/.pgpass``, as with every client of PostgreSQL. Options of libpq such as
``sslmode`` may stand in the URL's query.
"""

import re
from typing import TYPE_CHECKING

from sqlalchemy import URL, Engine, Float, Numeric, cast, create_engine, event, extract, func, select
from sqlalchemy.dialects.postgresql import insert

from pixcore.errors import InvalidRequest, PermanentError, StatusUnavailable
from pixcore_adapters.status_repo.dialect import Dialect

if TYPE_CHECKING:
    import psycopg

# libpq's options; what the URL says goes before. A host that has gone is noticed within half a minute.
_OPTIONS = {
    "fallback_application_name": "pixcore",
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
    "client_encoding": "utf8",
}

# By SET and not as start-up options, which poolers such as PgBouncer refuse.
_LIMITS = """
SET default_transaction_isolation = 'read committed';
SET lock_timeout = '10s';
SET statement_timeout = '60s';
SET idle_in_transaction_session_timeout = '60s'
"""

_MIGRATION = 0x706978636F7265  # the lock's number: "pixcore"

# libpq passes no code on for a connection that was refused, only the server's English words.
_REFUSED = {
    re.compile(r"authentication failed for user|no password supplied|no pg_hba\.conf entry|role .* does not exist"): (
        "28000"
    ),
    re.compile(r"role .* is not permitted to log in"): "28000",
    re.compile(r"database .* does not exist"): "3D000",
    re.compile(r"permission denied for database"): "42501",
    re.compile(r"cannot contain NUL"): "22021",  # psycopg's own, before anything is sent
}


def _engine(url: URL) -> Engine:
    options = {name: value for name, value in _OPTIONS.items() if name not in url.query}
    # What is prepared goes wrong behind poolers and after a migration, and its plans ignore which dataset is asked for.
    prepared = {"prepare_threshold": None}
    try:
        engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=True,  # connections that a restart of the server broke are replaced unnoticed
            use_native_hstore=False,  # looking for that type would cost every process a query
            connect_args=options | prepared,
        )
    except ImportError as error:
        raise InvalidRequest("PostgreSQL needs a driver; install it with pip install 'pixcore[postgres]'") from error
    event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: "psycopg.Connection", _: object) -> None:
    connection.execute(_LIMITS)


def _code(cause: BaseException) -> str:
    if known := getattr(cause, "sqlstate", None):
        return str(known)
    return next((code for said, code in _REFUSED.items() if said.search(str(cause))), "")


_NO_TABLES = (InvalidRequest, "does not have the expected tables; run `pixcore check` once to make them")
_NO_TEXT = (InvalidRequest, "cannot hold such text; make it with ENCODING 'UTF8', and leave NUL out")
_NOT_AVAILABLE = (StatusUnavailable, "is not available")

POSTGRES = Dialect(
    names=lambda url: bool(url.database),
    engine=_engine,
    exists=lambda _: True,  # connecting never makes one
    transactional={"isolation_level": "READ COMMITTED"},
    before_migration=lambda _: None,
    lock=lambda connection: connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION))),
    # not now(), which is when the transaction began
    now=cast(func.round(cast(extract("epoch", func.clock_timestamp()), Numeric), 3), Float(53)),
    insert=insert,
    code=_code,
    # by SQLSTATE, whose first two characters are its class
    meanings={
        "": (PermanentError, "refused a statement"),
        "08": _NOT_AVAILABLE,  # connection exception
        "22003": (InvalidRequest, "cannot hold so large a number; use smaller chunk ids"),
        "22021": _NO_TEXT,
        "22P05": _NO_TEXT,
        "25006": (StatusUnavailable, "takes no writes now; name the primary server, or let it write"),
        "25P03": _NOT_AVAILABLE,  # idle in a transaction for too long
        "25P04": _NOT_AVAILABLE,  # transaction time-out
        "28": (InvalidRequest, "refuses the login; check the user, and the password in PGPASSWORD or ~/.pgpass"),
        "3D000": (InvalidRequest, "does not exist; make it with createdb, or name another"),
        "3F000": (InvalidRequest, "has no schema to put tables into; make the one that search_path names"),
        "40": _NOT_AVAILABLE,  # serialization failure, deadlock
        "42501": (InvalidRequest, "does not give the user the rights; have its owner GRANT them"),
        "42703": _NO_TABLES,
        "42P01": _NO_TABLES,
        "53": _NOT_AVAILABLE,  # disk full, out of memory, too many connections
        "55006": _NOT_AVAILABLE,  # object in use
        "55P03": _NOT_AVAILABLE,  # lock time-out
        "57": _NOT_AVAILABLE,  # cancelled, shutting down, starting up
        "57P04": (InvalidRequest, "was dropped; make it again, or name another"),
        "58": _NOT_AVAILABLE,  # the server's own disk
        "72": _NOT_AVAILABLE,  # snapshot too old
        "XX001": (InvalidRequest, "is damaged; restore a backup"),
        "XX002": (InvalidRequest, "has a damaged index; REINDEX it"),
    },
)
