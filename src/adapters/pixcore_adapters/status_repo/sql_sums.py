"""What was counted of each dataset's chunks, as a text, and the end of all sums of a dataset."""

from sqlalchemy import Connection, delete, select

from pixcore_adapters.status_repo.dialect import Dialect
from pixcore_adapters.status_repo.schema import counts, kept_counts, keywords, registry


def write(connection: Connection, dialect: Dialect, dataset: str, text: str) -> None:
    """Keep a text; it replaces an earlier one."""
    new = dialect.insert(kept_counts).values(dataset=dataset, counts=text)
    connection.execute(new.on_conflict_do_update(index_elements=["dataset"], set_={"counts": new.excluded.counts}))


def read(connection: Connection, dataset: str) -> str:
    """Return the text; ``""`` if there is none."""
    query = select(kept_counts.c.counts).where(kept_counts.c.dataset == dataset)
    return connection.execute(query).scalar_one_or_none() or ""


def forget(connection: Connection, dataset: str) -> None:
    """Remove the sums of a dataset that has no chunks any more under this name, in the caller's transaction."""
    # the lock, because ``sql_planned.read`` may be adding up the chunks that were there
    connection.execute(select(registry.c.next_chunk_id).with_for_update())
    for table in (counts, keywords, kept_counts):
        connection.execute(delete(table).where(table.c.dataset == dataset))
