"""Read the sums over a dataset's chunks, or over those of all datasets. Chunks that are processing are few."""

from collections import Counter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    case,
    distinct,
    func,
    literal_column,
    select,
    true,
    union_all,
)

from pixcore.model.chunks import Phase, Status
from pixcore.model.overview import Overview
from pixcore_adapters.status_repo import overviews, sql_resting
from pixcore_adapters.status_repo.schema import chunks, counts


def read(connection: Connection, now: ColumnElement[float], dataset: str | None) -> Overview:
    """Return the sums. ``now`` is the database's time; None as the dataset means all."""
    live = chunks.c.lease_expires_at > now
    running = select(
        func.count(distinct(case((live, chunks.c.owner)))),
        func.count(case((~live, 1))),
        func.min(case((live, chunks.c.claimed_at))),
        now,
    ).where(_of(chunks, dataset), chunks.c.status == Status.PROCESSING)
    phases: dict[Status, Counter[Phase]] = {}
    errors: Counter[str] = Counter()
    accepted = attempts = 0
    for row in connection.execute(_counted(dataset)):
        phases.setdefault(Status(row.status), Counter())[Phase(row.phase)] += int(row.chunks)
        accepted += int(row.accepted)
        attempts += int(row.attempts)
        if row.error_kind:
            errors[row.error_kind] += int(row.chunks)
    workers, expired, oldest, at = connection.execute(running).one()
    return Overview(
        phases=phases,
        accepted=accepted,
        workers=workers,
        expired=expired,
        oldest=0.0 if oldest is None else max(0.0, at - oldest),
        errors=overviews.grouped(errors),
        resting=sql_resting.read(connection, now),
        attempts=attempts,
    )


def summary(connection: Connection) -> dict[str, dict[Status, int]]:
    """Return how many chunks of each dataset are in each status, ordered by the datasets' names."""
    found: dict[str, dict[Status, int]] = {}
    every = _counted(None).subquery("every_count")
    by = (every.c.dataset, every.c.status)
    query = select(*by, func.sum(every.c.chunks).label("chunks")).group_by(*by).order_by(*by)
    for row in connection.execute(query):
        found.setdefault(row.dataset, {})[Status(row.status)] = int(row.chunks)
    return found


def _counted(dataset: str | None) -> CompoundSelect[Any]:
    """Build the query for the counts of all chunks, in one statement, so that none is counted twice or missed."""
    key = ("dataset", "status", "phase", "error_kind")
    settled = select(*(counts.c[name] for name in key), counts.c.chunks, counts.c.accepted, counts.c.attempts)
    held = select(
        *(chunks.c[name] for name in key),
        func.count().label("chunks"),
        func.sum(chunks.c.accepted).label("accepted"),
        func.sum(chunks.c.attempt).label("attempts"),
    ).group_by(*(chunks.c[name] for name in key))
    return union_all(
        settled.where(_of(counts, dataset), counts.c.chunks > 0),
        held.where(_of(chunks, dataset), chunks.c.status == Status.PROCESSING),
    ).order_by(literal_column("1"), literal_column("2"), literal_column("3"))


def _of(table: FromClause, dataset: str | None) -> ColumnElement[bool]:
    return true() if dataset is None else table.c.dataset == dataset
