"""The rows of unfinished changes of datasets."""

from collections.abc import Collection
from typing import Any

from attrs import asdict
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, insert, or_, select, update

from pixcore.model.datasets import Change, ChangeKind
from pixcore_adapters.status_repo import changing
from pixcore_adapters.status_repo.schema import changes as table
from pixcore_adapters.status_repo.schema import keywords, registry


def read(connection: Connection, datasets: Collection[str] | None = None) -> list[Change]:
    """Return the unfinished changes that name one of these datasets, or all, by the names of their datasets."""
    query = select(table).order_by(table.c.dataset)
    if datasets is not None:
        query = query.where(name(datasets))
    return [_change(row) for row in connection.execute(query)]


def name(datasets: Collection[str]) -> ColumnElement[bool]:
    """Build the condition that a change names one of these datasets."""
    return or_(table.c.dataset.in_(datasets), table.c.other.in_([dataset for dataset in datasets if dataset]))


def reserve(connection: Connection, next_id: int, datasets: Collection[str]) -> bool:
    """Store the next chunk's id, or refuse if an unfinished change names one of the datasets.

    Return whether one of them may have keywords with sums, which change with the plan. The caller holds the lock on the
    registry's row. One statement, if there is neither.

    Raises:
        InvalidRequest: As ``changing.refuse`` raises it.
    """
    store = update(registry).values(next_chunk_id=next_id)
    summed_up = exists().where(keywords.c.dataset.in_(datasets))
    if connection.execute(store.where(~exists().where(name(datasets)), ~summed_up)).rowcount:
        return False
    changing.refuse(read(connection, datasets))
    connection.execute(store)
    return True


def write(connection: Connection, change: Change) -> None:
    """Record a change. It replaces another one of the same dataset."""
    connection.execute(delete(table).where(table.c.dataset == change.dataset))
    connection.execute(insert(table).values(asdict(change)))


def remove(connection: Connection, change: Change) -> bool:
    """Remove the record of a change; return whether there was one."""
    return connection.execute(delete(table).where(_is(change))).rowcount > 0


def _is(change: Change) -> ColumnElement[bool]:
    return and_(table.c.dataset == change.dataset, table.c.kind == change.kind, table.c.other == change.other)


def _change(row: Row[Any]) -> Change:
    return Change(ChangeKind(row.kind), row.dataset, row.other, row.condition, row.chunks, row.first_id)
