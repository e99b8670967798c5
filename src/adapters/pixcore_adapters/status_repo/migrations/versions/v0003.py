"""Version 0003 adds attempts, each chunk's queue, and columns that make keyword and counts searchable in SQL."""

import json
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SHA256 = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_NAME = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")
_PAGE = 1000  # rows in one batch; bounds memory

_chunks = sa.table(
    "pixcore_chunks",
    sa.column("dataset", sa.String),
    sa.column("id", sa.BigInteger),
    sa.column("request", sa.Text),
    sa.column("progress", sa.Text),
    sa.column("status", sa.String),
    sa.column("lease_expires_at", sa.Float(53)),
    sa.column("keyword_sha256", sa.String),
    sa.column("accepted", sa.BigInteger),
    sa.column("claimed_at", sa.Float(53)),
)


def upgrade() -> None:
    """Add the columns, fill them from the existing rows, and create the indexes."""
    for column in (
        sa.Column("queue", sa.Text, nullable=False, server_default=""),
        sa.Column("keyword_sha256", _SHA256, nullable=False, server_default=""),
        sa.Column("accepted", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("claimed_at", sa.Float(53), nullable=False, server_default="0"),
    ):
        op.add_column("pixcore_chunks", column)
    _fill()
    op.create_index("pixcore_chunks_by_keyword", "pixcore_chunks", ["dataset", "keyword_sha256", "chunk_index"])
    op.create_index("pixcore_chunks_by_queue", "pixcore_chunks", ["status", "queue", "dataset", "chunk_index"])
    op.create_table(
        "pixcore_attempts",
        sa.Column("dataset", _NAME, primary_key=True),
        sa.Column("chunk_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("chunk_index", sa.BigInteger, nullable=False),
        sa.Column("began_at", sa.Float(53), nullable=False),
        sa.Column("ended_at", sa.Float(53)),
        sa.Column("status", sa.String(20)),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )
    op.create_index("pixcore_attempts_by_index", "pixcore_attempts", ["dataset", "chunk_index", "attempt"])


def _fill() -> None:
    connection = op.get_bind()
    # When a running claim was made is unknown. The lease's end stands in for it, so that the chunk has run for 0
    # seconds until its next renewal, and not since 1970.
    running = sa.update(_chunks).where(_chunks.c.status == "processing")
    connection.execute(running.values(claimed_at=_chunks.c.lease_expires_at))
    key = (_chunks.c.dataset, _chunks.c.id)
    query = sa.select(*key, _chunks.c.request, _chunks.c.progress).order_by(*key).limit(_PAGE)
    has_key = sa.and_(_chunks.c.dataset == sa.bindparam("key_dataset"), _chunks.c.id == sa.bindparam("key_id"))
    write = sa.update(_chunks).where(has_key)
    page = query
    while rows := connection.execute(page).all():
        values = [
            {
                "key_dataset": row.dataset,
                "key_id": row.id,
                "keyword_sha256": sha256(
                    json.loads(row.request)["keyword"].encode("utf-8", "surrogatepass")
                ).hexdigest(),
                "accepted": json.loads(row.progress)["accepted"],
            }
            for row in rows
        ]
        connection.execute(write, values)
        page = query.where(sa.tuple_(*key) > (rows[-1].dataset, rows[-1].id))
