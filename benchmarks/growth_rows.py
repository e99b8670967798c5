"""Synthetic chunks in a status database, as many as wanted: one is made by the ports, SQL copies its rows."""

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Integer,
    String,
    cast,
    false,
    func,
    insert,
    literal,
    select,
    update,
)

from pixcore import ChunkKey, ChunkRequest, ChunkResult, Claimed, Slice, StatusRepo
from pixcore.model.archives import StoredBlob
from pixcore.model.chunks import Claim, Progress, Reject
from pixcore.model.rows import COLUMN_TYPES, required
from pixcore_adapters.status_repo.schema import attempts, chunks, registry, seen_images
from pixcore_adapters.status_repo.sql import SqlStatusRepo

CHUNK = 500  # images
KEYWORD = "red panda"
_BATCH = 50_000  # chunks in one statement, which the database would end after a minute


def request(dataset: str, index: int) -> ChunkRequest:
    """Return the request of a chunk that searches."""
    part = Slice("openverse", KEYWORD, index * CHUNK, (index + 1) * CHUNK)
    return ChunkRequest(index, KEYWORD, CHUNK, (part,), dataset)


def result(attempt: int, name: str) -> ChunkResult:
    """Return a result as long as that of a chunk of the web: some are rejected and missed, each with samples."""
    rejects = [
        Reject(f"https://host-{number}.example/photos/{number:08d}/original.jpg", reason, "a detail of 40 characters")
        for number in range(5)
        for reason in ("too_small", "near_duplicate", "damaged", "flat")
    ]
    lost = {"not_found": ",".join(f"{number}-{number + 1}" for number in range(3, 600, 20))}
    rejected = dict.fromkeys(("too_small", "near_duplicate", "damaged", "flat"), 20)
    return ChunkResult(
        f"s3://bucket/{name}/data/chunk_1.zip",
        "0" * 64,
        50_000_000,
        CHUNK,
        attempt,
        Progress(CHUNK, rejected, {"not_found": 60, "timeout": 8}, lost),
        {"download": 100.5, "validate": 30.25, "compress": 1.5, "upload": 4.125},
        {
            "source": {"openverse": CHUNK},
            "license": {"by": 300, "cc0": 200},
            "format": {"jpeg": 450, "png": 50},
            "label": {KEYWORD: CHUNK},
        },
        rejects,
        {name: COLUMN_TYPES[name] for name in required(1)},
        kept=",".join(f"{number}-{number + 7}" for number in range(0, 640, 10)),
        archive_version=3,
        outcomes=StoredBlob(40_000, "1" * 64),
    )


def claimed(status: StatusRepo, key: ChunkKey) -> Claim:
    """Claim a chunk that is known to be pending."""
    answer = status.claim(key, "bench", 60.0)
    if not isinstance(answer, Claimed):
        raise SystemExit(f"chunk {key} was not claimed: {answer}")
    return answer.claim


def complete(status: StatusRepo, key: ChunkKey) -> None:
    """Run a chunk to its end, in the database alone."""
    claim = claimed(status, key)
    status.complete(claim, result(claim.attempt, key.dataset))


def fill(status: SqlStatusRepo, dataset: str, size: int, queue: str = "", *, completed: bool = False) -> None:
    """Create a dataset of ``size`` chunks: completed ones, or pending ones that a queue delivers."""
    (first,) = status.ensure([request(dataset, 0)])
    if completed:
        complete(status, first.key)
    status.assign([first.key], queue)
    _multiply(status.engine, dataset, first.id, size)


def see_alike(engine: Engine, dataset: str) -> None:
    """Hold one image for each chunk of a dataset; all have the same hashes."""
    values = {
        "dataset": chunks.c.dataset,
        "sha256": cast(chunks.c.id, String),
        "chunk_id": chunks.c.id,
        "attempt": chunks.c.attempt,
        "url": literal("https://host.example/photos/") + cast(chunks.c.id, String),
        "phash": literal(0),
        "dhash": literal(0),
        "hash_method": literal("bench"),
        "flat": false(),
    }
    rows = select(*values.values()).where(chunks.c.dataset == dataset)
    with engine.begin() as connection:
        connection.execute(insert(seen_images).from_select(list(values), rows))


def _multiply(engine: Engine, dataset: str, first: int, size: int) -> None:
    with engine.begin() as connection:
        for start in range(1, size, _BATCH):
            _copy(connection, dataset, first, range(start, min(start + _BATCH, size)))
        connection.execute(update(registry).values(next_chunk_id=first + size))
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")


def _copy(connection: Connection, dataset: str, first: int, indices: range) -> None:
    numbers = select(literal(indices.start, Integer).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < indices.stop - 1))
    moved = {"id": literal(first) + numbers.c.n, "chunk_index": numbers.c.n, "request": _numbered(numbers.c.n)}
    for table, changed in ((chunks, moved), (attempts, {"chunk_id": moved["id"], "chunk_index": numbers.c.n})):
        columns = [changed.get(column.name, column) for column in table.c]
        of_first = (table.c.dataset == dataset) & (table.c.chunk_index == 0)
        copies = select(*columns).where(of_first).join_from(table, numbers, literal(value=True))
        connection.execute(insert(table).from_select(list(table.c.keys()), copies))


def _numbered(number: ColumnElement[int]) -> ColumnElement[str]:
    text: ColumnElement[str] = chunks.c.request
    index, start = (cast(number * step, String) for step in (1, CHUNK))
    text = func.replace(text, '"index": 0,', literal('"index": ') + index + literal(","))
    slice_ = literal('"start": ') + start + literal(', "stop": ') + cast((number + 1) * CHUNK, String)
    return func.replace(text, f'"start": 0, "stop": {CHUNK}', slice_)
