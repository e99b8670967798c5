"""StatusRepo: the truth about every chunk. Queues deliver at least once; this makes the result effectively once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from pixcore.model.chunks import (
    Attempt,
    Chunk,
    ChunkKey,
    ChunkRecord,
    ChunkResult,
    Claim,
    Claimed,
    Outcome,
    Overview,
    Phase,
    Progress,
    Status,
)
from pixcore.model.requests import ChunkRequest


class StatusRepo(Protocol):
    """A table of chunks. Each method is atomic and may raise StatusUnavailable; time is the database's, in seconds.

    ``renew, advance, complete, fail`` and ``release`` compare the claim's attempt with the row's and raise
    ``ClaimLost`` without a change when the row has moved on.
    """

    @property
    def identity(self) -> str:
        """A UUID made with the database: chunk ids mean something only beside it."""
        ...

    def ensure(self, requests: Sequence[ChunkRequest], *, beside: int | None = None) -> Sequence[Chunk]:
        """Make the chunks that do not exist yet, pending, all or none; give all back in the order asked for.

        Idempotent. A dataset's chunk gets an id that is unique among the chunks of all datasets and the same for
        ever for its (dataset, index); without a dataset, its id is its index.

        ``beside`` is how many other chunks of the first request's dataset and keyword the plan took into account. If
        there are more or fewer, none is made, so that of two plans of one keyword the later one begins anew. It does
        not matter where all requested chunks are there already.

        Raises:
            InvalidRequest: A chunk is there already with another request; nothing was made.
            TransientError: Not so many chunks are beside them; nothing was made. Plan again.
        """
        ...

    def claim(self, key: ChunkKey, owner: str, ttl: float) -> Claimed | Outcome:
        """Take the chunk for ``ttl`` seconds, or say why not. One atomic compare-and-set.

        Claims what is pending and due, or processing with an expired lease, which counts as a failure. Every claim
        raises the attempt by one, and clears phase, progress and error.

        Raises:
            InvalidRequest: No such chunk.
        """
        ...

    def renew(self, claim: Claim, ttl: float, progress: Progress) -> bool:
        """Keep the claim for ``ttl`` seconds from now and note the progress; true when a cancel was requested."""
        ...

    def advance(self, claim: Claim, phase: Phase, progress: Progress) -> None:
        """Note the phase and the progress."""
        ...

    def complete(self, claim: Claim, result: ChunkResult) -> None:
        """End the chunk completed. Idempotent for the claim that completed it."""
        ...

    def fail(self, claim: Claim, error: str, *, retry_in: float | None) -> Status:
        """End the attempt: failed for good when ``retry_in`` is None or the budget of failures is spent.

        Otherwise pending, due in ``retry_in`` seconds. Counts one failure. Gives the new status.
        """
        ...

    def release(self, claim: Claim) -> None:
        """Give an interrupted claim back: pending, due now, no failure counted."""
        ...

    def free(self, key: ChunkKey) -> Status:
        """End a claim whose lease has expired, which counts as a failure; gives the status.

        The chunk is pending and due now, or failed when the budget is spent or a cancel was requested. Any other is
        left as it is. Idempotent.

        Raises:
            InvalidRequest: No such chunk.
        """
        ...

    def reopen(self, key: ChunkKey) -> bool:
        """Make a failed or completed chunk pending again, failures and cancel request cleared; keep its attempt.

        Gives false and changes nothing when it is pending or processing.

        Raises:
            InvalidRequest: No such chunk.
        """
        ...

    def cancel(self, dataset: str) -> int:
        """Ask every unfinished chunk of a dataset to stop; gives how many. Pending ones fail at once."""
        ...

    def assign(self, keys: Sequence[ChunkKey], queue: str) -> None:
        """Note which queue delivers these chunks, ``""`` for none, all or none. Idempotent; disturbs no claim.

        Raises:
            InvalidRequest: No such chunk; nothing was noted.
        """
        ...

    def get(self, key: ChunkKey) -> ChunkRecord:
        """Look one chunk up.

        Raises:
            InvalidRequest: No such chunk.
        """
        ...

    def find(self, dataset: str, status: Status | None = None, keyword: str | None = None) -> Iterator[ChunkRecord]:
        """Yield a dataset's chunks by rising index, all or those in one status or of one keyword; in bounded memory."""
        ...

    def overdue(self, queue: str) -> Iterator[ChunkRecord]:
        """Yield the chunks assigned to a queue that a claim would not send away now; in bounded memory, each once.

        First those whose lease has expired, then those pending and due; of every dataset, by dataset and index. Each
        is as it was when it was read: it may have been claimed meanwhile.
        """
        ...

    def summary(self) -> Mapping[str, Mapping[Status, int]]:
        """Count the chunks of every dataset by status, datasets by name; only statuses that occur."""
        ...

    def overview(self, dataset: str | None = None) -> Overview:
        """Sum up what the chunks of one dataset, or of all, are doing; all zero and empty where there are none.

        One part is counted after the other, so those of a chunk that changes meanwhile may not fit together.
        """
        ...

    def history(self, dataset: str) -> Iterator[Attempt]:
        """Yield the attempts at a dataset's chunks by rising index and attempt, the running ones too; bounded memory.

        Attempts of a time when none were remembered are missing.
        """
        ...
