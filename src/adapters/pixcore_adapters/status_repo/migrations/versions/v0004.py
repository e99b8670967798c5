"""Version 0004 adds the slices that chunks take later, and how far the lists of each dataset are claimed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_SHA256 = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_NAME = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column and the table. Lists of existing plans get a row with the next plan that uses them."""
    op.add_column("pixcore_chunks", sa.Column("taken", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "pixcore_lists",
        sa.Column("dataset", _NAME, primary_key=True),
        sa.Column("scope_sha256", _SHA256, primary_key=True),
        sa.Column("list_sha256", _SHA256, primary_key=True),
        sa.Column("next_position", sa.BigInteger, nullable=False),
        sa.Column("list", sa.Text, nullable=False),
    )
