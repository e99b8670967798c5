"""A summary of many chunks."""

from collections.abc import Mapping

from attrs import frozen

from pixcore.model.chunks import Phase, Status


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
            numbers are masked (``'…'``, ``N``), so that similar errors count as one.
    """

    phases: Mapping[Status, Mapping[Phase, int]]
    accepted: int
    workers: int
    expired: int
    oldest: float
    errors: Mapping[str, int]
