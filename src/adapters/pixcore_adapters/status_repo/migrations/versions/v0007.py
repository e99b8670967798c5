"""Version 0007 adds whether the next attempt at a chunk rebuilds its archive from stored images."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column. No existing chunk is to be rebuilt."""
    op.add_column("pixcore_chunks", sa.Column("rebuild", sa.Boolean, nullable=False, server_default=sa.false()))
