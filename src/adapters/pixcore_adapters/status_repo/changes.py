"""The calls of the port that change one chunk: what they make of its record is a transition, whatever the database."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from pixcore.model.chunks import ChunkKey, ChunkRecord, ChunkResult, Claim, Claimed, Outcome, Phase, Progress, Status
from pixcore_adapters.status_repo import transitions


class Changes(ABC):
    """Needs but one thing of a database: to apply a transition atomically."""

    __slots__ = ()

    max_failures: int

    @abstractmethod
    def _change(
        self, key: ChunkKey, transition: Callable[[ChunkRecord], ChunkRecord]
    ) -> tuple[ChunkRecord, ChunkRecord]:
        """Put what the transition makes of the chunk's record in its place, atomically; give the two."""

    def claim(self, key: ChunkKey, owner: str, ttl: float) -> Claimed | Outcome:
        """See the port."""
        taking = partial(transitions.claimed, owner=owner, ttl=ttl, max_failures=self.max_failures)
        return transitions.answer(*self._change(key, taking))

    def renew(self, claim: Claim, ttl: float, progress: Progress) -> bool:
        """See the port."""
        _, after = self._change(claim.chunk, partial(transitions.renewed, claim=claim, ttl=ttl, progress=progress))
        return after.cancel_requested

    def advance(self, claim: Claim, phase: Phase, progress: Progress) -> None:
        """See the port."""
        self._change(claim.chunk, partial(transitions.advanced, claim=claim, phase=phase, progress=progress))

    def complete(self, claim: Claim, result: ChunkResult) -> None:
        """See the port."""
        self._change(claim.chunk, partial(transitions.completed, claim=claim, result=result))

    def fail(self, claim: Claim, error: str, *, retry_in: float | None) -> Status:
        """See the port."""
        failing = partial(
            transitions.failed, claim=claim, error=error, retry_in=retry_in, max_failures=self.max_failures
        )
        _, after = self._change(claim.chunk, failing)
        return after.status

    def release(self, claim: Claim) -> None:
        """See the port."""
        self._change(claim.chunk, partial(transitions.released, claim=claim))

    def free(self, key: ChunkKey) -> Status:
        """See the port."""
        _, after = self._change(key, partial(transitions.freed, max_failures=self.max_failures))
        return after.status

    def reopen(self, key: ChunkKey) -> bool:
        """See the port."""
        before, after = self._change(key, transitions.reopened)
        return after is not before
