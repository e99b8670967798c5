"""Run chunks, and those that are reopened meanwhile, because others gave back candidates that they may need."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from pixcore import ChunkKey, ChunkRecord, StatusRepo
from pixcore.chunk.unfilled import allocations_of, is_starved
from pixcore.model.chunks import Status

R = TypeVar("R", bound=Iterable[ChunkRecord])


def run_with_reopened(
    dataset: str,
    records: R,
    status: StatusRepo,
    run: Callable[[R | Sequence[ChunkRecord]], object],
) -> None:
    """Call ``run`` with the chunks, then with those that were reopened, until there are no others.

    A chunk is run again only if its number of candidates has changed.

    Raises:
        Exception: Whatever ``run`` raises.
        StatusUnavailable: The status database cannot be reached.
    """
    tried: set[tuple[ChunkKey, int]] = set()  # chunks, with their number of candidates
    run(records)
    while reopened := [record for record in _reopened(dataset, status) if _state(record) not in tried]:
        tried.update(map(_state, reopened))
        run(reopened)


def _reopened(dataset: str, status: StatusRepo) -> Iterator[ChunkRecord]:
    allocations = allocations_of(status)
    pending = status.find(dataset, Status.PENDING)
    return (record for record in pending if is_starved(record, allocations(record)))


def _state(record: ChunkRecord) -> tuple[ChunkKey, int]:
    return record.chunk.key, record.chunk.candidates
