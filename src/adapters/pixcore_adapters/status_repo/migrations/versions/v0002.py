"""Of every image that is held, its URL and fingerprint, which the first databases of version 0001 did not keep."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns that are missing. What is held already has no fingerprint: flat pictures are near to none."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("pixcore_seen_images")}
    for column in (
        sa.Column("url", sa.Text, nullable=False, server_default=""),
        sa.Column("phash", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("dhash", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("hash_method", sa.Text, nullable=False, server_default=""),
        sa.Column("flat", sa.Boolean, nullable=False, server_default=sa.true()),
    ):
        if column.name not in there:
            op.add_column("pixcore_seen_images", column)
