"""Version 0009 adds which URLs led to bytes that their dataset had already."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def _name(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the table. URLs that were fetched before are not counted."""
    op.create_table(
        "pixcore_seen_urls",
        sa.Column("dataset", _name(100), primary_key=True),
        sa.Column("sha256", _name(64), primary_key=True),
        sa.Column("url_key", _name(32), primary_key=True),
    )
