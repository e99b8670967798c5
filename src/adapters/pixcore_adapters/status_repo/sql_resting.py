"""Read and change the table of resting workers, within a caller's connection."""

from sqlalchemy import ColumnElement, Connection, delete, select, update

from pixcore.errors import Fault
from pixcore.model.overview import RestingWorker
from pixcore_adapters.status_repo import database
from pixcore_adapters.status_repo.schema import resting_workers as table


def write(connection: Connection, now: ColumnElement[float], worker: RestingWorker, ttl: float) -> None:
    """Store that the worker rests for ``ttl`` seconds from now, and remove rows that have expired."""
    connection.execute(delete(table).where(table.c.expires_at <= now))
    values = {"fault": worker.fault, "reason": worker.reason, "expires_at": now + ttl}
    if not connection.execute(update(table).where(table.c.worker == worker.name).values(values)).rowcount:
        insert = database.dialect_of(connection.engine).insert(table)
        connection.execute(insert.values(worker=worker.name, since=now, **values).on_conflict_do_nothing())


def remove(connection: Connection, worker: str) -> None:
    """Remove a worker's row, if it has one."""
    connection.execute(delete(table).where(table.c.worker == worker))


def read(connection: Connection, now: ColumnElement[float]) -> tuple[RestingWorker, ...]:
    """Return the workers whose rows have not expired, by name."""
    query = select(table, now.label("now")).where(table.c.expires_at > now).order_by(table.c.worker)
    return tuple(
        RestingWorker(row.worker, Fault(row.fault), row.reason, max(0.0, row.now - row.since))
        for row in connection.execute(query)
    )
