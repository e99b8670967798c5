"""Version 0008 adds the unfinished changes of whole datasets."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_NAME = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the table. No dataset is being changed."""
    op.create_table(
        "pixcore_changes",
        sa.Column("dataset", _NAME, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("other", _NAME, nullable=False),
        sa.Column("condition", sa.Text, nullable=False),
        sa.Column("chunks", sa.BigInteger, nullable=False),
        sa.Column("first_id", sa.BigInteger, nullable=False),
    )
