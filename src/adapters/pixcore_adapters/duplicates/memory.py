"""A memory of exact images within one process: for tests and for runs whose state may die with it."""

from threading import Lock

from attrs import define, field

from pixcore.model import ChunkKey, Claim, Status
from pixcore.ports import StatusRepo


@define
class MemorySeenImages:
    """Who has which bytes, as long as ``status`` says that their attempt counts. Safe to share among threads."""

    status: StatusRepo
    _holders: dict[tuple[str, str], Claim] = field(init=False, factory=dict)  # by (dataset, sha256)
    _lock: Lock = field(init=False, factory=Lock)

    def hold(self, claim: Claim, sha256: str) -> ChunkKey | None:
        """See ``SeenImages``."""
        dataset = claim.chunk.dataset
        if not dataset:
            return None
        with self._lock:
            holder = self._holders.get((dataset, sha256))
            if holder and not _same_attempt(holder, claim) and self._counts(holder):
                return holder.chunk
            self._holders[dataset, sha256] = claim
        return None

    def release(self, claim: Claim) -> None:
        """See ``SeenImages``."""
        with self._lock:
            self._holders = {
                image: holder for image, holder in self._holders.items() if not _same_attempt(holder, claim)
            }

    def _counts(self, holder: Claim) -> bool:
        record = self.status.get(holder.chunk)
        return record.attempt == holder.attempt and record.status in (Status.PROCESSING, Status.COMPLETED)


def _same_attempt(one: Claim, other: Claim) -> bool:
    return (one.chunk, one.attempt) == (other.chunk, other.attempt)
