"""Unfilled chunks: whether another attempt may gain images, and the reopening of those that ran out of candidates.

A chunk is unfilled if it failed, or completed with fewer images than its target.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache

from pixcore.chunk.dependencies import Dependencies
from pixcore.chunk.retry import retrying
from pixcore.errors import TransientError
from pixcore.model.chunks import Chunk, ChunkRecord, Status
from pixcore.model.images import DOUBTFUL, MENDABLE, MissReason
from pixcore.model.positions import Allocation, from_text
from pixcore.ports import StatusRepo


def is_unfilled(record: ChunkRecord) -> bool:
    """Return whether a chunk has ended and lacks images."""
    short = record.status is Status.COMPLETED and record.result is not None and record.result.shortfall > 0
    return short or record.status is Status.FAILED


def allocations_of(status: StatusRepo) -> Callable[[ChunkRecord], Sequence[Allocation]]:
    """Return a function that returns the allocations of a chunk's dataset. It reads each once."""
    read = cache(status.allocations)

    def of(record: ChunkRecord) -> Sequence[Allocation]:
        request = record.chunk.request
        return read(request.dataset, "" if request.dataset else request.keyword)

    return of


def may_gain(record: ChunkRecord, allocations: Sequence[Allocation]) -> bool:
    """Return whether another attempt at an unfilled chunk may find images, without any change by the user.

    It may if a candidate was not tried or missed only for now, if one of the chunk's lists has an unclaimed one, or if
    the chunk searches, because a search may give other results. ``allocations`` are those of the chunk's dataset.
    """
    if any(not slice_.snapshot for slice_ in record.chunk.slices) or _may_take(record.chunk, allocations):
        return True
    missed = sum(count for reason, count in record.progress.missed.items() if reason not in MENDABLE)
    lost = sum(len(from_text(text)) for reason, text in record.progress.lost.items() if reason not in MENDABLE)
    return missed > lost or not _tried_all(record)


def is_starved(record: ChunkRecord, allocations: Sequence[Allocation]) -> bool:
    """Return whether a chunk tried all its candidates, lacks images, and has unclaimed candidates in its lists."""
    if record.result is None:
        return _tried_all(record) and _may_take(record.chunk, allocations)
    return record.result.shortfall > 0 and _may_take(record.chunk, allocations)


def is_exhausted(record: ChunkRecord, allocations: Sequence[Allocation]) -> bool:
    """Return whether an unfilled chunk is complete nevertheless: all that its lists hold was wanted, and was tried.

    It is not if another attempt may gain images, or could once the user has mended something. What sites decide about
    is nothing to mend: opt-outs, certificates and redirects.
    """
    mend = mendable(record).keys() - {MissReason.OPTED_OUT, MissReason.TLS, MissReason.REDIRECTS}
    return record.chunk.request.whole and not mend and not may_gain(record, allocations)


def mendable(record: ChunkRecord) -> dict[str, int]:
    """Return how many candidates of a chunk were missed for reasons that the user may mend, by reason."""
    return {reason: count for reason, count in record.progress.missed.items() if reason in MENDABLE}


def is_worth_a_retry(record: ChunkRecord, allocations: Sequence[Allocation]) -> bool:
    """Return whether another attempt at an unfilled chunk may find images, maybe after a change by the user.

    Unlike ``may_gain``, this includes candidates that were missed or rejected for what may have changed since: the
    settings of a worker, or the files. Rejections by the rules of the dataset are final, and so are copies.
    """
    return may_gain(record, allocations) or bool(mendable(record) or DOUBTFUL & record.progress.rejected.keys())


def reopen_starved(using: Dependencies, chunk: Chunk, *, lacks: bool, gave_back: bool) -> None:
    """Reopen chunks that found no more candidates in their lists before others gave some back.

    With ``lacks``, ``chunk`` itself is examined; with ``gave_back``, all chunks of its dataset are, if any ran out. A
    chunk that gives candidates back examines the others afterwards, and one that lacks images examines itself after
    its end was recorded. So none is left out, in whatever order both happen. Idempotent.

    If the status database cannot be reached, nothing happens; ``pixcore retry`` reopens the same chunks.
    """
    request, status = chunk.request, using.status
    if not (lacks or gave_back) or not _lists(chunk):
        return

    def reopen() -> None:
        allocations = status.allocations(request.dataset, request.keyword)
        if lacks:
            _reopen([status.get(chunk.key)], allocations, status)
        if gave_back and any(allocation.ran_out for allocation in allocations):
            reopen_all(request.dataset, request.keyword, status)

    with suppress(TransientError):
        retrying(using.policies.status, using.sleep)(reopen)


def reopen_all(dataset: str, keyword: str, status: StatusRepo) -> int:
    """Reopen every chunk of a dataset that ran out of candidates and may take some now; return their number.

    Without a dataset, those of the keyword.
    """
    records = status.find(dataset, keyword=None if dataset else keyword)
    return _reopen(records, status.allocations(dataset, keyword), status)


def _reopen(records: Iterable[ChunkRecord], allocations: Sequence[Allocation], status: StatusRepo) -> int:
    starved = [
        record.chunk.key
        for record in records
        if is_unfilled(record) and _tried_all(record) and _may_take(record.chunk, allocations)
    ]
    return sum(map(status.reopen, starved))


def _tried_all(record: ChunkRecord) -> bool:
    """Return whether the last attempt tried all candidates. Images of failed attempts are lost, and do not count."""
    tried = sum(record.progress.missed.values()) + sum(record.progress.rejected.values())
    return record.status is Status.COMPLETED or tried >= record.chunk.candidates


def _may_take(chunk: Chunk, allocations: Sequence[Allocation]) -> bool:
    """Return whether one of the chunk's lists has an unclaimed candidate."""
    lists = _lists(chunk)
    return any(
        allocation.unclaimed and (allocation.source, allocation.query, allocation.licenses) in lists
        for allocation in allocations
    )


def _lists(chunk: Chunk) -> set[tuple[str, str, str]]:
    slices = (*chunk.request.slices, *chunk.request.lists)
    return {(slice_.source, slice_.query, slice_.licenses) for slice_ in slices if slice_.snapshot}
