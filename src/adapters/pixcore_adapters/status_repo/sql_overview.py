"""Read the sums over a dataset's chunks, or over those of all datasets. Chunks that are processing are few."""

from collections import Counter
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    case,
    distinct,
    func,
    literal,
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
    for row in _counted(connection, dataset):
        phases.setdefault(Status(row.status), Counter())[Phase(row.phase)] += row.chunks
        accepted += row.accepted
        attempts += row.attempts
        if row.error_kind:
            errors[row.error_kind] += row.chunks
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
    found: dict[str, Counter[Status]] = {}
    for row in _counted(connection, None):
        found.setdefault(row.dataset, Counter())[Status(row.status)] += row.chunks
    return dict(found)


def _counted(connection: Connection, dataset: str | None) -> list[Row[Any]]:
    """Return the counts of all chunks, sorted. One statement, so that no chunk is counted twice or missed."""
    key = ("dataset", "status", "phase", "error_kind")
    settled = select(*(counts.c[name] for name in key), counts.c.chunks, counts.c.accepted, counts.c.attempts)
    # neither grouped nor ordered: for that, SQLite would read all chunks along an index
    one = literal(1, BigInteger).label("chunks")
    held = select(*(chunks.c[name] for name in key), one, chunks.c.accepted, chunks.c.attempt)
    both = union_all(
        settled.where(_of(counts, dataset), counts.c.chunks > 0),
        held.where(_of(chunks, dataset), chunks.c.status == Status.PROCESSING),
    )
    return sorted(connection.execute(both), key=lambda row: (row.dataset, row.status, row.phase))


def _of(table: FromClause, dataset: str | None) -> ColumnElement[bool]:
    return true() if dataset is None else table.c.dataset == dataset
