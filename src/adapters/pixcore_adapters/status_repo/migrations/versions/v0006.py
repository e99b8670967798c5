"""Version 0006 adds the decisions about single images."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _name(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the table. Existing datasets have no decisions."""
    op.create_table(
        "pixcore_decisions",
        sa.Column("dataset", _name(100), primary_key=True),
        sa.Column("sha256", _name(64), primary_key=True),
        sa.Column("about_label", sa.Boolean, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("near", sa.Boolean, nullable=False),
        sa.Column("phash", sa.String(16), nullable=False),
        sa.Column("dhash", sa.String(16), nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
    )
