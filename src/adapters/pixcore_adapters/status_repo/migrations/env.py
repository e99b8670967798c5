"""What Alembic runs for every command: the connection and its transaction are the caller's."""

from alembic import context

from pixcore_adapters.status_repo.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
context.run_migrations()
