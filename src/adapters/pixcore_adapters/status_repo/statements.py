"""SQL statements on the tables of chunks and attempts, for ``sql.py``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Executable, Row, Update, and_, func, insert, select, update

from pixcore.model.chunks import Chunk, ChunkKey, ChunkRecord
from pixcore.model.requests import ChunkRequest
from pixcore_adapters.status_repo import attempts, codec, ensuring, rows, schema
from pixcore_adapters.status_repo.schema import chunks

PAGE = 1000  # rows in one statement; bounds memory, and stays below the databases' limits on parameters


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


def count(connection: Connection, dataset: str, keyword: str) -> int:
    """Return how many chunks of a keyword a dataset has."""
    of_keyword = and_(chunks.c.dataset == dataset, chunks.c.keyword_sha256 == rows.text_sha256(keyword))
    return connection.execute(select(func.count()).select_from(chunks).where(of_keyword)).scalar_one()
