"""Alembic runs this module for every command. The caller provides the connection and its transaction."""

from alembic import context

from pixcore_adapters.status_repo.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
context.run_migrations()
