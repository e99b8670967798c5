"""Status databases of every kind for the tests: empty ones, and ones without tables."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
import pytest
from servers.addresses import Postgres
from sqlalchemy import URL, Engine, delete, make_url, update

from pixcore_adapters.status_repo.database import engine_at
from pixcore_adapters.status_repo.schema import metadata, registry
from pixcore_adapters.status_repo.upgrade import migrate

KINDS = ("sqlite", "postgres")

_numbers = count()


def empty(request: pytest.FixtureRequest) -> AbstractContextManager[Engine]:
    """Yield an empty database of the kind that the fixture's parameter names."""
    if request.param == "sqlite":
        return sqlite(request.getfixturevalue("tmp_path"))
    return postgres(request.getfixturevalue("postgres"))


@contextmanager
def sqlite(folder: Path) -> Iterator[Engine]:
    """Yield a new file with the schema."""
    with closing_connections(engine_at(f"sqlite:///{folder}/status.db")) as engine:
        migrate(engine)
        yield engine


@contextmanager
def postgres(server: Postgres) -> Iterator[Engine]:
    """Yield the schema of this process, emptied."""
    with closing_connections(engine_at(_migrated(server))) as engine:
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                if table is not registry:
                    connection.execute(delete(table))
            connection.execute(update(registry).values(next_chunk_id=1))
        yield engine


def bare(request: pytest.FixtureRequest) -> AbstractContextManager[Engine]:
    """Yield a database without tables, of the kind that the fixture's parameter names; SQLite's file does not exist."""
    if request.param == "sqlite":
        url = make_url(f"sqlite:///{request.getfixturevalue('tmp_path')}/status.db")
    else:
        url = bare_postgres(request.getfixturevalue("postgres"))
    return closing_connections(engine_at(url))


def bare_postgres(server: Postgres) -> URL:
    """Yield a new schema without tables in the server's first database."""
    schema = new_name()
    with closing(psycopg.connect(server.url(driver="postgresql"), autocommit=True)) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    return make_url(server.url()).set(query={"options": f"-csearch_path={schema}"})


def new_name() -> str:
    """Return a name that no other test uses."""
    return f"test_{os.getpid()}_{next(_numbers)}"


@contextmanager
def closing_connections(engine: Engine) -> Iterator[Engine]:
    """Yield the engine, and close its connections afterwards."""
    try:
        yield engine
    finally:
        engine.dispose()


@cache
def _migrated(server: Postgres) -> URL:
    with closing_connections(engine_at(bare_postgres(server))) as engine:
        migrate(engine)
        return engine.url
