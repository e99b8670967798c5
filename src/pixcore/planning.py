"""From a dataset to chunks whose slices share nothing.

A *lane* is one source's results for one query, of known length. The free part of all lanes, laid end to end, is cut
into one piece a chunk: contiguous, in order, in proportion to the chunk's target. So slices are disjoint by
construction, and a dataset that is extended later continues where its last chunk ended.
"""

from collections.abc import Iterator, Sequence

from attrs import field, frozen
from attrs.validators import ge

from pixcore.errors import InvalidRequest, NoValidImages
from pixcore.model import ChunkRequest, Slice

# How many candidates a chunk gets for each image wanted, where there are as many: room for misses and rejects.
# A judgement, not a measurement: open web lists lose about a fifth.
OVER_FETCH = 1.25


@frozen
class Lane:
    """Positions ``[start, stop)`` of one source's results for one query that no chunk has yet."""

    source: str
    query: str
    start: int = field(validator=ge(0))
    stop: int = field(validator=ge(0))
    snapshot: str = ""


@frozen
class DatasetRequest:
    """A dataset as it is asked for: ``count`` images of ``keyword``, in chunks of ``chunk_size``.

    ``count`` None means as many as the lanes hold. ``first_index`` is the number of chunks that it has already.

    Raises:
        InvalidRequest: A count or chunk size below 1.
    """

    dataset: str
    keyword: str
    count: int | None = None
    chunk_size: int = 500
    label: str = ""
    first_index: int = 0

    def __attrs_post_init__(self) -> None:
        if self.chunk_size < 1:
            raise InvalidRequest(f"a chunk size of {self.chunk_size} is not possible; take at least 1")
        if self.count is not None and self.count < 1:
            raise InvalidRequest(f"a count of {self.count} images is not possible; ask for at least 1")


def plan(request: DatasetRequest, lanes: Sequence[Lane]) -> Iterator[ChunkRequest]:
    """Yield the chunks, in order, lazily; the same arguments give the same chunks.

    The targets add up to the count, all but the last are ``chunk_size``, and each chunk has at least as many
    candidates as its target.

    Raises:
        NoValidImages: The lanes are empty, and the dataset has no chunk yet.
        InvalidRequest: More images are wanted than there are candidates.
    """
    capacity = sum(max(0, lane.stop - lane.start) for lane in lanes)
    names = ", ".join(dict.fromkeys(f"{lane.source} {lane.query!r}" for lane in lanes)) or "no source"
    if not capacity and not request.first_index:
        raise NoValidImages(f"nothing to collect: {names} has no candidates")
    count = capacity if request.count is None else request.count
    if count > capacity:
        more = "more " if request.first_index else ""
        raise InvalidRequest(f"{count} {more}images are wanted, but {names} can give at most {capacity}; ask for less")
    if not count:
        return iter(())
    return _chunks(request, lanes, count, min(capacity, int(count * OVER_FETCH)))


def _chunks(request: DatasetRequest, lanes: Sequence[Lane], count: int, candidates: int) -> Iterator[ChunkRequest]:
    planned = 0
    free = [lane for lane in lanes if lane.stop > lane.start]
    lane, offset = 0, free[0].start
    used = 0
    for index in range(request.first_index, request.first_index - (-count // request.chunk_size)):
        target = min(request.chunk_size, count - planned)
        planned += target
        # the proportional end of this piece, in integers, so that rounding neither loses nor repeats a candidate
        wanted = candidates * planned // count - used
        used += wanted
        slices: list[Slice] = []
        while wanted:
            if offset == free[lane].stop:
                lane += 1
                offset = free[lane].start
            taken = min(wanted, free[lane].stop - offset)
            slices.append(Slice(free[lane].source, free[lane].query, offset, offset + taken, free[lane].snapshot))
            offset += taken
            wanted -= taken
        yield ChunkRequest(
            index=index,
            keyword=request.keyword,
            target=target,
            slices=tuple(slices),
            dataset=request.dataset,
            label=request.label,
        )
