"""Version 0002 adds the URL and fingerprint of every image, which the first databases of version 0001 lack."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the missing columns. Existing images have no fingerprint; they are marked flat, so that none is ever near."""
    existing = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("pixcore_seen_images")}
    for column in (
        sa.Column("url", sa.Text, nullable=False, server_default=""),
        sa.Column("phash", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("dhash", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("hash_method", sa.Text, nullable=False, server_default=""),
        sa.Column("flat", sa.Boolean, nullable=False, server_default=sa.true()),
    ):
        if column.name not in existing:
            op.add_column("pixcore_seen_images", column)
