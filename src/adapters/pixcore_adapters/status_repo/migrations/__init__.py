"""The migrations of the schema, which Alembic runs without a configuration file."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Run every missing migration within the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", __name__.replace(".", ":", 1).replace(".", "/"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
