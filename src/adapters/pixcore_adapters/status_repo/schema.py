"""The tables of the status database."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from pixcore_adapters.status_repo import counting

VERSION_TABLE = "pixcore_version"
# oldest first; migrations/versions has one module for each
VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011")

metadata = MetaData()

# Alembic's own table; it has its own metadata, so that Alembic does not compare it with the database
version_table = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def _name(length: int) -> TypeEngine[str]:
    """Build a text column type that compares by code points, whatever the server's locale."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


CHECKSUM_LENGTH = 80  # characters: a kind, and at most 64 hex digits

registry = Table(
    "pixcore_registry",
    metadata,
    Column("identity", String(36), primary_key=True),  # the table has one row, which identifies this database
    Column("next_chunk_id", BigInteger, nullable=False),
)

chunks = Table(
    "pixcore_chunks",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("chunk_index", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("taken", Text, nullable=False),  # slices beyond those of the request; "" for none
    Column("status", String(20), nullable=False),
    Column("phase", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("lease_expires_at", Float(53), nullable=False),
    Column("due_at", Float(53), nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("progress", Text, nullable=False),
    Column("result", Text),
    Column("error", Text, nullable=False),
    Column("error_kind", String(500), nullable=False),  # the error as ``overviews.masked`` returns it, to be counted
    Column("queue", Text, nullable=False),  # the queue that delivers the chunk, or ""
    Column("store", Text, nullable=False),  # the identity of the store that holds the chunk's archive, or ""
    Column("priority", String(20), nullable=False),
    Column("rebuild", Boolean, nullable=False),  # whether the next attempt rebuilds the archive from stored images
    Column("keyword_sha256", _name(64), nullable=False),  # because the keyword may be too long for an index
    Column("accepted", BigInteger, nullable=False),  # a copy of the progress's count, for sums in SQL
    Column("claimed_at", Float(53), nullable=False),
    Column("revision", BigInteger, nullable=False),  # increased by every change, for compare-and-set
    UniqueConstraint("dataset", "chunk_index", name="pixcore_chunks_by_index"),
    Index("pixcore_chunks_by_status", "dataset", "status", "chunk_index"),
    Index("pixcore_chunks_by_keyword", "dataset", "keyword_sha256", "chunk_index"),
    Index("pixcore_chunks_by_queue", "status", "queue", "dataset", "chunk_index"),
)

# Counts of the chunks that no worker holds. Triggers of the database change them with the chunks: see ``counting``.
counts = Table(
    "pixcore_counts",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("status", String(20), primary_key=True),
    Column("phase", String(20), primary_key=True),
    Column("error_kind", String(500), primary_key=True),
    Column("chunks", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),  # the sum of the numbers of their last attempts
)

keywords = Table(
    "pixcore_keywords",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("keyword_sha256", _name(64), primary_key=True),
    Column("planned", Text, nullable=False),  # the sums over the requests of its chunks
)

kept_counts = Table(
    "pixcore_kept_counts",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("counts", Text, nullable=False),
)

lists = Table(
    "pixcore_lists",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("scope_sha256", _name(64), primary_key=True),  # of the keyword if there is no dataset, else of ""
    Column("list_sha256", _name(64), primary_key=True),  # of source, query and licences, which may be too long
    Column("next_position", BigInteger, nullable=False),  # the first unclaimed one
    Column("list", Text, nullable=False),  # source, query, licences, length and snapshot
)

attempts = Table(
    "pixcore_attempts",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("chunk_id", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("chunk_index", BigInteger, nullable=False),
    Column("began_at", Float(53), nullable=False),
    Column("ended_at", Float(53)),
    Column("status", String(20)),
    Column("phase", String(20), nullable=False),
    Column("error", Text, nullable=False),
    Index("pixcore_attempts_by_index", "dataset", "chunk_index", "attempt"),
)

resting_workers = Table(
    "pixcore_resting_workers",
    metadata,
    Column("worker", _name(100), primary_key=True),
    Column("fault", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
)

seen_images = Table(
    "pixcore_seen_images",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("sha256", _name(64), primary_key=True),
    Column("chunk_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("url", Text, nullable=False),
    Column("phash", BigInteger, nullable=False),  # the 64 bits as a signed integer
    Column("dhash", BigInteger, nullable=False),
    Column("hash_method", Text, nullable=False),
    Column("flat", Boolean, nullable=False),
    Column("checksum", _name(CHECKSUM_LENGTH), nullable=False, server_default=""),  # as the candidate states it; or ""
    Index("pixcore_seen_images_by_chunk", "dataset", "chunk_id"),
)
# of few images, because most sources state none
Index(
    "pixcore_seen_images_by_checksum",
    seen_images.c.dataset,
    seen_images.c.checksum,
    postgresql_where=seen_images.c.checksum != "",
    sqlite_where=seen_images.c.checksum != "",
)

seen_urls = Table(
    "pixcore_seen_urls",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("sha256", _name(64), primary_key=True),  # of the bytes that the URL led to, when the dataset had them
    Column("url_key", _name(32), primary_key=True),
)

changes = Table(
    "pixcore_changes",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("other", _name(100), nullable=False),
    Column("condition", Text, nullable=False),
    Column("chunks", BigInteger, nullable=False),
    Column("first_id", BigInteger, nullable=False),
)

decisions = Table(
    "pixcore_decisions",
    metadata,
    Column("dataset", _name(100), primary_key=True),
    Column("sha256", _name(64), primary_key=True),
    Column("about_label", Boolean, primary_key=True),  # an image has at most one decision of each sort
    Column("kind", String(20), nullable=False),
    Column("label", Text, nullable=False),
    Column("near", Boolean, nullable=False),
    Column("phash", String(16), nullable=False),  # hex digits, or ""
    Column("dhash", String(16), nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", BigInteger, nullable=False),  # in seconds since 1970
)

counting.attach(metadata)
