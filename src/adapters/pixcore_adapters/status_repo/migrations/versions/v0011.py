"""Version 0011 adds the checksums that sources state of images, so that known bytes are not fetched again."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_CHECKSUM = sa.String(80).with_variant(sa.String(80, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column, empty for all images, and its index."""
    column = sa.Column("checksum", _CHECKSUM, nullable=False, server_default="")
    op.add_column("pixcore_seen_images", column)
    stated = sa.text("checksum != ''")
    op.create_index(
        "pixcore_seen_images_by_checksum",
        "pixcore_seen_images",
        ["dataset", "checksum"],
        postgresql_where=stated,
        sqlite_where=stated,
    )
