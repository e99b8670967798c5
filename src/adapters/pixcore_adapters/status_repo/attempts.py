"""What a change of a chunk's record says of its attempts: which one it ends, and whether another begins."""

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
    """The attempt that the change ends, if it ends one."""
    if before.status is not Status.PROCESSING:
        return None
    if after.attempt > before.attempt:  # the next one began while its lease had expired
        return Ending(before.attempt, Status.PENDING, before.phase, transitions.VANISHED)
    if after.status is Status.PROCESSING:
        return None
    return Ending(before.attempt, after.status, before.phase, after.error)


def begins(before: ChunkRecord, after: ChunkRecord) -> bool:
    """Whether an attempt begins, ``after.attempt``."""
    return after.attempt > before.attempt
