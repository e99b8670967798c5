"""A status repository in an SQL database that any number of processes share: SQLite or PostgreSQL.

A change reads the row, applies a shared transition, and writes the result by one compare-and-set on the row's
revision. If another process changed the row in between, it starts over.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from attrs import field, frozen
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Row,
    Select,
    and_,
    case,
    distinct,
    func,
    insert,
    select,
    true,
    tuple_,
    update,
)

from pixcore.model.chunks import Attempt, Chunk, ChunkKey, ChunkRecord, Overview, Phase, Status
from pixcore.model.requests import ChunkRequest
from pixcore_adapters.status_repo import attempts, codec, database, ensuring, overviews, rows, schema, transitions
from pixcore_adapters.status_repo.base import BaseStatusRepo
from pixcore_adapters.status_repo.schema import chunks, registry

_PAGE = 1000  # rows in one statement; bounds memory, and stays below the databases' limits on parameters


@frozen(eq=False)
class SqlStatusRepo(BaseStatusRepo):
    """The whole port, on a database whose schema ``migrate`` has created. Threads and forked processes may share it.

    Attributes:
        engine: The database, or its URL such as ``sqlite:///./status.db`` or ``postgresql+psycopg://user@host/db``;
            connects on first use.
        max_failures: The number of failures at which a chunk fails for good.
        now: The database's time in seconds, as an SQL expression; tests inject their own.
    """

    engine: Engine = field(converter=database.engine_at)
    max_failures: int = 3
    now: ColumnElement[float] = field()

    @now.default
    def _(self) -> ColumnElement[float]:
        return database.dialect_of(self.engine).now

    @property
    def identity(self) -> str:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            return str(connection.execute(select(registry.c.identity)).scalar_one())

    def ensure(self, requests: Sequence[ChunkRequest], *, beside: int | None = None) -> Sequence[Chunk]:
        """See the port. One transaction; a batch of a thousand requests blocks other writers for about 50 ms."""
        wanted = ensuring.by_index(requests)
        with database.transaction(self.engine) as connection:
            # FOR UPDATE: on PostgreSQL, concurrent transactions wait for the lock on this row
            next_id = connection.execute(select(registry.c.next_chunk_id).with_for_update()).scalar_one()
            existing = _existing(connection, wanted)
            created = {}
            for request in ensuring.missing(wanted, existing, beside, partial(_count, connection)):
                id_, next_id = (next_id, next_id + 1) if request.dataset else (request.index, next_id)
                created[request.dataset, request.index] = Chunk(id_, request)
            if created:
                connection.execute(insert(chunks), [rows.new(chunk) for chunk in created.values()])
                connection.execute(update(registry).values(next_chunk_id=next_id))
        all_ = {**existing, **created}
        return [all_[request.dataset, request.index] for request in requests]

    def cancel(self, dataset: str) -> int:
        """See the port. One statement applies the rule of ``transitions.cancelled`` to all chunks."""
        pending = chunks.c.status == Status.PENDING
        stop = (
            update(chunks)
            .where(chunks.c.dataset == dataset, chunks.c.status.in_(transitions.UNFINISHED))
            .values(
                status=case((pending, Status.FAILED), else_=chunks.c.status),
                error=case((pending, transitions.CANCELLED), else_=chunks.c.error),
                cancel_requested=True,
                revision=chunks.c.revision + 1,
            )
        )
        with database.autocommit(self.engine) as connection:
            return connection.execute(stop).rowcount

    def assign(self, keys: Sequence[ChunkKey], queue: str) -> None:
        """See the port. One transaction; writes only the rows that change."""
        with database.transaction(self.engine) as connection:
            for dataset, ids in _pages((key.dataset, key.id) for key in keys):
                selected = _in_list(dataset, chunks.c.id, ids)
                existing = set(connection.scalars(select(chunks.c.id).where(selected)))
                if absent := set(ids) - existing:
                    raise transitions.unknown_chunk(ChunkKey(dataset, min(absent)))
                change = update(chunks).where(selected, chunks.c.queue != queue)
                connection.execute(change.values(queue=queue, revision=chunks.c.revision + 1))

    def get(self, key: ChunkKey) -> ChunkRecord:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            record, _ = self._read(connection, key)
        return record

    def find(self, dataset: str, status: Status | None = None, keyword: str | None = None) -> Iterator[ChunkRecord]:
        """See the port. Reads one page at a time, each in its own transaction, and keeps none open in between."""
        wanted = chunks.c.dataset == dataset
        if status is not None:
            wanted &= chunks.c.status == status
        if keyword is not None:
            wanted &= chunks.c.keyword_sha256 == rows.keyword_sha256(keyword)
        return self._records(wanted, chunks.c.chunk_index)

    def overdue(self, queue: str) -> Iterator[ChunkRecord]:
        """See the port. Reads like ``find``. Remembers the expired chunks: at most one for each worker."""
        of_queue = chunks.c.queue == queue
        expired = (chunks.c.status == Status.PROCESSING) & (chunks.c.lease_expires_at <= self.now)
        due = (chunks.c.status == Status.PENDING) & (chunks.c.due_at <= self.now)
        yielded = set()
        for record in self._records(of_queue & expired, chunks.c.dataset, chunks.c.chunk_index):
            yielded.add(record.chunk.key)
            yield record
        for record in self._records(of_queue & due, chunks.c.dataset, chunks.c.chunk_index):
            if record.chunk.key not in yielded:  # an expired chunk may have been freed meanwhile
                yield record

    def summary(self) -> Mapping[str, Mapping[Status, int]]:
        """See the port."""
        by = (chunks.c.dataset, chunks.c.status)
        with database.autocommit(self.engine) as connection:
            counts = connection.execute(select(*by, func.count()).group_by(*by).order_by(*by)).all()
        return {
            dataset: {Status(status): count for _, status, count in of_dataset}
            for dataset, of_dataset in groupby(counts, key=lambda row: str(row.dataset))
        }

    def overview(self, dataset: str | None = None) -> Overview:
        """See the port. Each statement is its own transaction. Only the thousand most frequent errors are counted."""
        wanted = true() if dataset is None else chunks.c.dataset == dataset
        by = (chunks.c.status, chunks.c.phase)
        phases = select(*by, func.count(), func.sum(chunks.c.accepted)).where(wanted).group_by(*by).order_by(*by)
        live = chunks.c.lease_expires_at > self.now
        running = select(
            func.count(distinct(case((live, chunks.c.owner)))),
            func.count(case((~live, 1))),
            func.min(case((live, chunks.c.claimed_at))),
            self.now,
        ).where(wanted, chunks.c.status == Status.PROCESSING)
        errors = (
            select(chunks.c.error, func.count().label("times"))
            .where(wanted, chunks.c.error != "")  # a claim clears the error
            .group_by(chunks.c.error)
            .order_by(func.count().desc(), chunks.c.error)
            .limit(_PAGE)
        )
        with database.autocommit(self.engine) as connection:
            counts = connection.execute(phases).all()
            workers, expired, oldest, now = connection.execute(running).one()
            found = {row.error: row.times for row in connection.execute(errors)}
        return Overview(
            phases={
                Status(status): {Phase(phase): count for _, phase, count, _ in of_status}
                for status, of_status in groupby(counts, key=lambda row: str(row.status))
            },
            accepted=sum(int(accepted) for *_, accepted in counts),
            workers=workers,
            expired=expired,
            oldest=0.0 if oldest is None else max(0.0, now - oldest),
            errors=overviews.grouped(found),
        )

    def history(self, dataset: str) -> Iterator[Attempt]:
        """See the port. Reads like ``find``."""
        of_dataset = select(schema.attempts).where(schema.attempts.c.dataset == dataset)
        found = self._paged(of_dataset, schema.attempts.c.chunk_index, schema.attempts.c.attempt)
        return map(rows.attempt, found)

    def _select(self) -> Select[tuple[object, ...]]:
        return select(chunks, self.now.label("now"))

    def _records(self, wanted: ColumnElement[bool], *order: Column[object]) -> Iterator[ChunkRecord]:
        """Yield the records that match ``wanted``; see ``_paged``."""
        return map(rows.record, self._paged(self._select().where(wanted), *order))

    def _paged(self, wanted: Select[Any], *order: Column[object]) -> Iterator[Row[Any]]:
        """Yield each row once, page by page, with no transaction open in between.

        The columns of ``order`` must be unique together, and must never change.
        """
        query = wanted.order_by(*order).limit(_PAGE)
        page = query
        while True:
            with database.autocommit(self.engine) as connection:
                found = connection.execute(page).all()
            yield from found
            if len(found) < _PAGE:
                return
            last = found[-1]
            page = query.where(tuple_(*order) > tuple(getattr(last, column.name) for column in order))

    def _read(self, connection: Connection, key: ChunkKey) -> tuple[ChunkRecord, Row[tuple[object, ...]]]:
        row = connection.execute(self._select().where(_has_key(key))).one_or_none()
        if row is None:
            raise transitions.unknown_chunk(key)
        return rows.record(row), row

    def _apply(
        self, key: ChunkKey, transition: Callable[[ChunkRecord], ChunkRecord]
    ) -> tuple[ChunkRecord, ChunkRecord]:
        while True:
            with database.autocommit(self.engine) as connection:
                before, row = self._read(connection, key)
            after = transition(before)
            if after is before:
                return before, after
            unchanged = and_(_has_key(key), chunks.c.revision == row.revision)
            write = update(chunks).where(unchanged).values(revision=row.revision + 1, **rows.columns(after, row.now))
            further = _attempt_statements(before, after, row.now)
            with (database.transaction if further else database.autocommit)(self.engine) as connection:
                if connection.execute(write).rowcount:
                    for statement in further:
                        connection.execute(statement)
                    return before, after


def _attempt_statements(before: ChunkRecord, after: ChunkRecord, now: float) -> Sequence[Executable]:
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


def _has_key(key: ChunkKey) -> ColumnElement[bool]:
    return and_(chunks.c.dataset == key.dataset, chunks.c.id == key.id)


def _in_list(dataset: str, column: Column[int], numbers: Sequence[int]) -> ColumnElement[bool]:
    """Select a dataset's rows by ``column``; ``numbers`` ascend.

    The redundant BETWEEN makes PostgreSQL use the index even when its statistics are of a smaller dataset.
    """
    return and_(chunks.c.dataset == dataset, column.between(numbers[0], numbers[-1]), column.in_(numbers))


def _pages(pairs: Iterable[tuple[str, int]]) -> Iterator[tuple[str, list[int]]]:
    """Group pairs of dataset and number by dataset; yield the distinct numbers in ascending pages of ``_PAGE``."""
    for dataset, of_dataset in groupby(sorted(set(pairs)), key=lambda pair: pair[0]):
        numbers = [number for _, number in of_dataset]
        for start in range(0, len(numbers), _PAGE):
            yield dataset, numbers[start : start + _PAGE]


def _existing(
    connection: Connection, wanted: Mapping[ensuring.IndexKey, ChunkRequest]
) -> dict[ensuring.IndexKey, Chunk]:
    """Return the chunks that exist already under the wanted keys."""
    existing = {}
    for dataset, indices in _pages(wanted):
        selected = _in_list(dataset, chunks.c.chunk_index, indices)
        query = select(chunks.c.chunk_index, chunks.c.id, chunks.c.request).where(selected)
        for index, id_, text in connection.execute(query):
            expected = wanted[dataset, index]
            # Equal text is the fast path. Different text may hold an equal request that another version wrote.
            request = expected if text == codec.text(expected) else codec.value(ChunkRequest, text)
            existing[dataset, index] = Chunk(id_, request)
    return existing


def _count(connection: Connection, dataset: str, keyword: str) -> int:
    of_keyword = and_(chunks.c.dataset == dataset, chunks.c.keyword_sha256 == rows.keyword_sha256(keyword))
    return connection.execute(select(func.count()).select_from(chunks).where(of_keyword)).scalar_one()
