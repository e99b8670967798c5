"""The tables of the status database, and the version they are in."""

from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
)
from sqlalchemy.types import TypeEngine

from pixcore.errors import InvalidRequest
from pixcore_adapters.status_repo import database

VERSION_TABLE = "pixcore_version"
VERSIONS = ("0001", "0002", "0003")  # every version there was, oldest first; migrations/versions holds the step to each

metadata = MetaData()

# Alembic's own table, which is no part of what it compares the database with
_version_table = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def _name(length: int) -> TypeEngine[str]:
    """A text that is compared by its characters' code points, whatever the language of the server."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


registry = Table(
    "pixcore_registry",
    metadata,
    Column("identity", String(36), primary_key=True),  # the only row: which database this is
    Column("next_chunk_id", BigInteger, nullable=False),
)

chunks = Table(
    "pixcore_chunks",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("chunk_index", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("phase", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("lease_expires_at", Float(53), nullable=False),
    Column("due_at", Float(53), nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("progress", Text, nullable=False),
    Column("result", Text),
    Column("error", Text, nullable=False),
    Column("queue", Text, nullable=False),  # which one delivers the chunk
    Column("keyword_sha256", _name(64), nullable=False),  # the request's keyword may be too long for an index
    Column("accepted", BigInteger, nullable=False),  # what the progress says
    Column("claimed_at", Float(53), nullable=False),
    Column("revision", BigInteger, nullable=False),  # raised by every change: what a compare-and-set compares
    UniqueConstraint("dataset", "chunk_index", name="pixcore_chunks_by_index"),
    Index("pixcore_chunks_by_status", "dataset", "status", "chunk_index"),
    Index("pixcore_chunks_by_keyword", "dataset", "keyword_sha256", "chunk_index"),
    Index("pixcore_chunks_by_queue", "status", "queue", "dataset", "chunk_index"),
)

attempts = Table(
    "pixcore_attempts",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("chunk_id", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("chunk_index", BigInteger, nullable=False),
    Column("began_at", Float(53), nullable=False),
    Column("ended_at", Float(53)),
    Column("status", String(20)),
    Column("phase", String(20), nullable=False),
    Column("error", Text, nullable=False),
    Index("pixcore_attempts_by_index", "dataset", "chunk_index", "attempt"),
)

seen_images = Table(
    "pixcore_seen_images",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("sha256", _name(64), primary_key=True),
    Column("chunk_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("url", Text, nullable=False),
    Column("phash", BigInteger, nullable=False),  # the 64 bits as a signed number
    Column("dhash", BigInteger, nullable=False),
    Column("hash_method", Text, nullable=False),
    Column("flat", Boolean, nullable=False),
    Index("pixcore_seen_images_by_chunk", "dataset", "chunk_id"),
)


def migrate(engine: Engine) -> None:
    """Bring the schema to this version, making SQLite's file if there is none. Idempotent; two may start at once.

    Raises:
        InvalidRequest: A newer pixcore made it, it is no status database, or it cannot be written.
        StatusUnavailable: It cannot be reached, or stayed locked.
    """
    with database.migration(engine) as connection:
        version = _version(connection, engine)
        if version is None:
            _make(connection)
        elif version != VERSIONS[-1]:
            from pixcore_adapters.status_repo.migrations import upgrade  # noqa: PLC0415  Alembic is slow to import

            upgrade(connection)


def check(engine: Engine) -> None:
    """Make sure that the schema is in this version; change nothing.

    Raises:
        InvalidRequest: It is missing, older or newer.
        StatusUnavailable: The database cannot be reached.
    """
    version = _found(engine)
    if version is None:
        raise InvalidRequest(f"{_named(engine)} is not made yet; run `pixcore check` on it once")
    if version != VERSIONS[-1]:
        raise InvalidRequest(f"{_named(engine)} was made by an older pixcore; run `pixcore check` on it to upgrade")


def is_made(engine: Engine) -> bool:
    """Whether the schema is there, in this version or an older one; change nothing.

    Raises:
        InvalidRequest: It is newer.
        StatusUnavailable: The database cannot be reached.
    """
    return _found(engine) is not None


def _found(engine: Engine) -> str | None:
    if not database.dialect_of(engine).exists(engine):
        return None
    with database.autocommit(engine) as connection:
        return _version(connection, engine)


def _make(connection: Connection) -> None:
    """All at once what the steps lead to: a first run does not wait for Alembic."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(registry).values(identity=str(uuid4()), next_chunk_id=1))
    _version_table.create(connection)
    connection.execute(insert(_version_table).values(version_num=VERSIONS[-1]))


def _version(connection: Connection, engine: Engine) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = connection.execute(select(_version_table.c.version_num)).scalar_one_or_none()
    if version is not None and version not in VERSIONS:
        raise InvalidRequest(f"{_named(engine)} was made by a newer pixcore; upgrade pixcore")
    return version


def _named(engine: Engine) -> str:
    return f"status database {database.name_of(engine.url)}"
