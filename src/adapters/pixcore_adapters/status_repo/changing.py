"""The decisions about changes of whole datasets that do not depend on the database."""

from collections.abc import Callable, Iterable

from attrs import evolve

from pixcore.errors import InvalidRequest, PlanOutdated
from pixcore.model.chunks import Chunk, ChunkRecord, Phase, Status
from pixcore.model.datasets import Change, ChangeKind, CopiedChunk
from pixcore_adapters.status_repo import transitions


def begun(change: Change, unfinished: Iterable[Change], has_chunks: Callable[[str], bool]) -> Change | None:
    """Return the same change if it has begun already, or None if it may begin now.

    Raises:
        InvalidRequest: It may not; see ``pixcore.ports.Datasets.begin``.
    """
    others = [other for other in unfinished if not set(change.names).isdisjoint(other.names)]
    if same := [other for other in others if change.is_same(other)]:
        return same[0]
    given_up = [other for other in others if gives_up(change, other)]
    for other in others:
        if other not in given_up:
            raise InvalidRequest(other.sentence)
    existing = change.other if change.kind is ChangeKind.COPY else change.dataset
    if not has_chunks(existing) and not given_up:
        raise InvalidRequest(f"no dataset {existing!r} in the status database; `pixcore list` shows what it holds")
    if change.kind is not ChangeKind.DELETE:
        require_free(change.dataset if change.kind is ChangeKind.COPY else change.other, has_chunks)
    return None


def gives_up(change: Change, other: Change) -> bool:
    """Return whether a change deletes the dataset that another one was to create as a copy."""
    return (change.kind, other.kind, change.dataset) == (ChangeKind.DELETE, ChangeKind.COPY, other.dataset)


def require_free(dataset: str, has_chunks: Callable[[str], bool]) -> None:
    """Refuse a name that a dataset has.

    Raises:
        InvalidRequest: It is taken.
    """
    if has_chunks(dataset):
        raise InvalidRequest(f"dataset {dataset!r} exists already; choose another name, or delete it first")


def refuse(changes: Iterable[Change]) -> None:
    """Refuse to create chunks of datasets that these unfinished changes name.

    Raises:
        InvalidRequest: There is one.
    """
    for change in changes:
        raise InvalidRequest(change.sentence)


def held(dataset: str, chunks: int) -> InvalidRequest:
    """Build the error to raise if workers hold chunks of a dataset."""
    return InvalidRequest(
        f"workers hold {chunks} chunks of dataset {dataset}; wait until they end, or stop them with `pixcore cancel"
        f" {dataset}`, and try again"
    )


def outdated(dataset: str) -> PlanOutdated:
    """Build the error to raise if a chunk changed while its blobs were copied."""
    return PlanOutdated(f"chunks of dataset {dataset} changed while they were copied; run the same command again")


def given_up(change: Change) -> InvalidRequest:
    """Build the error to raise if a copy has been given up while it was made."""
    return InvalidRequest(f"the copy to dataset {change.dataset} was given up meanwhile; nothing was created")


def copied(chunk: CopiedChunk) -> ChunkRecord:
    """Return the record of a chunk of a copy."""
    return evolve(
        transitions.new_record(Chunk(chunk.id, chunk.request), chunk.store),
        status=Status.COMPLETED,
        phase=Phase.COMPLETE,
        attempt=chunk.result.attempt,
        progress=chunk.result.progress,
        result=chunk.result,
    )
