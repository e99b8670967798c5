"""A status repository in an SQL database that any number of processes share: SQLite or PostgreSQL.

A change reads the row, applies a shared transition, and writes the result by one compare-and-set on the row's
revision. If another process changed the row in between, it starts over.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from attrs import field, frozen
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    insert,
    or_,
    select,
    update,
)

from pixcore.model.chunks import Attempt, Chunk, ChunkKey, ChunkRecord, Claim, Priority, Status
from pixcore.model.overview import Overview, RestingWorker
from pixcore.model.planned import Planned
from pixcore.model.positions import Allocation
from pixcore.model.requests import ChunkRequest, Slice
from pixcore_adapters.status_repo import (
    allocating,
    database,
    ensuring,
    rows,
    schema,
    sql_changes,
    sql_lists,
    sql_overview,
    sql_planned,
    sql_resting,
    sql_sums,
    statements,
    transitions,
)
from pixcore_adapters.status_repo.base import BaseStatusRepo
from pixcore_adapters.status_repo.schema import chunks, registry


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

    def ensure(
        self, requests: Sequence[ChunkRequest], *, beside: int | None = None, store: str = ""
    ) -> Sequence[Chunk]:
        """See the port. One transaction; a batch of a thousand requests blocks other writers for about 50 ms."""
        wanted = ensuring.by_index(requests)
        with database.transaction(self.engine) as connection:
            # FOR UPDATE: on PostgreSQL, concurrent transactions wait for the lock on this row
            next_id = connection.execute(select(registry.c.next_chunk_id).with_for_update()).scalar_one()
            existing = statements.existing(connection, wanted)
            created = {}
            for request in ensuring.missing(wanted, existing, beside, partial(sql_planned.count, connection)):
                id_, next_id = (next_id, next_id + 1) if request.dataset else (request.index, next_id)
                created[request.dataset, request.index] = Chunk(id_, request)
            if created:
                new = [chunk.request for chunk in created.values()]
                summed_up = sql_changes.reserve(connection, next_id, {request.dataset for request in new})
                records = [rows.new(transitions.new_record(chunk, store)) for chunk in created.values()]
                lists = sql_lists.read(
                    connection, {key for request in new for key in allocating.list_keys(request)}, lock=True
                )
                others = sql_lists.of_scopes(connection, {allocating.scope(one.dataset, one.keyword) for one in new})
                planned = allocating.planned(new, {**others, **lists})
                sql_lists.write(connection, lists, planned)
                if summed_up:
                    sql_planned.add(connection, new)
                connection.execute(insert(chunks), records)
        all_ = {**existing, **created}
        return [all_[request.dataset, request.index] for request in requests]

    def take(self, claim: Claim, wanted: int, *, owned: int) -> Chunk:
        """See the port. One transaction, which locks the chunk's lists; starts over if the chunk has changed."""
        while True:
            with suppress(_Changed), database.transaction(self.engine) as connection:
                before, row = self._read(connection, claim.chunk)
                keys = allocating.list_keys(before.chunk.request)
                lists = sql_lists.read(connection, keys, lock=True)
                part, changed = allocating.taken(lists, keys, wanted)
                after = transitions.taken(before, claim, part, owned)
                if part is None or after is not before:
                    if after is not before and not connection.execute(statements.write(row, after)).rowcount:
                        raise _Changed
                    sql_lists.write(connection, lists, changed)
                return after.chunk

    def give_back(self, claim: Claim, keep: int) -> Chunk:
        """See the port. One transaction, as for ``take``."""
        while True:
            with suppress(_Changed), database.transaction(self.engine) as connection:
                before, row = self._read(connection, claim.chunk)
                chunk, surplus = allocating.without_surplus(before.chunk, keep)
                after = transitions.gave_back(before, claim, chunk)
                if surplus:
                    lists = sql_lists.read(connection, allocating.list_keys(chunk.request), lock=True)
                    if after is not before and not connection.execute(statements.write(row, after)).rowcount:
                        raise _Changed
                    sql_lists.write(connection, lists, allocating.given_back(lists, chunk.request, surplus))
                return chunk

    def extend(self, dataset: str, keyword: str, parts: Sequence[Slice]) -> None:
        """See the port. One transaction."""
        keys = allocating.scoped(dataset, keyword, parts)
        with database.transaction(self.engine) as connection:
            before = sql_lists.read(connection, keys, lock=True)
            sql_lists.write(connection, before, allocating.extended(keys, before))

    def allocations(self, dataset: str, keyword: str) -> Sequence[Allocation]:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            return sql_lists.of_scope(connection, *allocating.scope(dataset, keyword))

    def cancel(self, dataset: str) -> int:
        """See the port. One transaction, of a statement for each ten thousand chunks."""
        with database.transaction(self.engine) as connection:
            return statements.cancel(connection, dataset)

    def assign(self, keys: Sequence[ChunkKey], queue: str, priority: Priority | None = None) -> None:
        """See the port. One transaction; writes only the rows that change."""
        with database.transaction(self.engine) as connection:
            for dataset, ids in statements.pages((key.dataset, key.id) for key in keys):
                selected = statements.in_list(dataset, chunks.c.id, ids)
                values: dict[str, str] = {"queue": queue} | ({"priority": priority} if priority else {})
                differs = or_(*(chunks.c[name] != value for name, value in values.items()))
                change = update(chunks).where(selected, differs).values(**values, revision=chunks.c.revision + 1)
                if connection.execute(change).rowcount < len(ids):  # some had them already, or do not exist
                    absent = set(ids) - set(connection.scalars(select(chunks.c.id).where(selected)))
                    if absent:
                        raise transitions.unknown_chunk(ChunkKey(dataset, min(absent)))

    def get(self, key: ChunkKey) -> ChunkRecord:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            record, _ = self._read(connection, key)
        return record

    def numbered(self, dataset: str, index: int) -> ChunkRecord | None:
        """See the port."""
        query = self._select().where(chunks.c.dataset == dataset, chunks.c.chunk_index == index)
        with database.autocommit(self.engine) as connection:
            row = connection.execute(query).one_or_none()
        return row and rows.record(row)

    def planned(self, dataset: str, keyword: str) -> Planned:
        """See the port. One statement, if the sums are stored."""
        return sql_planned.read(self.engine, dataset, keyword)

    def find(self, dataset: str, status: Status | None = None, keyword: str | None = None) -> Iterator[ChunkRecord]:
        """See the port. Reads one page at a time, each in its own transaction, and keeps none open in between."""
        wanted = chunks.c.dataset == dataset
        if status is not None:
            wanted &= chunks.c.status == status
        if keyword is not None:
            wanted &= chunks.c.keyword_sha256 == rows.text_sha256(keyword)
        return self._records(wanted, chunks.c.chunk_index)

    def newer(self, dataset: str, after: int) -> Iterator[ChunkRecord]:
        """See the port. Reads like ``find``."""
        return self._records((chunks.c.dataset == dataset) & (chunks.c.id > after), chunks.c.id)

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

    def stores(self, dataset: str) -> Sequence[str]:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            return statements.stores(connection, dataset)

    def elsewhere(self, queue: str, store: str) -> Sequence[str]:
        """See the port."""
        foreign = chunks.c.store.not_in(("", store)) & (chunks.c.queue == queue)
        query = select(chunks.c.dataset).where(foreign, chunks.c.status.in_(transitions.UNFINISHED)).distinct()
        with database.autocommit(self.engine) as connection:
            return list(connection.scalars(query.order_by(chunks.c.dataset)))

    def rest(self, worker: RestingWorker, ttl: float) -> None:
        """See the port."""
        with database.transaction(self.engine) as connection:
            sql_resting.write(connection, self.now, worker, ttl)

    def resume(self, worker: str) -> None:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            sql_resting.remove(connection, worker)

    def summary(self) -> Mapping[str, Mapping[Status, int]]:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            return sql_overview.summary(connection)

    def overview(self, dataset: str | None = None) -> Overview:
        """See the port. Each statement is its own transaction."""
        with database.autocommit(self.engine) as connection:
            return sql_overview.read(connection, self.now, dataset)

    def keep_counts(self, dataset: str, counts: str) -> None:
        """See the port."""
        with database.transaction(self.engine) as connection:
            sql_sums.write(connection, database.dialect_of(self.engine), dataset, counts)

    def kept_counts(self, dataset: str) -> str:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            return sql_sums.read(connection, dataset)

    def history(self, dataset: str) -> Iterator[Attempt]:
        """See the port. Reads like ``find``."""
        of_dataset = select(schema.attempts).where(schema.attempts.c.dataset == dataset)
        found = statements.paged(self.engine, of_dataset, schema.attempts.c.chunk_index, schema.attempts.c.attempt)
        return map(rows.attempt, found)

    def _select(self) -> Select[tuple[object, ...]]:
        return select(chunks, self.now.label("now"))

    def _records(self, wanted: ColumnElement[bool], *order: Column[object]) -> Iterator[ChunkRecord]:
        """Yield the records that match ``wanted``; see ``statements.paged``."""
        return map(rows.record, statements.paged(self.engine, self._select().where(wanted), *order))

    def _read(self, connection: Connection, key: ChunkKey) -> tuple[ChunkRecord, Row[tuple[object, ...]]]:
        row = connection.execute(self._select().where(statements.has_key(key))).one_or_none()
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
            write = statements.write(row, after, request_changed=after.chunk.request != before.chunk.request)
            further = statements.attempt_statements(before, after, row.now)
            with (database.transaction if further else database.autocommit)(self.engine) as connection:
                if connection.execute(write).rowcount:
                    for statement in further:
                        connection.execute(statement)
                    return before, after


class _Changed(Exception):
    """Another transaction changed a row since it was read. Rolls this one back, which starts over."""
