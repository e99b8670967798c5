"""Version 0001, the first schema: chunks, the images that they hold, and the database's identity."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# compares by code points, whatever the server's locale
_DATASET = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")
_SHA256 = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables and the only row of the registry."""
    registry = op.create_table(
        "pixcore_registry",
        sa.Column("identity", sa.String(36), primary_key=True),
        sa.Column("next_chunk_id", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(registry, [{"identity": str(uuid4()), "next_chunk_id": 1}])
    op.create_table(
        "pixcore_chunks",
        sa.Column("dataset", _DATASET, primary_key=True),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("chunk_index", sa.BigInteger, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_expires_at", sa.Float(53), nullable=False),
        sa.Column("due_at", sa.Float(53), nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("dataset", "chunk_index", name="pixcore_chunks_by_index"),
    )
    op.create_index("pixcore_chunks_by_status", "pixcore_chunks", ["dataset", "status", "chunk_index"])
    op.create_table(
        "pixcore_seen_images",
        sa.Column("dataset", _DATASET, primary_key=True),
        sa.Column("sha256", _SHA256, primary_key=True),
        sa.Column("chunk_id", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("phash", sa.BigInteger, nullable=False),
        sa.Column("dhash", sa.BigInteger, nullable=False),
        sa.Column("hash_method", sa.Text, nullable=False),
        sa.Column("flat", sa.Boolean, nullable=False),
    )
    op.create_index("pixcore_seen_images_by_chunk", "pixcore_seen_images", ["dataset", "chunk_id"])
