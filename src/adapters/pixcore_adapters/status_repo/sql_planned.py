"""What the chunks of a keyword were planned with, as sums that change with each plan.

A keyword has sums from the first time that they are read. They are added up again after its dataset was renamed.
"""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, insert, select, tuple_, update

from pixcore.model.planned import Planned
from pixcore.model.requests import ChunkRequest
from pixcore_adapters.status_repo import codec, database, rows, statements
from pixcore_adapters.status_repo.schema import chunks, keywords, registry
from pixcore_adapters.status_repo.statements import PAGE

_PAIRS = 400  # keys in one statement: two parameters each, below the least limit of the databases


def read(engine: Engine, dataset: str, keyword: str) -> Planned:
    """Return the sums of a keyword; add them up from its chunks if that is necessary."""
    with database.autocommit(engine) as connection:
        known = _stored(connection, dataset, keyword)
        if known or not _has_chunks(connection, dataset, keyword):
            return known or Planned()
    with database.transaction(engine) as connection:
        # no plan is saved while this transaction holds the row
        connection.execute(select(registry.c.next_chunk_id).with_for_update())
        known = _stored(connection, dataset, keyword)
        if known is None:
            known = Planned().with_chunks(_requests(connection, dataset, keyword))
            if not known.chunks:
                return known  # the dataset was removed meanwhile
            connection.execute(insert(keywords).values(**_key(dataset, keyword), planned=codec.text(known)))
    return known


def count(connection: Connection, dataset: str, keyword: str) -> int:
    """Return how many chunks of a keyword a dataset has."""
    if known := _stored(connection, dataset, keyword):
        return known.chunks
    return connection.execute(select(func.count()).select_from(chunks).where(_of(dataset, keyword))).scalar_one()


def add(connection: Connection, requests: Iterable[ChunkRequest]) -> None:
    """Add the requests of new chunks to the sums that exist. The caller holds the lock on the registry's row."""
    by_keyword: dict[tuple[str, str], list[ChunkRequest]] = {}
    for request in requests:
        by_keyword.setdefault((request.dataset, rows.text_sha256(request.keyword)), []).append(request)
    key = tuple_(keywords.c.dataset, keywords.c.keyword_sha256)
    for page in statements.in_pages(by_keyword, _PAIRS):
        for row in connection.execute(select(keywords).where(key.in_(page))).all():
            planned = codec.value(Planned, row.planned).with_chunks(by_keyword[row.dataset, row.keyword_sha256])
            change = update(keywords).where(key == (row.dataset, row.keyword_sha256))
            connection.execute(change.values(planned=codec.text(planned)))


def _stored(connection: Connection, dataset: str, keyword: str) -> Planned | None:
    has_key = and_(*(keywords.c[name] == value for name, value in _key(dataset, keyword).items()))
    text = connection.execute(select(keywords.c.planned).where(has_key)).scalar_one_or_none()
    return None if text is None else codec.value(Planned, text)


def _requests(connection: Connection, dataset: str, keyword: str) -> Iterable[ChunkRequest]:
    query = select(chunks.c.request, chunks.c.chunk_index).where(_of(dataset, keyword)).order_by(chunks.c.chunk_index)
    page = query.limit(PAGE)
    while found := connection.execute(page).all():
        for row in found:
            yield codec.value(ChunkRequest, row.request)
        page = query.where(chunks.c.chunk_index > found[-1].chunk_index).limit(PAGE)


def _has_chunks(connection: Connection, dataset: str, keyword: str) -> bool:
    return connection.execute(select(chunks.c.id).where(_of(dataset, keyword)).limit(1)).first() is not None


def _of(dataset: str, keyword: str) -> ColumnElement[bool]:
    return and_(chunks.c.dataset == dataset, chunks.c.keyword_sha256 == rows.text_sha256(keyword))


def _key(dataset: str, keyword: str) -> dict[str, str]:
    return {"dataset": dataset, "keyword_sha256": rows.text_sha256(keyword)}
