"""Read the sums over a dataset's chunks, or over those of all datasets."""

from itertools import groupby

from sqlalchemy import ColumnElement, Connection, case, distinct, func, select, true

from pixcore.model.chunks import Phase, Status
from pixcore.model.overview import Overview
from pixcore_adapters.status_repo import overviews, sql_resting
from pixcore_adapters.status_repo.schema import chunks
from pixcore_adapters.status_repo.statements import PAGE


def read(connection: Connection, now: ColumnElement[float], dataset: str | None) -> Overview:
    """Return the sums. ``now`` is the database's time; None as the dataset means all.

    Only the thousand most frequent errors are counted.
    """
    wanted = true() if dataset is None else chunks.c.dataset == dataset
    by = (chunks.c.status, chunks.c.phase)
    phases = select(*by, func.count(), func.sum(chunks.c.accepted)).where(wanted).group_by(*by).order_by(*by)
    live = chunks.c.lease_expires_at > now
    running = select(
        func.count(distinct(case((live, chunks.c.owner)))),
        func.count(case((~live, 1))),
        func.min(case((live, chunks.c.claimed_at))),
        now,
    ).where(wanted, chunks.c.status == Status.PROCESSING)
    errors = (
        select(chunks.c.error, func.count().label("times"))
        .where(wanted, chunks.c.error != "")  # a claim clears the error
        .group_by(chunks.c.error)
        .order_by(func.count().desc(), chunks.c.error)
        .limit(PAGE)
    )
    counts = connection.execute(phases).all()
    workers, expired, oldest, at = connection.execute(running).one()
    found = {row.error: row.times for row in connection.execute(errors)}
    return Overview(
        phases={
            Status(status): {Phase(phase): count for _, phase, count, _ in of_status}
            for status, of_status in groupby(counts, key=lambda row: str(row.status))
        },
        accepted=sum(int(accepted) for *_, accepted in counts),
        workers=workers,
        expired=expired,
        oldest=0.0 if oldest is None else max(0.0, at - oldest),
        errors=overviews.grouped(found),
        resting=sql_resting.read(connection, now),
    )
