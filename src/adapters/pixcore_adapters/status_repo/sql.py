"""A status repository in an SQL database, shared by any number of processes: on SQLite's file, or on PostgreSQL.

Every change is read, decided by a shared transition, and written by one compare-and-set on the row's revision; whoever
loses the race reads again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from attrs import field, frozen
from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, case, func, insert, select, update

from pixcore.model import (
    Chunk,
    ChunkKey,
    ChunkRecord,
    ChunkRequest,
    ChunkResult,
    Phase,
    Progress,
    Status,
)
from pixcore_adapters.status_repo import codec, database, transitions
from pixcore_adapters.status_repo.changes import Changes
from pixcore_adapters.status_repo.schema import chunks, registry

_PAGE = 1000  # rows a statement: bounds memory, and stays below the databases' limits on parameters


@frozen(eq=False)
class SqlStatusRepo(Changes):
    """The whole port on a database whose schema ``migrate`` has made. Safe to share among threads and across a fork.

    Attributes:
        engine: The database, or its URL such as ``sqlite:///./status.db`` or ``postgresql+psycopg://user@host/db``;
            connects on first use.
        max_failures: How many failures a chunk may have before it has failed for good.
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

    def ensure(self, requests: Sequence[ChunkRequest]) -> Sequence[Chunk]:
        """See the port. One transaction; batches of about a thousand hold others up for some 50 ms."""
        wanted: dict[tuple[str, int], ChunkRequest] = {}
        for request in requests:
            if wanted.setdefault((request.dataset, request.index), request) != request:
                raise transitions.differs(request)
        with database.transaction(self.engine) as connection:
            # for update: where transactions run side by side, this row is the one that they queue for
            next_id = connection.execute(select(registry.c.next_chunk_id).with_for_update()).scalar_one()
            ids = _ids(connection, wanted)
            rows = []
            for place, request in wanted.items():
                if place not in ids:
                    ids[place], next_id = (next_id, next_id + 1) if request.dataset else (request.index, next_id)
                    rows.append(_new_row(Chunk(ids[place], request)))
            if rows:
                connection.execute(insert(chunks), rows)
                connection.execute(update(registry).values(next_chunk_id=next_id))
        return [Chunk(ids[request.dataset, request.index], request) for request in requests]

    def cancel(self, dataset: str) -> int:
        """See the port. One statement says what ``transitions.cancelled`` says of a chunk."""
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

    def get(self, key: ChunkKey) -> ChunkRecord:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            record, _ = self._read(connection, key)
        return record

    def find(self, dataset: str, status: Status | None = None) -> Iterator[ChunkRecord]:
        """See the port. Reads a page at a time, each as of its own moment, and holds nothing open in between."""
        query = self._select().where(chunks.c.dataset == dataset).order_by(chunks.c.chunk_index).limit(_PAGE)
        if status is not None:
            query = query.where(chunks.c.status == status)
        last = -1
        while True:
            with database.autocommit(self.engine) as connection:
                rows = connection.execute(query.where(chunks.c.chunk_index > last)).all()
            if not rows:
                return
            last = rows[-1].chunk_index
            yield from map(_record, rows)

    def summary(self) -> Mapping[str, Mapping[Status, int]]:
        """See the port."""
        by = (chunks.c.dataset, chunks.c.status)
        with database.autocommit(self.engine) as connection:
            rows = connection.execute(select(*by, func.count()).group_by(*by).order_by(*by)).all()
        return {
            dataset: {Status(status): count for _, status, count in counts}
            for dataset, counts in groupby(rows, key=lambda row: str(row.dataset))
        }

    def _select(self) -> Select[tuple[object, ...]]:
        return select(chunks, self.now.label("now"))

    def _read(self, connection: Connection, key: ChunkKey) -> tuple[ChunkRecord, Row[tuple[object, ...]]]:
        row = connection.execute(self._select().where(_is(key))).one_or_none()
        if row is None:
            raise transitions.unknown(key)
        return _record(row), row

    def _change(
        self, key: ChunkKey, transition: Callable[[ChunkRecord], ChunkRecord]
    ) -> tuple[ChunkRecord, ChunkRecord]:
        with database.autocommit(self.engine) as connection:
            while True:
                before, row = self._read(connection, key)
                after = transition(before)
                if after is before:
                    return before, after
                unchanged = and_(_is(key), chunks.c.revision == row.revision)
                write = update(chunks).where(unchanged).values(revision=row.revision + 1, **_columns(after, row.now))
                if connection.execute(write).rowcount:
                    return before, after


def _is(key: ChunkKey) -> ColumnElement[bool]:
    return and_(chunks.c.dataset == key.dataset, chunks.c.id == key.id)


def _ids(connection: Connection, wanted: Mapping[tuple[str, int], ChunkRequest]) -> dict[tuple[str, int], int]:
    """The ids of those chunks that are there already, with the wanted requests."""
    ids = {}
    for dataset, places in groupby(sorted(wanted), key=lambda place: place[0]):
        indices = [index for _, index in places]
        for start in range(0, len(indices), _PAGE):
            page = chunks.c.chunk_index.in_(indices[start : start + _PAGE])
            query = select(chunks.c.chunk_index, chunks.c.id, chunks.c.request).where(chunks.c.dataset == dataset, page)
            for index, id_, request in connection.execute(query):
                asked = wanted[dataset, index]
                # the text decides quickly; another version of pixcore may have written it differently
                if request != codec.text(asked) and codec.value(ChunkRequest, request) != asked:
                    raise transitions.differs(asked)
                ids[dataset, index] = id_
    return ids


def _new_row(chunk: Chunk) -> dict[str, object]:
    request = chunk.request
    return {
        "dataset": request.dataset,
        "id": chunk.id,
        "chunk_index": request.index,
        "request": codec.text(request),
        "revision": 0,
        **_columns(transitions.planned(chunk), now=0.0),
    }


def _columns(record: ChunkRecord, now: float) -> dict[str, object]:
    """What a change may write, by column; ``_record`` reads it back."""
    return {
        "status": record.status,
        "phase": record.phase,
        "attempt": record.attempt,
        "failures": record.failures,
        "owner": record.owner,
        "lease_expires_at": now + record.lease_left,
        "due_at": now + record.due_in,
        "cancel_requested": record.cancel_requested,
        "progress": codec.text(record.progress),
        "result": codec.text(record.result) if record.result else None,
        "error": record.error,
    }


def _record(row: Row[tuple[object, ...]]) -> ChunkRecord:
    status = Status(row.status)
    return ChunkRecord(
        chunk=Chunk(row.id, codec.value(ChunkRequest, row.request)),
        status=status,
        phase=Phase(row.phase),
        attempt=row.attempt,
        failures=row.failures,
        owner=row.owner,
        lease_left=row.lease_expires_at - row.now if status is Status.PROCESSING else 0.0,
        due_in=max(0.0, row.due_at - row.now) if status is Status.PENDING else 0.0,
        cancel_requested=row.cancel_requested,
        progress=codec.value(Progress, row.progress),
        result=codec.value(ChunkResult, row.result) if row.result else None,
        error=row.error,
    )
