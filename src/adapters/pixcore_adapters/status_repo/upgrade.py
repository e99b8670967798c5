"""Create the schema of the status database, upgrade it, and check its version."""

from uuid import uuid4

from sqlalchemy import Connection, Engine, insert, inspect, select

from pixcore.errors import InvalidRequest
from pixcore_adapters.status_repo import database
from pixcore_adapters.status_repo.schema import VERSION_TABLE, VERSIONS, metadata, registry, version_table


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
    version_table.create(connection)
    connection.execute(insert(version_table).values(version_num=VERSIONS[-1]))


def _version(connection: Connection, engine: Engine) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = connection.execute(select(version_table.c.version_num)).scalar_one_or_none()
    if version is not None and version not in VERSIONS:
        raise InvalidRequest(f"{_named(engine)} was made by a newer pixcore; upgrade pixcore")
    return version


def _named(engine: Engine) -> str:
    return f"status database {database.name_of(engine.url)}"
