"""What ``ensure`` makes of the requests it is given, whatever the database."""

from collections.abc import Callable, Mapping, Sequence

from pixcore.errors import InvalidRequest, TransientError
from pixcore.model.chunks import Chunk, ChunkRequest

Place = tuple[str, int]  # dataset and index: what names a chunk before it has an id


def by_place(requests: Sequence[ChunkRequest]) -> dict[Place, ChunkRequest]:
    """The requests by the place of their chunks, in the order asked for.

    Raises:
        InvalidRequest: Two of them are for one place and differ.
    """
    wanted: dict[Place, ChunkRequest] = {}
    for request in requests:
        if wanted.setdefault((request.dataset, request.index), request) != request:
            raise _differs(request)
    return wanted


def missing(
    wanted: Mapping[Place, ChunkRequest],
    there: Mapping[Place, Chunk],
    beside: int | None,
    count: Callable[[str, str], int],
) -> list[ChunkRequest]:
    """Those wanted whose chunks have to be made, given those that are ``there`` at the places.

    ``count`` tells how many chunks there are of a dataset and a keyword, in the same transaction.

    Raises:
        InvalidRequest: Another chunk is at one of the places.
        TransientError: Something has to be made, but not ``beside`` so many others of the first one's keyword.
    """
    same = [request for place, request in wanted.items() if place in there and there[place].request == request]
    if beside is not None and len(same) < len(wanted):
        first = next(iter(wanted.values()))
        own = [request for request in same if (request.dataset, request.keyword) == (first.dataset, first.keyword)]
        if count(first.dataset, first.keyword) - len(own) != beside:
            raise TransientError(f"other chunks of {first.keyword!r} were planned meanwhile; plan again")
    for place, chunk in there.items():
        if chunk.request != wanted[place]:
            raise _differs(wanted[place])
    return [request for place, request in wanted.items() if place not in there]


def _differs(request: ChunkRequest) -> InvalidRequest:
    name = f"chunk {request.index} of dataset {request.dataset}" if request.dataset else f"chunk {request.index}"
    return InvalidRequest(f"{name} is there already with another request; repeat that one or take another name")
