"""ChunkPipeline: process one chunk, from claim to result. Framework-free: a runner passes a chunk's key.

::

    claim ──> [ download ══> validate ══> seen? ══> compress ]──> upload ──> complete ──> cleanup, always

``attempt.py`` has these steps, top to bottom; ``collecting.py`` has what happens inside the brackets.
"""

from functools import partial

from attrs import frozen

from pixcore.chunk.attempt import RunningAttempt
from pixcore.chunk.dependencies import Dependencies
from pixcore.chunk.retry import retrying
from pixcore.model.chunks import ChunkKey
from pixcore.model.claims import Claimed, Done, Outcome


@frozen
class ChunkPipeline(Dependencies):
    """Processes one chunk per call of ``run``. Several threads may call it at once if the ports allow that.

    Takes the ports, policies and callbacks that ``Dependencies`` describes.
    """

    def run(self, key: ChunkKey) -> Outcome:
        """Claim the chunk and process it, or return why there is nothing to do.

        ``Done`` holds the result of this or an earlier run. ``Busy`` and ``NotDue`` hold the seconds until the next
        call makes sense. ``Exhausted`` means that the chunk failed for good earlier, ``Elsewhere`` that it belongs to
        another store. However the attempt ends, its work
        directory is removed and the status database records the end.

        Raises:
            TransientError: The attempt failed. Unless its budget is spent, the chunk is pending and comes due later.
            PermanentError: The chunk failed for good. InvalidRequest is also raised if there is no such chunk.
            PixcoreError: With a ``fault`` of the machine or of a service. If ``probe`` finds a fault too, or no room is
                left, the chunk was given back (``ChunkGivenBack``); else the attempt failed as by a TransientError.
            ClaimLost: Another worker has the chunk now.
            BaseException: What interrupted the attempt from outside; its claim was given back first.
        """
        claim = partial(self.status.claim, key, self.owner, self.terms.ttl, store=self.store_identity)
        answer = retrying(self.policies.status, self.sleep)(claim)
        return Done(RunningAttempt(self, answer).run()) if isinstance(answer, Claimed) else answer
