"""Allocate the candidates of lists to chunks: pure functions that all repositories share."""

from collections.abc import Iterable, Mapping

from attrs import evolve

from pixcore.errors import PlanOutdated
from pixcore.model.chunks import Chunk
from pixcore.model.positions import Allocation
from pixcore.model.requests import ChunkRequest, Slice

ListKey = tuple[str, str, str, str, str]  # dataset, keyword if there is no dataset, source, query, licences


def list_keys(request: ChunkRequest) -> dict[ListKey, None]:
    """Return the keys of the lists that the request's chunk may take from, in order, each once."""
    return {_key(request, slice_): None for slice_ in (*request.slices, *request.lists) if slice_.snapshot}


def scope(dataset: str, keyword: str) -> tuple[str, str]:
    """Return the beginning of the keys of a dataset's lists; without a dataset, of a keyword's."""
    return dataset, "" if dataset else keyword


def planned(requests: Iterable[ChunkRequest], current: Mapping[ListKey, Allocation]) -> dict[ListKey, Allocation]:
    """Return the allocations of the lists of new chunks after these have claimed their slices.

    Raises:
        PlanOutdated: A chunk was planned with candidates of its lists that are claimed already.
    """
    begins: dict[ListKey, int] = {}
    after: dict[ListKey, Allocation] = {}
    for request in requests:
        for part in request.lists:
            key = _key(request, part)
            known = after.get(key) or current.get(key) or _untouched(part)
            longest = part if part.stop > known.stop else known
            after[key] = evolve(known, next=max(known.next, part.start), stop=longest.stop, snapshot=longest.snapshot)
        for part in request.slices:
            key = _key(request, part)
            if key in after:
                begins[key] = min(begins.get(key, part.start), part.start)
            if (claimed := after.get(key) or current.get(key)) is not None:
                after[key] = evolve(claimed, next=max(claimed.next, part.stop))
    for key, begin in begins.items():
        if key in current and begin < current[key].next:
            raise PlanOutdated(f"candidates of {current[key].query} were taken at the same time; plan again")
    return after


def next_slice(allocation: Allocation | None, wanted: int) -> Slice | None:
    """Return the next slice of a list, of at most ``wanted`` unclaimed candidates; None if there are none."""
    if allocation is None or not allocation.unclaimed:
        return None
    stop = min(allocation.next + wanted, allocation.stop)
    return Slice(allocation.source, allocation.query, allocation.next, stop, allocation.snapshot, allocation.licenses)


def with_taken(chunk: Chunk, part: Slice) -> Chunk:
    """Return the chunk with one more slice, joined to the last one if it continues that."""
    *others, last = chunk.taken or (part,)
    if chunk.taken and evolve(last, start=part.start, stop=part.stop) == part and last.stop == part.start:
        return evolve(chunk, taken=(*others, evolve(last, stop=part.stop)))
    return evolve(chunk, taken=(*chunk.taken, part))


def _key(request: ChunkRequest, part: Slice) -> ListKey:
    return *scope(request.dataset, request.keyword), part.source, part.query, part.licenses


def _untouched(part: Slice) -> Allocation:
    return Allocation(part.source, part.query, part.start, 0, "", part.licenses)
