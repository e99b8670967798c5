"""Version 0010 adds counts of chunks, what each keyword was planned with, and what was counted for cards."""

import sqlalchemy as sa
from alembic import op

from pixcore_adapters.status_repo.counting import TRIGGERS
from pixcore_adapters.status_repo.overviews import masked

revision = "0010"
down_revision = "0009"

_PAGE = 1000  # rows in one batch; bounds memory

_chunks = sa.table(
    "pixcore_chunks",
    sa.column("dataset", sa.String),
    sa.column("id", sa.BigInteger),
    sa.column("error", sa.Text),
    sa.column("error_kind", sa.String),
)


def _name(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables, count the existing chunks, and create the triggers. Keywords are added up on first use."""
    op.add_column("pixcore_chunks", sa.Column("error_kind", sa.String(500), nullable=False, server_default=""))
    _fill()
    op.create_table(
        "pixcore_counts",
        sa.Column("dataset", _name(100), primary_key=True),
        sa.Column("status", sa.String(20), primary_key=True),
        sa.Column("phase", sa.String(20), primary_key=True),
        sa.Column("error_kind", sa.String(500), primary_key=True),
        sa.Column("chunks", sa.BigInteger, nullable=False),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO pixcore_counts SELECT dataset, status, phase, error_kind, count(*), sum(accepted), sum(attempt)"
        " FROM pixcore_chunks WHERE status <> 'processing' GROUP BY dataset, status, phase, error_kind"
    )
    op.create_table(
        "pixcore_keywords",
        sa.Column("dataset", _name(100), primary_key=True),
        sa.Column("keyword_sha256", _name(64), primary_key=True),
        sa.Column("planned", sa.Text, nullable=False),
    )
    op.create_table(
        "pixcore_kept_counts",
        sa.Column("dataset", _name(100), primary_key=True),
        sa.Column("counts", sa.Text, nullable=False),
    )
    for statement in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def _fill() -> None:
    connection = op.get_bind()
    key = (_chunks.c.dataset, _chunks.c.id)
    query = sa.select(*key, _chunks.c.error).where(_chunks.c.error != "").order_by(*key).limit(_PAGE)
    has_key = sa.and_(_chunks.c.dataset == sa.bindparam("key_dataset"), _chunks.c.id == sa.bindparam("key_id"))
    page = query
    while rows := connection.execute(page).all():
        values = [{"key_dataset": row.dataset, "key_id": row.id, "error_kind": masked(row.error)} for row in rows]
        connection.execute(sa.update(_chunks).where(has_key), values)
        page = query.where(sa.tuple_(*key) > (rows[-1].dataset, rows[-1].id))
