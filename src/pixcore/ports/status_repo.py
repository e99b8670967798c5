"""StatusRepo: store the state of every chunk. Queues deliver at least once; claims make the result effectively once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from pixcore.model.chunks import (
    Attempt,
    Chunk,
    ChunkKey,
    ChunkRecord,
    ChunkResult,
    Claim,
    Phase,
    Priority,
    Progress,
    Status,
)
from pixcore.model.claims import Claimed, Outcome
from pixcore.model.overview import Overview, RestingWorker
from pixcore.model.planned import Planned
from pixcore.model.positions import Allocation
from pixcore.model.quality import Quality
from pixcore.model.requests import ChunkRequest, Slice


class StatusRepo(Protocol):
    """A table of chunks. Each method is atomic and may raise StatusUnavailable. Times are in seconds of its own clock.

    ``take``, ``give_back``, ``renew``, ``advance``, ``complete``, ``fail``, ``release`` and ``abandon`` compare the
    claim's attempt with the row's. If that attempt no longer runs, they change nothing and raise ``ClaimLost``.
    """

    @property
    def identity(self) -> str:
        """A UUID that was made with the database. Chunk ids are unique only together with it."""
        ...

    def ensure(
        self, requests: Sequence[ChunkRequest], *, beside: int | None = None, store: str = ""
    ) -> Sequence[Chunk]:
        """Create the chunks that do not exist yet, as pending, all or none. Return all in the order of the requests.

        Idempotent. A dataset's chunk gets an id that is unique among the chunks of all datasets, and always the same
        for one (dataset, index). Without a dataset, the id is the index.

        ``beside`` is how many other chunks of the first request's dataset and keyword the plan took into account. If
        their number differs, nothing is created: of two plans for one keyword, the later one has to be made again.
        ``beside`` is ignored if all requested chunks exist already.

        ``store`` is the identity of the store that the archives of new chunks belong to; ``""`` for any.

        Slices of the requests' ``lists`` are claimed: no later call of ``take`` gives them to another chunk.

        Raises:
            InvalidRequest: A chunk exists already with another request; nothing was created.
            PlanOutdated: The number of other chunks differs from ``beside``, another chunk has taken candidates that a
                new chunk was planned with, or chunks of other lists have another type of a column; nothing was
                created. Plan again.
        """
        ...

    def claim(self, key: ChunkKey, owner: str, ttl: float, *, store: str | None = None) -> Claimed | Outcome:
        """Claim the chunk for ``ttl`` seconds, or return why that is not possible. One atomic compare-and-set.

        A chunk can be claimed if it is pending and due, or processing with an expired lease, which counts as a failure.
        ``store`` is the identity of the caller's store: a chunk of another one is not changed. None is any store.

        Each claim raises the attempt by one, and clears phase, progress and error; the permanent misses stay.

        Raises:
            InvalidRequest: There is no such chunk.
        """
        ...

    def take(self, claim: Claim, wanted: int, *, owned: int) -> Chunk:
        """Give the claim's chunk at most ``wanted`` more candidates of its lists that no chunk of the dataset has.

        Return the chunk; it is unchanged if its lists are used up. The candidates come from the first of its lists that
        has any left. They stay with the chunk, whatever becomes of the attempt. Of chunks that call at once, each gets
        different ones. The cost does not depend on the number of chunks.

        Candidates that other chunks gave back come first. If there are none at all, each of the lists is marked as
        ``ran_out``.

        Idempotent: ``owned`` is how many candidates the caller knows that the chunk has. If it has more, it gets none.
        """
        ...

    def give_back(self, claim: Claim, keep: int) -> Chunk:
        """Give back the candidates that the claim's chunk took and has after its first ``keep`` ones; return the chunk.

        Later calls of ``take`` and later plans may give them to any chunk. Candidates of the request stay with the
        chunk. Idempotent.
        """
        ...

    def extend(self, dataset: str, keyword: str, parts: Sequence[Slice]) -> None:
        """Make the candidates of lists that have grown available to ``take``.

        Each slice ends at the present end of its list and names its listing. A list that no chunk of the dataset (or
        without one, of the keyword) names, or that is known to be as long, is not changed. Idempotent.
        """
        ...

    def renew(self, claim: Claim, ttl: float, progress: Progress) -> bool:
        """Extend the lease to ``ttl`` seconds from now, store the progress; return whether a cancel was requested."""
        ...

    def advance(self, claim: Claim, phase: Phase, progress: Progress) -> None:
        """Store the phase and the progress."""
        ...

    def complete(self, claim: Claim, result: ChunkResult) -> None:
        """End the attempt: the chunk is completed. Idempotent for the claim that completed it."""
        ...

    def fail(self, claim: Claim, error: str, *, retry_in: float | None) -> Status:
        """End the attempt with one more failure; return the chunk's new status.

        The chunk failed for good if ``retry_in`` is None or the budget of failures is spent. Otherwise it is pending,
        and due in ``retry_in`` seconds.
        """
        ...

    def release(self, claim: Claim, error: str = "") -> None:
        """Give a claim back: the chunk is pending and due now; no failure is counted.

        ``error`` says why, if the attempt was not interrupted but ended by a fault of the machine or of a service.
        """
        ...

    def abandon(self, claim: Claim, error: str) -> None:
        """End an attempt to rebuild the archive: the chunk is completed with the result that it had.

        Call it only if the stored archive is still that of the result. ``error`` says why it could not be rebuilt.
        """
        ...

    def revise(self, key: ChunkKey, quality: Quality, *, attempt: int, rebuild: bool) -> bool:
        """Give a chunk other rules for its images; return whether it has them now. Idempotent.

        With ``rebuild``, the chunk is then pending, without failures and without a cancel request, and the next attempt
        rebuilds its archive from stored images. This is remembered until an attempt completes or abandons it. The chunk
        keeps its result until a new one replaces it. Without ``rebuild``, the images of a completed chunk are taken to
        satisfy the rules.

        Return False and change nothing if a worker holds the chunk, or if its last attempt is not ``attempt``.

        Raises:
            InvalidRequest: There is no such chunk, or it is to be rebuilt and has no result.
        """
        ...

    def free(self, key: ChunkKey) -> Status:
        """End a claim whose lease has expired; return the chunk's status. Idempotent.

        The expired lease counts as a failure. The chunk is then pending and due now, or failed if the budget is spent
        or a cancel was requested. A chunk without an expired lease is not changed.

        Raises:
            InvalidRequest: There is no such chunk.
        """
        ...

    def reopen(self, key: ChunkKey) -> bool:
        """Make a failed or completed chunk pending again; return whether it was one of these.

        Clears its failures and its cancel request, and keeps its attempt. A pending or processing chunk is not changed.

        Raises:
            InvalidRequest: There is no such chunk.
        """
        ...

    def cancel(self, dataset: str) -> int:
        """Request that every unfinished chunk of a dataset stops; return their number. Pending ones fail at once."""
        ...

    def assign(self, keys: Sequence[ChunkKey], queue: str, priority: Priority | None = None) -> None:
        """Store which queue delivers these chunks, ``""`` for no queue; for all of them or none. Keeps all claims.

        The priority stays if it is None. Idempotent.

        Raises:
            InvalidRequest: There is no such chunk; nothing was stored.
        """
        ...

    def get(self, key: ChunkKey) -> ChunkRecord:
        """Return one chunk's record.

        Raises:
            InvalidRequest: There is no such chunk.
        """
        ...

    def numbered(self, dataset: str, index: int) -> ChunkRecord | None:
        """Return the record of a dataset's chunk by its index; None if there is none.

        The cost does not depend on the number of chunks.
        """
        ...

    def planned(self, dataset: str, keyword: str) -> Planned:
        """Return the sums over the requests of a keyword's chunks; all zero and empty if there are none.

        The cost does not depend on the number of chunks, but for the first call after the dataset was renamed or
        copied, or after an upgrade from a version that did not keep them.
        """
        ...

    def find(self, dataset: str, status: Status | None = None, keyword: str | None = None) -> Iterator[ChunkRecord]:
        """Yield a dataset's chunks by rising index, all or those of one status or keyword. Bounded memory."""
        ...

    def newer(self, dataset: str, after: int) -> Iterator[ChunkRecord]:
        """Yield a dataset's chunks with an id above ``after``, by rising id. Bounded memory.

        A chunk gets a higher id than all that the dataset had before it.
        """
        ...

    def overdue(self, queue: str) -> Iterator[ChunkRecord]:
        """Yield the chunks assigned to a queue, of all datasets, that can be claimed now. Each once; bounded memory.

        Those with an expired lease come first, then those pending and due, each group by dataset and index. A record is
        as it was when it was read: the chunk may have been claimed meanwhile.
        """
        ...

    def stores(self, dataset: str) -> Sequence[str]:
        """Return the identities of the stores that a dataset's chunks belong to, ``""`` for none, in order."""
        ...

    def elsewhere(self, queue: str, store: str) -> Sequence[str]:
        """Return the datasets with unfinished chunks assigned to a queue whose archives belong to another store."""
        ...

    def rest(self, worker: RestingWorker, ttl: float) -> None:
        """Store that a worker takes no chunks, for ``ttl`` seconds from now. A repetition extends its rest."""
        ...

    def resume(self, worker: str) -> None:
        """Store that a worker takes chunks again. Idempotent."""
        ...

    def allocations(self, dataset: str, keyword: str) -> Sequence[Allocation]:
        """Return how far each list is claimed that chunks of the dataset name in their ``lists``, in no order.

        Chunks without a dataset share nothing but with those of their keyword, so ``keyword`` counts only for them.
        """
        ...

    def summary(self) -> Mapping[str, Mapping[Status, int]]:
        """Return the number of chunks in each status that occurs, for every dataset, ordered by the datasets' names."""
        ...

    def overview(self, dataset: str | None = None) -> Overview:
        """Return a summary of the chunks of one dataset, or of all; all zero and empty if there are none.

        Its parts are counted one after another, so they may disagree about a chunk that changes meanwhile. ``phases``,
        ``accepted`` and ``attempts`` are of one moment. The cost depends on the number of chunks that are processing,
        and not on the number of others.
        """
        ...

    def keep_counts(self, dataset: str, counts: str) -> None:
        """Keep a text with what was counted of a dataset's chunks, until the dataset is deleted or renamed."""
        ...

    def kept_counts(self, dataset: str) -> str:
        """Return the text that was kept last; ``""`` if there is none."""
        ...

    def history(self, dataset: str) -> Iterator[Attempt]:
        """Yield the attempts at a dataset's chunks by rising index and attempt, running ones included. Bounded memory.

        Attempts from before pixcore recorded them are missing.
        """
        ...
