"""The steps from each version of the schema to the next, taken by Alembic without a configuration file."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Take every step that is missing, within the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", __name__.replace(".", ":", 1).replace(".", "/"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
