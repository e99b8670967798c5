"""PostgreSQL: one server for the workers of any number of machines. The first engine imports psycopg.

Passwords come from ``PGPASSWORD`` or ``~/.pgpass``, as with every client of PostgreSQL. The URL's query may contain
libpq options such as ``sslmode``.
"""

import re
from typing import TYPE_CHECKING

from sqlalchemy import URL, BigInteger, Engine, Float, Numeric, cast, create_engine, event, extract, func, select
from sqlalchemy.dialects.postgresql import insert

from pixcore.errors import InvalidRequest, PermanentError, StatusUnavailable
from pixcore_adapters.status_repo.dialect import Dialect

if TYPE_CHECKING:
    import psycopg

# Default libpq options; the URL's own options take precedence. The timeouts detect a dead host within 30 seconds.
_OPTIONS = {
    "fallback_application_name": "pixcore",
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
    "client_encoding": "utf8",
}

# Applied by SET, because poolers such as PgBouncer reject them as start-up options.
_LIMITS = """
SET default_transaction_isolation = 'read committed';
SET lock_timeout = '10s';
SET statement_timeout = '60s';
SET idle_in_transaction_session_timeout = '60s'
"""

_LEAST = 10  # the oldest version that psycopg supports; pixcore's own statements need 9.6

_MIGRATION = 0x706978636F7265  # the number of the advisory lock: "pixcore" in ASCII

# For a refused connection libpq returns no SQLSTATE, only the server's message in English.
_REFUSED = {
    re.compile(r"authentication failed for user|no password supplied|no pg_hba\.conf entry|role .* does not exist"): (
        "28000"
    ),
    re.compile(r"role .* is not permitted to log in"): "28000",
    re.compile(r"database .* does not exist"): "3D000",
    re.compile(r"permission denied for database"): "42501",
    re.compile(r"cannot contain NUL"): "22021",  # raised by psycopg itself, before it sends anything
}


def _engine(url: URL) -> Engine:
    options = {name: value for name, value in _OPTIONS.items() if name not in url.query}
    # Prepared statements break behind poolers and after a migration, and their generic plans ignore the dataset.
    prepared = {"prepare_threshold": None}
    try:
        engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=True,  # replaces connections that broke when the server restarted
            use_native_hstore=False,  # looking up that type would cost one query in every process
            connect_args=options | prepared,
        )
    except ImportError as error:
        raise InvalidRequest("PostgreSQL needs a driver; install it with pip install 'pixcore[postgres]'") from error
    # first, because SQLAlchemy sends statements to a new server before it calls other listeners
    event.listen(engine, "connect", _require_version, insert=True)
    event.listen(engine, "connect", _prepare)
    return engine


def _require_version(connection: "psycopg.Connection", _: object) -> None:
    version = connection.info.server_version
    if version < _LEAST * 10_000:
        found = f"{version // 10_000}.{version // 100 % 100}"
        raise InvalidRequest(
            f"the status database is on PostgreSQL {found}, and pixcore needs PostgreSQL {_LEAST} or newer; upgrade it,"
            " or use another server"
        )


def _prepare(connection: "psycopg.Connection", _: object) -> None:
    connection.execute(_LIMITS)


def _code(cause: BaseException) -> str:
    if known := getattr(cause, "sqlstate", None):
        return str(known)
    return next((code for pattern, code in _REFUSED.items() if pattern.search(str(cause))), "")


_NO_TABLES = (InvalidRequest, "does not have the expected tables; run `pixcore check` once to create them")
_NO_TEXT = (InvalidRequest, "cannot store this text; create it with ENCODING 'UTF8', and use no NUL characters")
_NOT_AVAILABLE = (StatusUnavailable, "is not available")

POSTGRES = Dialect(
    names=lambda url: bool(url.database),
    engine=_engine,
    exists=lambda _: True,  # connecting never creates a database
    transactional={"isolation_level": "READ COMMITTED"},
    before_migration=lambda _: None,
    lock=lambda connection: connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION))),
    # clock_timestamp(), because now() is the time when the transaction began
    now=cast(func.round(cast(extract("epoch", func.clock_timestamp()), Numeric), 3), Float(53)),
    # not as JSON: PostgreSQL refuses texts with escaped lone surrogates, as in a file name that is not UTF-8. Within a
    # string, the quotes of the pattern would be escaped.
    number_in=lambda column, name: cast(func.substring(column, f'"{name}": ([0-9]+)'), BigInteger),
    insert=insert,
    code=_code,
    # by SQLSTATE; its first two characters are the class of the error
    meanings={
        "": (PermanentError, "refused a statement"),
        "08": _NOT_AVAILABLE,  # connection exception
        "22003": (InvalidRequest, "cannot store such a large number; use smaller chunk ids"),
        "22021": _NO_TEXT,
        "22P05": _NO_TEXT,
        "25006": (StatusUnavailable, "is read-only; connect to the primary server, or allow writes"),
        "25P03": _NOT_AVAILABLE,  # idle in a transaction for too long
        "25P04": _NOT_AVAILABLE,  # transaction timeout
        "28": (InvalidRequest, "rejected the login; check the user, and the password in PGPASSWORD or ~/.pgpass"),
        "3D000": (InvalidRequest, "does not exist; create it with createdb, or use another"),
        "3F000": (InvalidRequest, "has no schema for the tables; create the one that search_path names"),
        "40": _NOT_AVAILABLE,  # serialization failure, deadlock
        "42501": (InvalidRequest, "denies the user a privilege; ask its owner to GRANT it"),
        "42703": _NO_TABLES,
        "42P01": _NO_TABLES,
        "53": _NOT_AVAILABLE,  # disk full, out of memory, too many connections
        "55006": _NOT_AVAILABLE,  # object in use
        "55P03": _NOT_AVAILABLE,  # lock timeout
        "57": _NOT_AVAILABLE,  # cancelled, shutting down, starting up
        "57P04": (InvalidRequest, "was dropped; create it again, or use another"),
        "58": _NOT_AVAILABLE,  # system error of the server, such as a disk failure
        "72": _NOT_AVAILABLE,  # snapshot too old
        "XX001": (InvalidRequest, "is damaged; restore a backup"),
        "XX002": (InvalidRequest, "has a damaged index; run REINDEX"),
    },
)
