"""SQL statements, most of them on the tables of chunks and attempts, and how rows are read in pages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Row,
    Select,
    Update,
    and_,
    case,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from pixcore.model.chunks import Chunk, ChunkKey, ChunkRecord, Status
from pixcore.model.requests import ChunkRequest
from pixcore_adapters.status_repo import attempts, codec, database, ensuring, rows, schema, transitions
from pixcore_adapters.status_repo.schema import chunks

T = TypeVar("T")

_PART = 10_000  # rows that one statement changes at most
PAGE = 1000  # rows in one statement; bounds memory, and stays below the databases' limits on parameters


def paged(engine: Engine, wanted: Select[Any], *order: Column[Any]) -> Iterator[Row[Any]]:
    """Yield each row of a query once, page by page, with no transaction open in between.

    The columns of ``order`` must be unique together, and must never change.
    """
    query = wanted.order_by(*order).limit(PAGE)
    page = query
    while True:
        with database.autocommit(engine) as connection:
            found = connection.execute(page).all()
        yield from found
        if len(found) < PAGE:
            return
        last = found[-1]
        page = query.where(tuple_(*order) > tuple(getattr(last, column.name) for column in order))


def in_pages(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most ``size``, in order."""
    remaining = iter(items)
    while page := list(islice(remaining, size)):
        yield page


def stores(connection: Connection, dataset: str) -> tuple[str, ...]:
    """Return the identities of the stores that a dataset's chunks belong to, in order."""
    query = select(chunks.c.store).where(chunks.c.dataset == dataset).distinct().order_by(chunks.c.store)
    return tuple(connection.scalars(query))


def write(row: Row[Any], after: ChunkRecord, *, request_changed: bool = False) -> Update:
    """Build the compare-and-set that replaces a chunk's row if it is still as it was read."""
    unchanged = and_(has_key(after.chunk.key), chunks.c.revision == row.revision)
    values = {"revision": row.revision + 1, **rows.columns(after, row.now)}
    if request_changed:
        values["request"] = codec.text(after.chunk.request)
    return update(chunks).where(unchanged).values(values)


def attempt_statements(before: ChunkRecord, after: ChunkRecord, now: float) -> Sequence[Executable]:
    """Build the statements that record which attempts a change ends and begins."""
    key, table = before.chunk.key, schema.attempts
    statements: list[Executable] = []
    if ending := attempts.ended(before, after):
        has_attempt = and_(
            table.c.dataset == key.dataset, table.c.chunk_id == key.id, table.c.attempt == ending.attempt
        )
        values = {"ended_at": now, "status": ending.status, "phase": ending.phase, "error": ending.error}
        statements.append(update(table).where(has_attempt).values(values))
    if attempts.begins(before, after):
        statements.append(insert(table).values(rows.new_attempt(after, now)))
    return statements


def has_key(key: ChunkKey) -> ColumnElement[bool]:
    """Select one chunk."""
    return and_(chunks.c.dataset == key.dataset, chunks.c.id == key.id)


def in_list(dataset: str, column: Column[int], numbers: Sequence[int]) -> ColumnElement[bool]:
    """Select a dataset's rows by ``column``; ``numbers`` ascend.

    The redundant BETWEEN makes PostgreSQL use the index even when its statistics are of a smaller dataset.
    """
    return and_(chunks.c.dataset == dataset, column.between(numbers[0], numbers[-1]), column.in_(numbers))


def pages(pairs: Iterable[tuple[str, int]]) -> Iterator[tuple[str, list[int]]]:
    """Group pairs of dataset and number by dataset; yield the distinct numbers in ascending pages of ``PAGE``."""
    for dataset, of_dataset in groupby(sorted(set(pairs)), key=lambda pair: pair[0]):
        numbers = [number for _, number in of_dataset]
        for start in range(0, len(numbers), PAGE):
            yield dataset, numbers[start : start + PAGE]


def existing(
    connection: Connection, wanted: Mapping[ensuring.IndexKey, ChunkRequest]
) -> dict[ensuring.IndexKey, Chunk]:
    """Return the chunks that exist already under the wanted keys."""
    existing = {}
    for dataset, indices in pages(wanted):
        selected = in_list(dataset, chunks.c.chunk_index, indices)
        query = select(chunks.c.chunk_index, chunks.c.id, chunks.c.request, chunks.c.taken).where(selected)
        for index, id_, text, taken in connection.execute(query):
            expected = wanted[dataset, index]
            # Equal text is the fast path. Different text may hold an equal request that another version wrote.
            request = expected if text == codec.text(expected) else codec.value(ChunkRequest, text)
            existing[dataset, index] = Chunk(id_, request, rows.taken(taken))
    return existing


def cancel(connection: Connection, dataset: str) -> int:
    """Apply the rule of ``transitions.cancelled`` to a dataset's chunks; return how many are unfinished."""
    pending = chunks.c.status == Status.PENDING
    stop = (
        update(chunks)
        .where(chunks.c.dataset == dataset, chunks.c.status.in_(transitions.UNFINISHED))
        .values(
            status=case((pending, Status.FAILED), else_=chunks.c.status),
            error=case((pending, transitions.CANCELLED), else_=chunks.c.error),
            error_kind=case((pending, transitions.CANCELLED), else_=chunks.c.error_kind),
            cancel_requested=True,
            revision=chunks.c.revision + 1,
        )
    )
    return sum(connection.execute(stop.where(part)).rowcount for part in parts(connection, dataset))


def fail_claimable(connection: Connection, dataset: str, now: ColumnElement[float]) -> None:
    """Make a dataset's chunks failed that a worker could claim at the time ``now``."""
    expired = and_(chunks.c.status == Status.PROCESSING, chunks.c.lease_expires_at <= now)
    fail = (
        update(chunks)
        .where(chunks.c.dataset == dataset, or_(chunks.c.status == Status.PENDING, expired))
        .values(
            status=Status.FAILED,
            error=transitions.CANCELLED,
            error_kind=transitions.CANCELLED,
            owner="",
            cancel_requested=True,
            revision=chunks.c.revision + 1,
        )
    )
    for part in parts(connection, dataset):
        connection.execute(fail.where(part))


def parts(connection: Connection, dataset: str) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that together select a dataset's chunks, ten thousand each.

    A change of all chunks in one statement might take longer than a server allows.
    """
    query = select(chunks.c.chunk_index).where(chunks.c.dataset == dataset).order_by(chunks.c.chunk_index)
    last = -1
    while True:
        rest = chunks.c.chunk_index > last
        end = connection.execute(query.where(rest).offset(_PART - 1).limit(1)).scalar_one_or_none()
        if end is None:
            yield rest
            return
        yield and_(rest, chunks.c.chunk_index <= end)
        last = end
