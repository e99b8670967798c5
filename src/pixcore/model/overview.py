"""A summary of many chunks, and of the workers that rest."""

from collections.abc import Mapping

from attrs import frozen

from pixcore.errors import Fault
from pixcore.model.chunks import Phase, Status


@frozen
class RestingWorker:
    """A worker that takes no chunks, because its machine or a service does not work.

    Attributes:
        name: The worker's host and process, which no other worker has.
        fault: Who is at fault.
        reason: What is wrong, in one line.
        seconds: How long it has rested.
    """

    name: str
    fault: Fault
    reason: str
    seconds: float = 0.0


@frozen
class Overview:
    """A summary of many chunks.

    Attributes:
        phases: How many chunks are in each status and phase; only those that occur.
        accepted: How many images all chunks together have accepted.
        workers: How many owners hold a lease that has not expired.
        expired: How many chunks are processing with an expired lease.
        oldest: Seconds since the oldest claim with a live lease was made; 0 if there is none.
        errors: How many failed or pending chunks have each error, most frequent first, at most 20. Quoted parts and
            numbers are masked (``'…'``, ``N``), so that similar errors count as one, and so do those whose first 500
            characters are equal then.
        resting: The workers that take no chunks now, of any dataset, by name.
        attempts: The sum of the numbers of all chunks' last attempts. It never falls as long as the dataset exists, so
            an equal sum means that no chunk has been claimed in between.
    """

    phases: Mapping[Status, Mapping[Phase, int]]
    accepted: int
    workers: int
    expired: int
    oldest: float
    errors: Mapping[str, int]
    resting: tuple[RestingWorker, ...] = ()
    attempts: int = 0
