"""Advise a user about chunks that failed or are short."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

from pixcore import ChunkRecord, StatusRepo
from pixcore.chunk.unfilled import is_exhausted, is_unfilled, may_gain, mendable
from pixcore.model.positions import Allocation


def advice(dataset: str, records: Sequence[ChunkRecord], status: StatusRepo) -> str:
    """Return the advice for a dataset of which some chunk failed or is short: retry only where that can help."""
    allocations = allocations_of(status)
    unfilled = [record for record in records if is_unfilled(record) and not is_exhausted(record, allocations(record))]
    if any(may_gain(record, allocations(record)) for record in unfilled):
        return f"some chunks failed or are short; to retry them: pixcore retry {dataset}"
    if reasons := sum((Counter(mendable(record)) for record in unfilled), Counter[str]()):
        listed = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
        return (
            "some chunks are short; a retry can help only once you have changed the settings or the folder for which"
            f" candidates were missed ({listed}); then: pixcore retry {dataset}"
        )
    return (
        "some chunks are short and a retry cannot fill them: all their candidates were tried, and their lists have no"
        " others; add to the lists and repeat the command, or name more sources and ask for a larger --count"
    )


def allocations_of(status: StatusRepo) -> Callable[[ChunkRecord], Sequence[Allocation]]:
    """Return a function that returns the allocations of a chunk's dataset. It reads each once."""
    read = cache(status.allocations)

    def of(record: ChunkRecord) -> Sequence[Allocation]:
        request = record.chunk.request
        return read(request.dataset, "" if request.dataset else request.keyword)

    return of
