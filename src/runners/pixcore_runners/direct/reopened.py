"""Run chunks, and those that are reopened meanwhile, because others gave back candidates that they may need."""

from collections.abc import Callable, Sequence

from pixcore import ChunkKey, ChunkRecord, StatusRepo
from pixcore.chunk.unfilled import allocations_of, is_starved
from pixcore.model.chunks import Status


def run_with_reopened(
    dataset: str,
    records: Sequence[ChunkRecord],
    status: StatusRepo,
    run: Callable[[Sequence[ChunkRecord]], object],
) -> None:
    """Call ``run`` with the chunks, then with those that were reopened, until there are no others.

    A chunk is run again only if its number of candidates has changed.

    Raises:
        Exception: Whatever ``run`` raises.
        StatusUnavailable: The status database cannot be reached.
    """
    tried: set[tuple[ChunkKey, int]] = set()  # chunks, with their number of candidates
    while records:
        run(records)
        records = [record for record in _reopened(dataset, status) if _state(record) not in tried]
        tried.update(map(_state, records))


def _reopened(dataset: str, status: StatusRepo) -> list[ChunkRecord]:
    allocations = allocations_of(status)
    pending = status.find(dataset, Status.PENDING)
    return [record for record in pending if is_starved(record, allocations(record))]


def _state(record: ChunkRecord) -> tuple[ChunkKey, int]:
    return record.chunk.key, record.chunk.candidates
