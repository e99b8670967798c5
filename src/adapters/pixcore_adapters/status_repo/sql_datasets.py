"""Whole datasets in the status database: summaries, and the rows of datasets that are deleted, renamed or copied."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import evolve, field, frozen
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Row,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from pixcore.model.chunks import Status
from pixcore.model.datasets import Change, ChangeKind, CopiedChunk, DatasetSummary, renamed_record, renamed_snapshot
from pixcore_adapters.status_repo import (
    changing,
    codec,
    database,
    rows,
    schema,
    sql_changes,
    sql_sums,
    statements,
)
from pixcore_adapters.status_repo.schema import attempts, chunks, decisions, lists, registry, seen_images, seen_urls
from pixcore_adapters.status_repo.statements import PAGE

T = TypeVar("T")

_SEEN_VALUES = [column for column in seen_images.c if column.name not in ("dataset", "sha256")]


@frozen(eq=False)
class SqlDatasets:
    """The whole port, on the tables of the status database.

    Attributes:
        engine: The database of the status repository, or its URL; connects on first use.
        now: The database's time in seconds, as an SQL expression; tests inject their own.
    """

    engine: Engine = field(converter=database.engine_at)
    now: ColumnElement[float] = field()

    @now.default
    def _(self) -> ColumnElement[float]:
        return database.dialect_of(self.engine).now

    def summaries(self) -> Iterator[DatasetSummary]:
        """See the port. One statement for each sum, and one for the stores of each dataset."""
        with database.autocommit(self.engine) as connection:
            changes = sql_changes.read(connection)
            counts: dict[str, dict[Status, Row[Any]]] = {}
            for row in connection.execute(self._sums()):
                counts.setdefault(row.dataset, {})[Status(row.status)] = row
            last = func.max(func.coalesce(attempts.c.ended_at, attempts.c.began_at))
            ended = select(attempts.c.dataset, last.label("at")).group_by(attempts.c.dataset)
            times = {row.dataset: float(row.at) for row in connection.execute(ended)}
            names = sorted({*counts, *(change.dataset for change in changes)})
            stores = {name: statements.stores(connection, name) for name in names}
        for name in names:
            found = counts.get(name, {})
            yield DatasetSummary(
                name,
                {status: row.chunks for status, row in found.items()},
                images=sum(int(row.images or 0) for row in found.values()),
                bytes=sum(int(row.bytes or 0) for row in found.values()),
                stores=stores[name],
                running=sum(int(row.running or 0) for row in found.values()),
                changed=times.get(name, 0.0),
                change=next((change for change in changes if name in change.names), None),
            )

    def changes(self) -> Sequence[Change]:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            return sql_changes.read(connection)

    def begin(self, change: Change) -> Change:
        """See the port. One transaction, which concurrent ones of this method and of ``ensure`` wait for."""
        with database.transaction(self.engine) as connection:
            # as in ``ensure``: concurrent transactions wait for the lock on this row
            next_id = connection.execute(select(registry.c.next_chunk_id).with_for_update()).scalar_one()
            unfinished = sql_changes.read(connection, change.names)
            if same := changing.begun(change, unfinished, partial(_has_chunks, connection)):
                return same
            if change.kind is ChangeKind.DELETE:  # first of all, so that no worker claims one of them from here on
                statements.fail_claimable(connection, change.dataset, self.now)
            if change.kind is not ChangeKind.COPY:
                self._require_idle(connection, change.dataset)
            recorded = evolve(change, first_id=next_id if change.chunks else 0)
            connection.execute(update(registry).values(next_chunk_id=next_id + change.chunks))
            sql_changes.write(connection, recorded)
        return recorded

    def move(self, change: Change, attempts: Mapping[int, int], base: str) -> None:
        """See the port. The images are copied before, in pages, and those of the old name removed by ``end``."""
        dataset, to = change.dataset, change.other
        for page in self._pages(seen_images, seen_images.c.sha256, dataset):
            with database.autocommit(self.engine) as connection:
                connection.execute(self._shared(to, page))
        with database.transaction(self.engine) as connection:
            self._require_idle(connection, dataset)
            self._move_chunks(connection, change, attempts, base)
            _move_lists(connection, dataset, to)
            sql_sums.forget(connection, dataset)
            for table in (schema.attempts, seen_urls):
                connection.execute(update(table).where(table.c.dataset == dataset).values(dataset=to))
            self._share_decisions(connection, dataset, to)
            connection.execute(delete(decisions).where(decisions.c.dataset == dataset))

    def add(self, change: Change, chunks: Iterable[CopiedChunk]) -> None:
        """See the port. One transaction."""
        with database.transaction(self.engine) as connection:
            connection.execute(select(registry.c.next_chunk_id).with_for_update())
            if not sql_changes.remove(connection, change):
                raise changing.given_up(change)
            changing.require_free(change.dataset, partial(_has_chunks, connection))
            now = connection.execute(select(self.now)).scalar_one()
            for page in statements.in_pages(chunks, PAGE):
                self._add(connection, page, now)
            self._share_decisions(connection, change.other, change.dataset)

    def remove(self, change: Change) -> None:
        """See the port. Each page is a transaction of its own; the chunks come last."""
        name = change.dataset
        with database.autocommit(self.engine) as connection:
            self._require_idle(connection, name)
        for table, column in (
            (seen_images, seen_images.c.sha256),
            (seen_urls, seen_urls.c.sha256),
            (decisions, decisions.c.sha256),
            (lists, lists.c.list_sha256),
            (attempts, attempts.c.chunk_index),
            (chunks, chunks.c.chunk_index),
        ):
            for page in self._pages(table, column, name):
                with database.autocommit(self.engine) as connection:
                    idle = ~self._held if table is chunks else literal(value=True)
                    connection.execute(delete(table).where(page, idle))
        with database.transaction(self.engine) as connection:
            self._require_idle(connection, name)
            sql_sums.forget(connection, name)

    def end(self, change: Change) -> None:
        """See the port."""
        if change.kind is ChangeKind.RENAME:
            for page in self._pages(seen_images, seen_images.c.sha256, change.dataset):
                with database.autocommit(self.engine) as connection:
                    connection.execute(delete(seen_images).where(page))
        with database.autocommit(self.engine) as connection:
            sql_changes.remove(connection, change)

    @property
    def _held(self) -> ColumnElement[bool]:
        return and_(chunks.c.status == Status.PROCESSING, chunks.c.lease_expires_at > self.now)

    def _sums(self) -> Executable:
        number_in = database.dialect_of(self.engine).number_in
        # of a completed chunk, the column has the number; to find it in the result costs as much as all the rest
        completed = chunks.c.status == Status.COMPLETED
        images = case((completed, chunks.c.accepted), else_=number_in(chunks.c.result, "accepted"))
        return (
            select(
                chunks.c.dataset,
                chunks.c.status,
                func.count().label("chunks"),
                func.sum(case((self._held, 1), else_=0)).label("running"),
                func.sum(images).label("images"),
                func.sum(number_in(chunks.c.result, "bytes")).label("bytes"),
            )
            .group_by(chunks.c.dataset, chunks.c.status)
            .order_by(chunks.c.dataset, chunks.c.status)
        )

    def _require_idle(self, connection: Connection, dataset: str) -> None:
        query = select(func.count()).select_from(chunks).where(chunks.c.dataset == dataset, self._held)
        if held := connection.execute(query).scalar_one():
            raise changing.held(dataset, held)

    def _pages(self, table: Table, column: Column[Any], dataset: str) -> Iterator[ColumnElement[bool]]:
        """Yield conditions that select the rows of a dataset in pages, by ``column``, with no transaction open."""
        after: object = None
        while True:
            rest = table.c.dataset == dataset
            if after is not None:
                rest &= column > after
            query = select(column).where(rest).order_by(column).offset(PAGE - 1).limit(1)
            with database.autocommit(self.engine) as connection:
                last = connection.execute(query).scalar_one_or_none()
            if last is None:
                yield rest
                return
            yield and_(rest, column <= last)
            after = last

    def _shared(self, dataset: str, wanted: ColumnElement[bool], **values: object) -> Executable:
        """Build the statement that gives images to another dataset too, with other ``values``."""
        new = database.dialect_of(self.engine).insert(seen_images)
        columns = [literal(values[one.name]) if one.name in values else one for one in _SEEN_VALUES]
        query = select(literal(dataset), seen_images.c.sha256, *columns).where(wanted)
        names = ["dataset", "sha256", *(one.name for one in _SEEN_VALUES)]
        # what an earlier try has left under the new name may be out of date
        newest = {one.name: new.excluded[one.name] for one in _SEEN_VALUES}
        key = [seen_images.c.dataset, seen_images.c.sha256]
        return new.from_select(names, query).on_conflict_do_update(index_elements=key, set_=newest)

    def _share_decisions(self, connection: Connection, dataset: str, to: str) -> None:
        """Give the decisions of a dataset to another one too, unless it has its own about the same."""
        others = [column for column in decisions.c if column.name != "dataset"]
        query = select(literal(to), *others).where(decisions.c.dataset == dataset)
        new = database.dialect_of(self.engine).insert(decisions)
        new = new.from_select(["dataset", *(column.name for column in others)], query)
        connection.execute(new.on_conflict_do_nothing())

    def _move_chunks(self, connection: Connection, change: Change, attempts: Mapping[int, int], base: str) -> None:
        of_dataset = chunks.c.dataset == change.dataset
        query = select(chunks, self.now.label("now")).where(of_dataset).order_by(chunks.c.chunk_index).limit(PAGE)
        key = and_(of_dataset, chunks.c.id == bindparam("the_id"))
        write = update(chunks).where(key).execution_options(preserve_rowcount=True)
        moved, last = 0, -1
        while page := connection.execute(query.where(chunks.c.chunk_index > last).with_for_update()).all():
            last = page[-1].chunk_index
            records = [rows.record(row) for row in page]
            if any(attempts.get(record.chunk.id) != record.attempt for record in records):
                raise changing.outdated(change.dataset)
            after = [renamed_record(record, change.other, base) for record in records]
            values = [
                {
                    "the_id": record.chunk.id,
                    "dataset": change.other,
                    "request": codec.text(record.chunk.request),
                    "taken": codec.text(record.chunk.taken) if record.chunk.taken else "",
                    "result": codec.text(record.result) if record.result else None,
                    "revision": row.revision + 1,
                }
                for record, row in zip(after, page, strict=True)
            ]
            connection.execute(write, values)
            moved += len(page)
        if moved != len(attempts):
            raise changing.outdated(change.dataset)

    def _add(self, connection: Connection, copies: Sequence[CopiedChunk], now: float) -> None:
        records = [changing.copied(one) for one in copies]
        connection.execute(insert(chunks), [rows.new(record, now) for record in records])
        ended = {"ended_at": now, "status": Status.COMPLETED}
        connection.execute(insert(attempts), [{**rows.new_attempt(record, now), **ended} for record in records])
        for one, record in zip(copies, records, strict=True):
            owner = {"chunk_id": one.id, "attempt": record.attempt}
            for page in statements.in_pages(one.images, PAGE):
                of_source = and_(
                    seen_images.c.dataset == one.source.chunk.request.dataset,
                    seen_images.c.chunk_id == one.source.chunk.id,
                    seen_images.c.sha256.in_(page),
                )
                connection.execute(self._shared(one.request.dataset, of_source, **owner))


def _has_chunks(connection: Connection, dataset: str) -> bool:
    query = select(chunks.c.id).where(chunks.c.dataset == dataset).limit(1)
    return connection.execute(query).one_or_none() is not None


def _move_lists(connection: Connection, dataset: str, to: str) -> None:
    of_dataset = lists.c.dataset == dataset
    for row in connection.execute(select(lists).where(of_dataset)).all():
        allocation = rows.allocation(row)
        snapshot = renamed_snapshot(allocation.snapshot, dataset, to)
        key = and_(of_dataset, lists.c.scope_sha256 == row.scope_sha256, lists.c.list_sha256 == row.list_sha256)
        values = rows.list_columns(evolve(allocation, snapshot=snapshot))
        connection.execute(update(lists).where(key).values(dataset=to, **values))
