"""Which attempt a change of a chunk's record ends, and whether it begins another one."""

from attrs import frozen

from pixcore.model.chunks import ChunkRecord, Phase, Status
from pixcore_adapters.status_repo import transitions


@frozen
class Ending:
    """How an attempt ended; the fields are those of ``Attempt``."""

    attempt: int
    status: Status
    phase: Phase
    error: str


def ended(before: ChunkRecord, after: ChunkRecord) -> Ending | None:
    """Return how the change ended an attempt; None if it ended none."""
    if before.status is not Status.PROCESSING:
        return None
    if after.attempt > before.attempt:  # the lease had expired, and the next attempt began
        return Ending(before.attempt, Status.PENDING, before.phase, transitions.LEASE_EXPIRED)
    if after.status is Status.PROCESSING:
        return None
    return Ending(before.attempt, after.status, before.phase, after.error)


def begins(before: ChunkRecord, after: ChunkRecord) -> bool:
    """Return whether the change begins an attempt, which is ``after.attempt``."""
    return after.attempt > before.attempt
