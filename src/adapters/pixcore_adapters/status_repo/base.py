"""The base class of the status repositories: the methods of the port that change one chunk by a transition."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from pixcore.model.chunks import ChunkKey, ChunkRecord, ChunkResult, Claim, Phase, Progress, Status
from pixcore.model.claims import Claimed, Outcome
from pixcore.model.quality import Quality
from pixcore_adapters.status_repo import transitions


class BaseStatusRepo(ABC):
    """Implement the changes of one chunk on top of ``_apply``, which each database provides."""

    __slots__ = ()

    max_failures: int

    @abstractmethod
    def _apply(
        self, key: ChunkKey, transition: Callable[[ChunkRecord], ChunkRecord]
    ) -> tuple[ChunkRecord, ChunkRecord]:
        """Replace the chunk's record by the transition's result, atomically; return the records before and after."""

    def claim(self, key: ChunkKey, owner: str, ttl: float, *, store: str | None = None) -> Claimed | Outcome:
        """See the port."""
        transition = partial(transitions.claimed, owner=owner, ttl=ttl, max_failures=self.max_failures, store=store)
        return transitions.claim_answer(*self._apply(key, transition), store)

    def renew(self, claim: Claim, ttl: float, progress: Progress) -> bool:
        """See the port."""
        _, after = self._apply(claim.chunk, partial(transitions.renewed, claim=claim, ttl=ttl, progress=progress))
        return after.cancel_requested

    def advance(self, claim: Claim, phase: Phase, progress: Progress) -> None:
        """See the port."""
        self._apply(claim.chunk, partial(transitions.advanced, claim=claim, phase=phase, progress=progress))

    def complete(self, claim: Claim, result: ChunkResult) -> None:
        """See the port."""
        self._apply(claim.chunk, partial(transitions.completed, claim=claim, result=result))

    def fail(self, claim: Claim, error: str, *, retry_in: float | None) -> Status:
        """See the port."""
        transition = partial(
            transitions.failed, claim=claim, error=error, retry_in=retry_in, max_failures=self.max_failures
        )
        _, after = self._apply(claim.chunk, transition)
        return after.status

    def release(self, claim: Claim, error: str = "") -> None:
        """See the port."""
        self._apply(claim.chunk, partial(transitions.released, claim=claim, error=error))

    def abandon(self, claim: Claim, error: str) -> None:
        """See the port."""
        self._apply(claim.chunk, partial(transitions.abandoned, claim=claim, error=error))

    def revise(self, key: ChunkKey, quality: Quality, *, attempt: int, rebuild: bool) -> bool:
        """See the port."""
        transition = partial(transitions.revised, quality=quality, attempt=attempt, rebuild=rebuild)
        _, after = self._apply(key, transition)
        return (after.attempt, after.chunk.request.quality) == (attempt, quality) and (
            after.status is not Status.PROCESSING and after.rebuild >= rebuild
        )

    def free(self, key: ChunkKey) -> Status:
        """See the port."""
        _, after = self._apply(key, partial(transitions.freed, max_failures=self.max_failures))
        return after.status

    def reopen(self, key: ChunkKey) -> bool:
        """See the port."""
        before, after = self._apply(key, transitions.reopened)
        return after is not before
