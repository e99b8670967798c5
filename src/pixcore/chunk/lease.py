"""Lease: keeps a claim alive while its chunk runs, and tells the chunk when to stop."""

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
    """Seconds: a claim lives ``ttl`` without renewal, is renewed every third of it, and at most ``deadline`` in all."""

    ttl: float = 60.0
    deadline: float = 1500.0


@define(eq=False)
class Lease:
    """A context manager: inside it a thread renews ``claim``; ``check`` raises once the work must stop.

    Renewal ends with the deadline, because a worker that hangs would otherwise keep its chunk for ever. An
    unreachable status database is tried again until the lease must be taken for expired.
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
        self._thread = threading.Thread(target=self._keep, name=f"pixcore-lease-{self.claim.chunk}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def beat(self) -> bool:
        """Renew once; true while the lease should be kept on."""
        now = self.clock()
        if now - self._began >= self.terms.deadline:
            return False
        try:
            self._cancelled |= self.status.renew(self.claim, self.terms.ttl, self.progress())
        except TransientError as error:
            if now - self._renewed >= self.terms.ttl:
                self._lost = error
        except Exception as error:  # noqa: BLE001 - this thread has no caller: check() raises it in the worker's
            self._lost = error
        else:
            self._renewed = now
        return self._lost is None

    def check(self) -> None:
        """Return at once if the work may go on.

        Raises:
            KeyboardInterrupt: The runner wants to stop; the claim is to be given back.
            Cancelled: A cancel was requested.
            ClaimLost: Another worker may hold the chunk by now.
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

    def _keep(self) -> None:
        while not self._ended.wait(self.terms.ttl / 3) and self.beat():
            pass
