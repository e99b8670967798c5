"""The decisions of ``ensure`` that do not depend on the database: which chunks to create, and which to refuse."""

from collections.abc import Callable, Mapping, Sequence

from attrs import evolve, fields_dict

from pixcore.errors import InvalidRequest, PlanOutdated
from pixcore.model.chunks import Chunk
from pixcore.model.quality import TwinRule
from pixcore.model.requests import ChunkRequest

IndexKey = tuple[str, int]  # dataset and index: they identify a chunk that has no id yet


def by_index(requests: Sequence[ChunkRequest]) -> dict[IndexKey, ChunkRequest]:
    """Map each request's dataset and index to the request, in the order of the requests.

    Raises:
        InvalidRequest: Two different requests have the same dataset and index.
    """
    wanted: dict[IndexKey, ChunkRequest] = {}
    for request in requests:
        if wanted.setdefault((request.dataset, request.index), request) != request:
            raise _conflict(request, wanted[request.dataset, request.index], f"chunk index {request.index}")
    return wanted


def missing(
    wanted: Mapping[IndexKey, ChunkRequest],
    existing: Mapping[IndexKey, Chunk],
    beside: int | None,
    count: Callable[[str, str], int],
) -> list[ChunkRequest]:
    """Return the requests whose chunks must be created, given the ``existing`` chunks under the same keys.

    ``count`` returns the number of chunks of a dataset and a keyword, as seen by the same transaction.

    Raises:
        InvalidRequest: A chunk with a different request exists under one of the keys.
        PlanOutdated: A chunk must be created, but the number of other chunks of the first request's keyword is not
            ``beside``.
    """
    same = [request for key, request in wanted.items() if key in existing and _is_same(existing[key].request, request)]
    if beside is not None and len(same) < len(wanted):
        first = next(iter(wanted.values()))
        own = [request for request in same if (request.dataset, request.keyword) == (first.dataset, first.keyword)]
        if count(first.dataset, first.keyword) - len(own) != beside:
            raise PlanOutdated(f"other chunks of {first.keyword!r} were planned at the same time; plan again")
    for key, chunk in existing.items():
        if not _is_same(chunk.request, wanted[key]):
            raise _conflict(wanted[key], chunk.request, f"chunk {chunk.id}")  # the number that `pixcore status` shows
    return [request for key, request in wanted.items() if key not in existing]


def _is_same(existing: ChunkRequest, wanted: ChunkRequest) -> bool:
    """Return whether two requests are equal, apart from a rule for twins that can no longer be asked for."""
    if existing.quality.twins is TwinRule.HASHES:
        wanted = evolve(wanted, quality=evolve(wanted.quality, twins=TwinRule.HASHES))
    return existing == wanted


def _conflict(wanted: ChunkRequest, existing: ChunkRequest, name: str) -> InvalidRequest:
    of = f" of dataset {wanted.dataset}" if wanted.dataset else ""
    other = "dataset name" if wanted.dataset else "chunk id"
    differing = [field for field in fields_dict(ChunkRequest) if getattr(wanted, field) != getattr(existing, field)]
    return InvalidRequest(
        f"{name}{of} already exists with a different request ({', '.join(differing)}); repeat that request or use"
        f" another {other}"
    )
