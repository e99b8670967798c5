"""Lease: renew a claim while its chunk runs, and make the chunk stop when it must."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from attrs import define, field, frozen

from pixcore.errors import Cancelled, ClaimLost, TransientError
from pixcore.model.chunks import Claim, Progress
from pixcore.ports import StatusRepo


@frozen
class LeaseTerms:
    """How long a claim lives, in seconds.

    Attributes:
        ttl: How long it lives without renewal. It is renewed after each third of that time.
        deadline: How long an attempt may take in all; after that the claim is no longer renewed.
    """

    ttl: float = 60.0
    deadline: float = 1500.0


@define(eq=False)
class Lease:
    """A context manager. Within its block, a thread renews ``claim``, and ``check`` raises once the work must stop.

    Renewal stops at the deadline, because a worker that hangs would otherwise keep its chunk for ever. When the status
    database cannot be reached, renewal is retried until the lease may have expired.
    """

    status: StatusRepo
    claim: Claim
    terms: LeaseTerms
    progress: Callable[[], Progress]
    stop: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    _ended: threading.Event = field(init=False, factory=threading.Event)
    _thread: threading.Thread = field(init=False)
    _began: float = field(init=False)
    _renewed: float = field(init=False)
    _cancelled: bool = field(init=False, default=False)
    _lost: BaseException | None = field(init=False, default=None)

    def __enter__(self) -> Self:
        self._began = self._renewed = self.clock()
        self._thread = threading.Thread(
            target=self._renew_until_ended, name=f"pixcore-lease-{self.claim.chunk}", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def beat(self) -> bool:
        """Renew the claim once; return whether to go on renewing it."""
        now = self.clock()
        if now - self._began >= self.terms.deadline:
            return False
        try:
            self._cancelled |= self.status.renew(self.claim, self.terms.ttl, self.progress())
        except TransientError as error:
            if now - self._renewed >= self.terms.ttl:
                self._lost = error
        except Exception as error:  # noqa: BLE001 - nothing calls this thread: check() raises it in the worker's thread
            self._lost = error
        else:
            self._renewed = now
        return self._lost is None

    def check(self) -> None:
        """Return at once if the work may go on, otherwise raise. Costs no request.

        Raises:
            KeyboardInterrupt: The runner wants to stop. The caller gives the claim back.
            Cancelled: A cancel was requested.
            ClaimLost: Another worker may have the chunk by now.
            TransientError: The deadline has passed.
        """
        if self.stop():
            raise KeyboardInterrupt
        if self._lost is not None:
            raise ClaimLost(f"the claim on chunk {self.claim.chunk} was lost: {self._lost}") from self._lost
        if self._cancelled:
            raise Cancelled("cancelled")
        if self.clock() - self._began >= self.terms.deadline:
            raise TransientError(
                f"chunk {self.claim.chunk} took longer than its deadline of {self.terms.deadline:g} s;"
                " plan smaller chunks or raise the deadline"
            )

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(self.terms.ttl / 3) and self.beat():
            pass
