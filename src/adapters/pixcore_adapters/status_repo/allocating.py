"""Allocate the candidates of lists to chunks: pure functions that all repositories share."""

from collections.abc import Iterable, Mapping, Sequence

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
    """Return the allocations that change when new chunks claim their slices.

    ``current`` has all allocations of the chunks' datasets.

    Raises:
        PlanOutdated: A chunk was planned with candidates of its lists that are claimed already, or with another type of
            a column than chunks of other lists.
    """
    after: dict[ListKey, Allocation] = {}
    for request in requests:
        for part in request.lists:
            key = _key(request, part)
            known = _grown(after.get(key) or current.get(key) or _untouched(part, request), part)
            columns = tuple((dict(known.columns) | dict(request.columns)).items())
            after[key] = evolve(known, columns=columns)
        _require_same_types(request, current)
        for part in request.slices:
            key = _key(request, part)
            if key in after and key in current and not current[key].is_free(part.start, part.stop):
                raise PlanOutdated(f"candidates of {current[key].query} were taken at the same time; plan again")
            if allocation := after.get(key) or current.get(key):
                after[key] = allocation.claimed(part.start, part.stop)
    return after


def scoped(dataset: str, keyword: str, lists: Iterable[Slice]) -> dict[ListKey, Slice]:
    """Map the keys of lists to slices of them."""
    return {(*scope(dataset, keyword), part.source, part.query, part.licenses): part for part in lists}


def extended(lists: Mapping[ListKey, Slice], current: Mapping[ListKey, Allocation]) -> dict[ListKey, Allocation]:
    """Return the allocations that change because lists have grown. Lists without an allocation get none."""
    return {key: _grown(current[key], part) for key, part in lists.items() if key in current}


def taken(
    lists: Mapping[ListKey, Allocation], keys: Iterable[ListKey], wanted: int
) -> tuple[Slice | None, Mapping[ListKey, Allocation]]:
    """Take at most ``wanted`` candidates of the first of these lists that has unclaimed ones.

    Return them as a slice, or None if there are none, and the allocations that change.
    """
    known = {key: lists[key] for key in keys if key in lists}
    for key, allocation in known.items():
        if allocation.free:
            start, stop = allocation.free[0]
            part = _slice(allocation, start, min(start + wanted, stop))
            return part, {key: allocation.claimed(part.start, part.stop)}
    return None, {key: evolve(allocation, ran_out=True) for key, allocation in known.items()}


def given_back(
    lists: Mapping[ListKey, Allocation], request: ChunkRequest, parts: Iterable[Slice]
) -> Mapping[ListKey, Allocation]:
    """Return the allocations that change when a chunk gives slices back."""
    after: dict[ListKey, Allocation] = {}
    for part in parts:
        key = _key(request, part)
        after[key] = (after.get(key) or lists[key]).given_back(part.start, part.stop)
    return after


def with_taken(chunk: Chunk, part: Slice) -> Chunk:
    """Return the chunk with one more slice, joined to the last one if it continues that."""
    *others, last = chunk.taken or (part,)
    if chunk.taken and evolve(last, start=part.start, stop=part.stop) == part and last.stop == part.start:
        return evolve(chunk, taken=(*others, evolve(last, stop=part.stop)))
    return evolve(chunk, taken=(*chunk.taken, part))


def without_surplus(chunk: Chunk, keep: int) -> tuple[Chunk, Sequence[Slice]]:
    """Return the chunk with only the first ``keep`` of its candidates, and the slices of the others.

    Only candidates that it took can be among the others.
    """
    kept: list[Slice] = []
    surplus: list[Slice] = []
    left = keep - sum(map(len, chunk.request.slices))
    for part in chunk.taken:
        cut = part.start + min(max(left, 0), len(part))
        if part.start < cut:
            kept.append(evolve(part, stop=cut))
        if cut < part.stop:
            surplus.append(evolve(part, start=cut))
        left -= len(part)
    return evolve(chunk, taken=tuple(kept)), surplus


def _grown(allocation: Allocation, part: Slice) -> Allocation:
    """Return the allocation of a list of which ``part`` is known to exist."""
    if part.stop <= allocation.stop:
        return allocation
    return evolve(allocation, stop=part.stop, snapshot=part.snapshot, ran_out=False)


def _require_same_types(request: ChunkRequest, current: Mapping[ListKey, Allocation]) -> None:
    wanted = dict(request.columns)
    others = (known for key, known in current.items() if key[:2] == scope(request.dataset, request.keyword))
    for column, kind in (pair for known in others for pair in known.columns):
        if wanted.get(column, kind) != kind:
            raise PlanOutdated(f"the column {column!r} was planned as {kind} at the same time; plan again")


def _key(request: ChunkRequest, part: Slice) -> ListKey:
    return *scope(request.dataset, request.keyword), part.source, part.query, part.licenses


def _untouched(part: Slice, request: ChunkRequest) -> Allocation:
    """Return the allocation of a list that none had so far: its first chunk says where the unclaimed part begins."""
    own = [slice_.start for slice_ in request.slices if _key(request, slice_) == _key(request, part)]
    return Allocation(part.source, part.query, min(own, default=part.start), 0, "", part.licenses)


def _slice(allocation: Allocation, start: int, stop: int) -> Slice:
    return Slice(allocation.source, allocation.query, start, stop, allocation.snapshot, allocation.licenses)
