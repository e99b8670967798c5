"""Advise a user about chunks that failed or are short."""

from collections.abc import Callable, Sequence
from functools import cache

from pixcore import ChunkRecord, Status, StatusRepo
from pixcore.model.images import MENDABLE
from pixcore.model.positions import Allocation, from_text


def advice(dataset: str, records: Sequence[ChunkRecord], status: StatusRepo) -> str:
    """Return the advice for a dataset of which some chunk failed or is short: retry only where that can help."""
    unfilled = [record for record in records if _is_unfilled(record)]
    allocations = cache(status.allocations)
    if any(_may_gain(record) or _has_unclaimed(record, allocations) for record in unfilled):
        return f"some chunks failed or are short; to retry them: pixcore retry {dataset}"
    return (
        "some chunks are short and a retry cannot fill them: all their candidates were tried, and their lists have no"
        " others; add to the lists or name more sources, then ask for a larger --count"
    )


def _is_unfilled(record: ChunkRecord) -> bool:
    return record.status is not Status.COMPLETED or record.result is None or record.result.shortfall > 0


def _may_gain(record: ChunkRecord) -> bool:
    """Return whether another attempt may find images among the candidates that the chunk has."""
    if any(not slice_.snapshot for slice_ in record.chunk.slices):
        return True  # a search may give other results
    missed = sum(count for reason, count in record.progress.missed.items() if reason not in MENDABLE)
    lost = sum(len(from_text(text)) for text in record.progress.lost.values())
    if missed > lost:
        return True
    tried = sum(record.progress.missed.values()) + sum(record.progress.rejected.values())
    return record.status is not Status.COMPLETED and tried < record.chunk.candidates


def _has_unclaimed(record: ChunkRecord, allocations: Callable[[str, str], Sequence[Allocation]]) -> bool:
    request = record.chunk.request
    slices = (*request.slices, *request.lists)
    lists = {(slice_.source, slice_.query, slice_.licenses) for slice_ in slices if slice_.snapshot}
    return any(
        (allocation.source, allocation.query, allocation.licenses) in lists and allocation.unclaimed
        for allocation in allocations(request.dataset, "" if request.dataset else request.keyword)
    )
