"""Version 0005 adds the store and the priority of each chunk, and the workers that rest."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_NAME = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns and the table. Existing chunks belong to no store, so workers of any store may run them."""
    op.add_column("pixcore_chunks", sa.Column("store", sa.Text, nullable=False, server_default=""))
    op.add_column("pixcore_chunks", sa.Column("priority", sa.String(20), nullable=False, server_default="normal"))
    op.create_table(
        "pixcore_resting_workers",
        sa.Column("worker", _NAME, primary_key=True),
        sa.Column("fault", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
    )
