"""Creation, upgrade and version check of the status database's schema."""

from uuid import uuid4

from sqlalchemy import Connection, Engine, insert, inspect, select

from pixcore.errors import InvalidRequest
from pixcore_adapters.status_repo import database
from pixcore_adapters.status_repo.schema import VERSION_TABLE, VERSIONS, metadata, registry, version_table


def migrate(engine: Engine) -> None:
    """Create the schema, or upgrade it to this version; create SQLite's file if it is missing.

    Idempotent. Several processes may call it at the same time.

    Raises:
        InvalidRequest: A newer pixcore created the schema, it is not a status database, or it cannot be written.
        StatusUnavailable: The database cannot be reached, or it stayed locked.
    """
    with database.migration(engine) as connection:
        version = _version(connection, engine)
        if version is None:
            _create(connection)
        elif version != VERSIONS[-1]:
            from pixcore_adapters.status_repo.migrations import upgrade  # noqa: PLC0415  Alembic is slow to import

            upgrade(connection)


def check(engine: Engine) -> None:
    """Check that the schema has this version; change nothing.

    Raises:
        InvalidRequest: The schema is missing, older or newer.
        StatusUnavailable: The database cannot be reached.
    """
    version = _existing_version(engine)
    if version is None:
        raise InvalidRequest(f"{_name(engine)} is not set up yet; run `pixcore check` once to create its tables")
    if version != VERSIONS[-1]:
        raise InvalidRequest(f"{_name(engine)} was created by an older pixcore; run `pixcore check` to upgrade it")


def is_set_up(engine: Engine) -> bool:
    """Return whether the schema exists, in this version or an older one; change nothing.

    Raises:
        InvalidRequest: The schema is newer.
        StatusUnavailable: The database cannot be reached.
    """
    return _existing_version(engine) is not None


def _existing_version(engine: Engine) -> str | None:
    if not database.dialect_of(engine).exists(engine):
        return None
    with database.autocommit(engine) as connection:
        return _version(connection, engine)


def _create(connection: Connection) -> None:
    """Create the newest schema directly, so that a first run does not wait for the import of Alembic."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(registry).values(identity=str(uuid4()), next_chunk_id=1))
    version_table.create(connection)
    connection.execute(insert(version_table).values(version_num=VERSIONS[-1]))


def _version(connection: Connection, engine: Engine) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = connection.execute(select(version_table.c.version_num)).scalar_one_or_none()
    if version is not None and version not in VERSIONS:
        raise InvalidRequest(f"{_name(engine)} was created by a newer pixcore; upgrade pixcore")
    return version


def _name(engine: Engine) -> str:
    return f"status database {database.name_of(engine.url)}"
