"""Read and change the table of lists, within a caller's transaction. Its rows hold how far each list is claimed."""

from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from pixcore.model.positions import Allocation
from pixcore_adapters.status_repo import rows
from pixcore_adapters.status_repo.allocating import ListKey
from pixcore_adapters.status_repo.schema import lists


def read(connection: Connection, keys: Iterable[ListKey], *, lock: bool = False) -> dict[ListKey, Allocation]:
    """Return the allocations that exist under the keys.

    With ``lock``, no other transaction can change them before this one ends. Lock in the order of the keys, so that two
    transactions never deadlock.
    """
    found: dict[ListKey, Allocation] = {}
    for key in sorted(keys) if lock else keys:
        query = select(lists).where(_has_key(key))
        row = connection.execute(query.with_for_update() if lock else query).one_or_none()
        if row is not None:
            found[key] = rows.allocation(row)
    return found


def of_scope(connection: Connection, dataset: str, keyword: str) -> list[Allocation]:
    """Return all allocations of a dataset or, without one, of a keyword."""
    wanted = and_(lists.c.dataset == dataset, lists.c.scope_sha256 == rows.text_sha256(keyword))
    return [rows.allocation(row) for row in connection.execute(select(lists).where(wanted))]


def of_scopes(connection: Connection, scopes: Iterable[tuple[str, str]]) -> dict[ListKey, Allocation]:
    """Return all allocations of these scopes by their keys."""
    return {
        (*scope, one.source, one.query, one.licenses): one for scope in scopes for one in of_scope(connection, *scope)
    }


def write(connection: Connection, before: Mapping[ListKey, Allocation], after: Mapping[ListKey, Allocation]) -> None:
    """Create or change the rows of ``after``; ``before`` holds the locked rows that exist."""
    for key, allocation in after.items():
        columns = rows.list_columns(allocation)
        if key not in before:
            connection.execute(insert(lists).values(**rows.list_key(key), **columns))
        elif allocation != before[key]:
            connection.execute(update(lists).where(_has_key(key)).values(columns))


def _has_key(key: ListKey) -> ColumnElement[bool]:
    return and_(*(lists.c[column] == value for column, value in rows.list_key(key).items()))
